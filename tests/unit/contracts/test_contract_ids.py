"""Job ids prove where they came from; derived ids are stable."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import check_job_id, derived_id, id_time, new_id, new_job_id, parse_id

SECRET = b"a secret of at least 32 characters"
times = st.integers(10**8, 7 * 10**12).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
secrets = st.binary(min_size=32, max_size=64)
tenants = st.text(min_size=1, max_size=40)


def refused(text: str, secret: bytes = SECRET, tenant: str = "default") -> bool:
    try:
        check_job_id(text, secret, tenant)
    except FacesError as error:
        return error.code is ErrorCode.UNKNOWN_JOB
    return False


@given(secrets, tenants, times)
def test_a_signed_id_is_known_and_tells_its_time(secret: bytes, tenant: str, now: datetime) -> None:
    job_id = new_job_id(secret, tenant, now)
    assert check_job_id(job_id, secret, tenant) == job_id
    assert check_job_id(job_id.upper(), secret, tenant) == job_id
    assert abs(id_time(job_id) - now) <= timedelta(milliseconds=1)
    parsed = uuid.UUID(job_id)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


@given(st.integers(0, 127), times)
def test_any_changed_bit_is_noticed(bit: int, now: datetime) -> None:
    job_id = new_job_id(SECRET, "default", now)
    changed = str(uuid.UUID(int=uuid.UUID(job_id).int ^ (1 << bit)))
    assert refused(changed)


@given(tenants, tenants, times)
def test_another_tenants_id_is_unknown(one: str, other: str, now: datetime) -> None:
    job_id = new_job_id(SECRET, one, now)
    assert refused(job_id, tenant=other) == (one != other)


def test_another_secret_makes_it_unknown() -> None:
    job_id = new_job_id(SECRET, "default", datetime.now(UTC))
    assert refused(job_id, secret=SECRET + b"!")


def test_an_id_that_was_never_given_out_is_unknown() -> None:
    assert all(refused(new_id()) for _ in range(1000))


@given(st.text(max_size=60))
def test_any_text_is_only_unknown(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../../etc/passwd",
        str(uuid.UUID(int=0)),
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "01890a5dac96774bbcceb302099a8057",
    ],
)
def test_other_spellings_of_ids_are_refused(text: str) -> None:
    with pytest.raises(FacesError) as caught:
        parse_id(text, unknown=ErrorCode.UNKNOWN_FACE)
    assert caught.value.code is ErrorCode.UNKNOWN_FACE


def test_ids_sort_by_their_time() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(milliseconds=n) for n in range(200)]
    ids = [new_job_id(SECRET, "default", moment) for moment in moments]
    assert ids == sorted(ids)


def test_ids_of_one_moment_differ() -> None:
    now = datetime.now(UTC)
    assert len({new_job_id(SECRET, "default", now) for _ in range(1000)}) == 1000


@given(times, st.text(max_size=20), st.text(max_size=20))
def test_derived_ids_are_stable_and_differ_by_part(now: datetime, one: str, other: str) -> None:
    job_id = new_job_id(SECRET, "default", now)
    assert derived_id(job_id, one) == derived_id(job_id, one)
    assert (derived_id(job_id, one) == derived_id(job_id, other)) == (one == other)
    assert parse_id(derived_id(job_id, one), unknown=ErrorCode.UNKNOWN_FACE)
    assert id_time(derived_id(job_id, one)) == id_time(job_id)
    # A derived id opens no job.
    assert refused(derived_id(job_id, one))
