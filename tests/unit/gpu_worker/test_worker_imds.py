"""EC2's notices, from a metadata service on 127.0.0.1."""

import threading

import pytest

from faces.contracts.errors import TransientError
from faces.contracts.names import TAG_DRAIN, TAG_KEEP
from gpu_worker.imds import REBALANCE, SPOT_ACTION, InstanceMetadata, MetadataNotices
from gpu_worker.shutdown import Shutdown, watch
from tests.fixtures.metadata_service import FakeMetadata

NOW = 1_000_000.0


@pytest.fixture
def server(metadata_service: FakeMetadata) -> FakeMetadata:
    return metadata_service


@pytest.fixture
def notices(server: FakeMetadata) -> MetadataNotices:
    return MetadataNotices(InstanceMetadata(server.url), clock=lambda: NOW)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (SPOT_ACTION, '{"action": "terminate"}', "spot interruption"),
        (REBALANCE, '{"noticeTime": "2026-11-21T12:00:00Z"}', "rebalance recommendation"),
        (f"tags/instance/{TAG_DRAIN}", f"{NOW + 1:.0f}", "drain tag"),
    ],
)
def test_each_notice_is_a_reason_to_end(
    server: FakeMetadata, notices: MetadataNotices, path: str, value: str, reason: str
) -> None:
    assert notices.asked() is None
    server.paths[path] = value
    assert notices.asked() == reason
    assert server.tokens == 1, "one token serves for long"


@pytest.mark.parametrize("value", [f"{NOW - 1:.0f}", f"{NOW:.0f}", "", "soon"])
def test_a_mark_that_has_expired_or_says_nothing_is_none(
    server: FakeMetadata, notices: MetadataNotices, value: str
) -> None:
    server.paths[f"tags/instance/{TAG_DRAIN}"] = value
    server.paths[f"tags/instance/{TAG_KEEP}"] = value
    assert notices.asked() is None
    assert not notices.kept()


def test_the_scaler_can_keep_an_idle_worker(server: FakeMetadata, notices: MetadataNotices) -> None:
    server.paths[f"tags/instance/{TAG_KEEP}"] = f"{NOW + 60:.0f}"
    assert notices.kept()


def test_a_claim_is_taken_back_when_it_is_gone_not_when_nobody_answers(
    server: FakeMetadata, notices: MetadataNotices
) -> None:
    server.paths[f"tags/instance/{TAG_DRAIN}"] = f"{NOW - 1:.0f}"
    assert not notices.claim_taken_back()
    del server.paths[f"tags/instance/{TAG_DRAIN}"]
    assert notices.claim_taken_back()
    away = MetadataNotices(InstanceMetadata("http://127.0.0.1:9"), clock=lambda: NOW)
    assert not away.claim_taken_back()


def test_a_service_that_fails_is_no_reason_to_end(
    server: FakeMetadata, notices: MetadataNotices
) -> None:
    server.paths[SPOT_ACTION] = "{}"
    server.broken = True
    assert notices.asked() is None
    assert not notices.kept()
    server.broken = False
    assert notices.asked() == "spot interruption"


def test_a_token_that_expired_early_is_fetched_anew(server: FakeMetadata) -> None:
    metadata = InstanceMetadata(server.url)
    assert metadata.get("nothing") is None
    server.tokens += 1  # the service forgot the one that is in use
    with pytest.raises(TransientError):
        metadata.get("nothing")
    assert metadata.get("nothing") is None


def test_a_notice_ends_the_worker(server: FakeMetadata, notices: MetadataNotices) -> None:
    shutdown = Shutdown()
    thread = threading.Thread(target=watch, args=([notices], shutdown, 0.01))
    thread.start()
    assert not shutdown.wait(0.05)
    server.paths[REBALANCE] = "{}"
    assert shutdown.wait(10)
    thread.join(10)
    assert shutdown.reason == "rebalance recommendation"
