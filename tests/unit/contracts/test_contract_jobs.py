"""A request rides on the photo as metadata and comes back the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id
from faces.contracts.jobs import (
    ContentType,
    JobKind,
    JobMessage,
    JobParams,
    JobRequest,
    JobState,
    QualityFilter,
)
from faces.contracts.names import REQ_MESSAGE_MAX_BYTES, upload_key

METADATA_MAX_BYTES = 2048

printable = st.text(
    st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=200
)
params = st.builds(
    JobParams,
    false_accept_rate=st.none() | st.floats(1e-6, 0.5),
    max_faces=st.integers(1, 100),
    candidates=st.integers(0, 10),
    quality_filter=st.sampled_from(QualityFilter),
    force=st.booleans(),
)
requests = st.builds(
    JobRequest,
    kind=st.sampled_from([JobKind.IDENTIFY, JobKind.DETECT]),
    collection=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True),
    content_type=st.sampled_from(ContentType),
    file_name=st.none() | printable,
    callback_url=st.none() | st.just("https://example.org/hook?x=1"),
    params=params,
)
enrolments = st.builds(
    JobRequest, kind=st.just(JobKind.ENROLL), params=st.builds(JobParams, person_name=printable)
)


def size(metadata: dict[str, str]) -> int:
    """Bytes as S3 counts them: UTF-8 of keys and values."""
    return sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())


@given(requests | enrolments)
def test_metadata_round_trip(request: JobRequest) -> None:
    metadata = request.to_metadata()
    assert JobRequest.from_metadata(metadata) == request
    assert all(value.isascii() for value in metadata.values())
    assert not any("\n" in value or "\r" in value for value in metadata.values())


def test_the_longest_ascii_request_fits_in_s3s_limit() -> None:
    request = JobRequest(
        kind=JobKind.ENROLL,
        collection="c" * 63,
        file_name="n" * 200,
        callback_url="https://example.org/" + "p" * 480,
        params=JobParams(
            false_accept_rate=0.1234567890123456,
            max_faces=99,
            candidates=10,
            quality_filter=QualityFilter.MEDIUM,
            person_name="m" * 200,
            req_id=new_id(),
            force=True,
        ),
    )
    assert size(request.to_metadata()) <= METADATA_MAX_BYTES


def test_what_does_not_fit_is_only_a_long_non_ascii_name() -> None:
    assert size(JobRequest(file_name="ä" * 150).to_metadata()) <= METADATA_MAX_BYTES
    assert size(JobRequest(file_name="猫" * 200 + "").to_metadata()) <= METADATA_MAX_BYTES
    assert size(JobRequest(file_name="😀" * 200).to_metadata()) > METADATA_MAX_BYTES


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "destroy"},
        {"collection": "../x"},
        {"content-type": "text/html"},
        {"params": "%7B%22unknown%22:1}"},
        {"params": "not json"},
        {"params": '{"false_accept_rate":2}'},
        {"file-name": "a%0Ab"},
    ],
)
def test_metadata_of_another_make_is_rejected(change: dict[str, str]) -> None:
    metadata = {**JobRequest().to_metadata(), **change}
    with pytest.raises(FacesError) as caught:
        JobRequest.from_metadata(metadata)
    assert caught.value.code is ErrorCode.UPLOAD_REJECTED


@pytest.mark.parametrize("missing", ["kind", "tenant", "collection", "content-type", "params"])
def test_missing_metadata_is_rejected(missing: str) -> None:
    metadata = JobRequest().to_metadata()
    del metadata[missing]
    with pytest.raises(FacesError):
        JobRequest.from_metadata(metadata)


@pytest.mark.parametrize(
    ("kind", "given_params"),
    [
        (JobKind.ENROLL, JobParams()),
        (JobKind.ENROLL, JobParams(person_id="p", person_name="n")),
        (JobKind.VERIFY, JobParams()),
        (JobKind.VERIFY, JobParams(person_id="p", req_id="r")),
    ],
)
def test_a_kind_gets_exactly_what_it_needs(kind: JobKind, given_params: JobParams) -> None:
    with pytest.raises(ValidationError):
        JobRequest(kind=kind, params=given_params)


def test_only_three_states_are_final() -> None:
    assert {state for state in JobState if state.final} == {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.EXPIRED,
    }


def test_a_queue_message_keeps_within_its_limit() -> None:
    job_id = new_id()
    message = JobMessage(
        job_id=job_id,
        key=upload_key(job_id),
        size=100 * 1024 * 1024,
        trace_id="Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    )
    assert len(message.model_dump_json().encode()) <= REQ_MESSAGE_MAX_BYTES
