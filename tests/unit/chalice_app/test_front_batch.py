"""One bad message does not cost the others."""

import pytest

from chalice_app.batch import BatchFailed, Received, work_through
from tests.unit.chalice_app.fakes import sqs_record


def test_a_good_batch_is_left_to_lambda() -> None:
    seen: list[str] = []
    deleted: list[str] = []
    records = [sqs_record(body) for body in "abc"]
    work_through(records, lambda message: seen.append(message.body), deleted.extend)
    assert (seen, deleted) == (["a", "b", "c"], [])


def test_the_good_ones_are_deleted_and_the_bad_ones_come_again() -> None:
    seen: list[str] = []
    deleted: list[str] = []

    def handle(message: Received) -> None:
        seen.append(message.body)
        if message.body == "bad":
            raise ValueError("poison")

    records = [sqs_record(body, number=n) for n, body in enumerate(["a", "bad", "b", "bad"])]
    with pytest.raises(BatchFailed, match="2 of 4"):
        work_through(records, handle, deleted.extend)
    assert seen == ["a", "bad", "b", "bad"]
    assert deleted == ["handle-0", "handle-2"]


def test_nothing_is_deleted_when_all_failed() -> None:
    deleted: list[str] = []

    def handle(_: Received) -> None:
        raise ValueError

    with pytest.raises(BatchFailed, match="1 of 1"):
        work_through([sqs_record("x")], handle, deleted.extend)
    assert deleted == []


def test_the_receive_count_is_read() -> None:
    message = Received.from_record(sqs_record("x", receive_count=7))
    assert message.receive_count == 7
    assert message.attributes["SentTimestamp"] == "1767323045000"
