"""Reads S3 event notifications.

Chalice's own reader looks at the first record only. Structure of a notification: S3 user
guide, "Event message structure"; keys arrive URL-encoded, with `+` for a space.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import parse_id
from faces.contracts.names import UPLOAD_PREFIX

_CREATED = "ObjectCreated:"
_TEST = "s3:TestEvent"


class NotANotification(ValueError):
    """A message body that is no S3 event notification."""


@dataclass(frozen=True)
class CreatedObject:
    """An object that was created; `key` as it stands in the bucket, `size` in bytes."""

    bucket: str
    key: str
    size: int


def created_objects(body: str) -> list[CreatedObject]:
    """Return the objects that a notification says were created.

    The test event, which S3 sends when a notification is set up, and records of other
    events give none.

    Raises
    ------
    NotANotification
        When the body is something else.
    """
    try:
        notification = json.loads(body)
    except (ValueError, RecursionError):
        raise NotANotification("no JSON") from None
    if not isinstance(notification, dict):
        raise NotANotification("no JSON object")
    if notification.get("Event") == _TEST:
        return []
    records = notification.get("Records")
    if not isinstance(records, list):
        raise NotANotification("no Records")
    found = [_created_object(record) for record in records]
    return [item for item in found if item is not None]


def _created_object(record: Any) -> CreatedObject | None:
    try:
        if not record["eventName"].removeprefix("s3:").startswith(_CREATED):
            return None
        stored = record["s3"]["object"]
        return CreatedObject(
            bucket=str(record["s3"]["bucket"]["name"]),
            key=unquote_plus(stored["key"]),
            size=int(stored.get("size", 0)),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise NotANotification("a record lacks what it must have") from None


def upload_job_id(key: str) -> str | None:
    """Return the job whose photo has this key, or None when the key is no upload's."""
    text = key.removeprefix(UPLOAD_PREFIX)
    if text == key:
        return None
    try:
        job_id = parse_id(text, unknown=ErrorCode.UNKNOWN_JOB)
    except FacesError:
        return None
    return job_id if job_id == text else None
