"""The catalogue of errors is complete and its forms agree."""

import http
import re

import pytest

from faces.contracts.errors import (
    CATALOGUE,
    ErrorCode,
    FacesError,
    InvalidInput,
    Problem,
    TransientError,
)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_is_explained(code: ErrorCode) -> None:
    spec = CATALOGUE[code]
    assert re.fullmatch(r"[a-z][a-z_]*", code.value)
    assert http.HTTPStatus(spec.status).value >= 400
    assert spec.title
    assert not spec.title.endswith(".")
    # A sentence for people: what happened, and where something can be done, what.
    assert spec.sentence.endswith(".")
    assert spec.sentence[0].isupper()


def test_the_catalogue_explains_no_more_than_there_is() -> None:
    assert set(CATALOGUE) == set(ErrorCode)


def test_only_faults_of_the_moment_are_worth_repeating() -> None:
    retryable = {code for code, spec in CATALOGUE.items() if spec.retryable}
    assert retryable == {ErrorCode.TOO_MANY_REQUESTS, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL}


@pytest.mark.parametrize("code", list(ErrorCode))
def test_problem_and_info_tell_the_same(code: ErrorCode) -> None:
    error = FacesError(code, field="name")
    problem = error.problem("req-1")
    assert Problem.model_validate_json(problem.model_dump_json()) == problem
    assert problem.type == f"urn:faces:error:{code.value}"
    assert (problem.code, problem.status, problem.field) == (code, CATALOGUE[code].status, "name")
    assert (error.info().code, error.info().message) == (code, problem.detail)
    assert error.retryable == CATALOGUE[code].retryable


def test_short_hands_carry_their_code() -> None:
    assert InvalidInput("kind", "Must be a word.").field == "kind"
    assert InvalidInput("kind", "Must be a word.").code is ErrorCode.INVALID_REQUEST
    assert TransientError().code is ErrorCode.UNAVAILABLE
    assert TransientError().detail == CATALOGUE[ErrorCode.UNAVAILABLE].sentence
