"""The upload form lets in one photo as announced, and nothing else."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalice_app.uploads import upload_form
from faces.contracts.errors import InvalidInput
from faces.contracts.ids import new_id
from faces.contracts.jobs import (
    ContentType,
    JobKind,
    JobParams,
    JobRequest,
    QualityFilter,
    UploadForm,
)
from tests.unit.chalice_app.fakes import NOW, STACK, make_s3, make_settings

REQUEST = JobRequest(
    kind=JobKind.ENROLL,
    collection="staff",
    content_type=ContentType.PNG,
    file_name="Zoë am See.png",
    callback_url="https://example.com/done?a=1",
    params=JobParams(
        person_name="Zoë Müller",
        quality_filter=QualityFilter.HIGH,
        false_accept_rate=0.05,
        force=True,
    ),
)
JOB_ID = new_id()


def make_form(request: JobRequest = REQUEST, **settings: str) -> UploadForm:
    return upload_form(make_s3(), make_settings(**settings), JOB_ID, request, NOW)


def policy_of(form: UploadForm) -> Any:
    return json.loads(base64.b64decode(form.fields["policy"]))


def test_the_fields_are_exactly_these() -> None:
    form = make_form()
    fields = dict(form.fields)
    assert set(fields) - set(REQUEST_FIELDS) == {
        "policy",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-signature",
    }
    assert {name: fields[name] for name in REQUEST_FIELDS} == REQUEST_FIELDS
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert form.max_bytes == 10 * 1024 * 1024
    assert form.expires_at == NOW + timedelta(seconds=900)
    assert form.url == f"https://{STACK}-in-bucket.s3.eu-central-1.amazonaws.com/"


REQUEST_FIELDS = {
    "key": f"uploads/{JOB_ID}",
    "Content-Type": "image/png",
    "x-amz-meta-kind": "enroll",
    "x-amz-meta-tenant": "default",
    "x-amz-meta-collection": "staff",
    "x-amz-meta-content-type": "image/png",
    "x-amz-meta-file-name": "Zo%C3%AB am See.png",
    "x-amz-meta-callback-url": "https://example.com/done?a=1",
    "x-amz-meta-params": REQUEST.to_metadata()["params"],
}


def test_the_policy_fixes_every_field_exactly() -> None:
    form = make_form()
    conditions = policy_of(form)["conditions"]
    exact: dict[str, str] = {}
    for condition in conditions:
        if isinstance(condition, dict):
            assert not set(exact) & set(condition), "a field is fixed twice"
            exact.update(condition)
    signature = {"policy", "x-amz-signature"}
    assert exact == {
        "bucket": f"{STACK}-in-bucket",
        **{name: value for name, value in form.fields.items() if name not in signature},
    }
    others = [condition for condition in conditions if not isinstance(condition, dict)]
    assert others == [["content-length-range", 1, 10 * 1024 * 1024]]


def test_limits_come_from_the_settings() -> None:
    before = datetime.now(UTC)
    form = make_form(FACES_MAX_UPLOAD_BYTES="5000", FACES_UPLOAD_SECONDS="60")
    policy = policy_of(form)
    assert ["content-length-range", 1, 5000] in policy["conditions"]
    assert form.max_bytes == 5000
    expires = datetime.fromisoformat(policy["expiration"])
    assert timedelta(seconds=58) < expires - before < timedelta(seconds=70)


def test_the_metadata_reads_back_as_the_request() -> None:
    prefix = "x-amz-meta-"
    metadata = {
        name.removeprefix(prefix): value
        for name, value in make_form().fields.items()
        if name.startswith(prefix)
    }
    assert JobRequest.from_metadata(metadata) == REQUEST
    assert all(value.isascii() and value.isprintable() for value in metadata.values())


def test_a_request_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        make_form(JobRequest(file_name="字" * 200, callback_url="https://e.com/" + "x" * 400))
    assert caught.value.field == "file_name"
