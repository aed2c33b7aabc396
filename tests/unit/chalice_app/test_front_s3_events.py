"""Reading S3 notifications: every record, keys decoded once, anything else told apart."""

import contextlib
import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalice_app.s3_events import (
    CreatedObject,
    NotANotification,
    created_objects,
    upload_job_id,
)
from faces.contracts.ids import new_id
from faces.contracts.names import upload_key
from tests.unit.chalice_app.fakes import notification

KEYS = st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable())
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["Records", "s3", "object", "bucket", "key", "eventName", "size", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(KEYS, max_size=5))
def test_every_record_is_read_and_keys_come_back_as_they_were(keys: list[str]) -> None:
    body = notification(*(quote_plus(key) for key in keys), bucket="in")
    assert created_objects(body) == [CreatedObject("in", key, 3) for key in keys]


def test_a_key_is_decoded_exactly_once() -> None:
    (created,) = created_objects(notification("uploads/a%252Fb+c%2B"))
    assert created.key == "uploads/a%2Fb c+"


def test_the_test_event_gives_nothing() -> None:
    assert created_objects('{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}') == []


@pytest.mark.parametrize(
    "event", ["ObjectRemoved:Delete", "ObjectRestore:Post", "s3:Replication:X"]
)
def test_other_events_give_nothing(event: str) -> None:
    assert created_objects(notification("k", event=event)) == []


@pytest.mark.parametrize("event", ["ObjectCreated:Put", "s3:ObjectCreated:Post"])
def test_creations_are_known_with_and_without_the_service(event: str) -> None:
    assert len(created_objects(notification("k", event=event))) == 1


@pytest.mark.parametrize(
    "body",
    ["", "no json", "[]", "null", "{}", '{"Records": {}}', '{"Records": [{}]}', "[" * 100_000],
)
def test_other_bodies_are_told_apart(body: str) -> None:
    with pytest.raises(NotANotification):
        created_objects(body)


@given(JSON_VALUES)
def test_no_json_makes_the_parser_fail_in_another_way(value: object) -> None:
    with contextlib.suppress(NotANotification):
        created_objects(json.dumps(value))


def test_the_job_of_an_upload() -> None:
    job_id = new_id()
    assert upload_job_id(upload_key(job_id)) == job_id


@pytest.mark.parametrize(
    "key",
    [
        "uploads/",
        "uploads/x",
        "results/0196f0c4-7a3b-7c11-8d54-0123456789ab.json",
        "0196f0c4-7a3b-7c11-8d54-0123456789ab",
        "uploads/0196F0C4-7A3B-7C11-8D54-0123456789AB",
        "uploads/0196f0c4-7a3b-4c11-8d54-0123456789ab",
        "uploads/uploads/0196f0c4-7a3b-7c11-8d54-0123456789ab",
        "uploads/0196f0c4-7a3b-7c11-8d54-0123456789ab/x",
    ],
)
def test_keys_that_are_no_uploads(key: str) -> None:
    assert upload_job_id(key) is None
