"""The OpenAPI document: valid, and in agreement with the routes and with what they do."""

import inspect
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from app import app
from chalice_app import dependencies
from chalice_app.api import AREAS, OPERATIONS
from chalice_app.openapi import error_codes, make_document
from chalice_app.registry import Area, Call, Operation
from faces.contracts.errors import CATALOGUE, ErrorCode
from faces.contracts.keys import Scope
from tests.unit.chalice_app.fakes import FakeContext, FakeKeys
from tests.unit.chalice_app.gateway import call

NO_OPERATIONS = {"method_not_allowed", "unknown_route", "page", "page_file"}


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    made = FakeContext()
    monkeypatch.setattr(dependencies, "context", lambda: made)
    return made


@pytest.fixture
def document(context: FakeContext) -> Any:
    answer = call("GET", "/v1/openapi.json", key=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json


def test_the_document_is_valid(document: Any) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_document_and_routes_agree(document: Any) -> None:
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    routed = {
        (method, path)
        for path, methods in app.routes.items()
        for method, entry in methods.items()
        if entry.view_name not in NO_OPERATIONS
    }
    assert described == routed


def test_names_of_operations_are_unique() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert len({area.name for area in AREAS}) == len(AREAS)


def test_the_document_names_the_address_of_the_api(document: Any) -> None:
    assert document["servers"] == [{"url": "https://api.test/api"}]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_says_what_it_takes_and_answers(
    document: Any, operation: Operation
) -> None:
    described = document["paths"][operation.path][operation.method.lower()]
    assert described["operationId"] == operation.name
    assert described["summary"]
    named = {each["name"] for each in described["parameters"]}
    query = set() if operation.query is None else set(operation.query.model_fields)
    assert named == {*operation.path_values, *query}
    assert ("requestBody" in described) is (operation.body is not None)
    refusal = operation.refusal
    refused = {
        CATALOGUE[code].status if refusal is None else refusal.status(code)
        for code in error_codes(operation)
    }
    statuses = {operation.status, *operation.also.values(), *refused}
    assert set(described["responses"]) == {str(status) for status in statuses}
    assert bool(described["security"]) is (operation.scopes is not None)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_model_explains_itself(operation: Operation) -> None:
    for model in (operation.body, operation.query, operation.answer):
        if model is not None and issubclass(model, BaseModel):
            assert inspect.getdoc(model), model


KEYED = [operation for operation in OPERATIONS if operation.scopes is not None]


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("operation", KEYED, ids=lambda operation: operation.name)
def test_a_key_without_the_scope_is_refused(
    context: FakeContext, operation: Operation, scope: Scope
) -> None:
    context.keys = FakeKeys({"their key": ("acme", "key-1", frozenset({scope}))})
    path = operation.path.replace("{", "").replace("}", "")
    headers = {"Content-Type": operation.consumes[0]} if operation.body is not None else {}
    answer = call(operation.method, path, key="their key", headers=headers)
    assert operation.scopes is not None
    allowed = scope is Scope.ADMIN or scope in operation.scopes
    # What is the stack's own key's alone is refused for another reason.
    assert (answer.status == 403 and "scope" in answer.json["detail"]) is not allowed
    if not allowed:
        assert answer.json["code"] == "forbidden"
        assert all(needed in answer.json["detail"] for needed in operation.scopes)


class Body(BaseModel):
    """A body."""


def test_a_handler_that_does_not_fit_its_path_is_no_operation() -> None:
    area = Area("test", "Test")

    def no_path_value(call: Call) -> Body:
        """Do something."""
        raise NotImplementedError

    def undocumented(call: Call) -> Body:
        raise NotImplementedError

    with pytest.raises(TypeError, match="parameters"):
        area.operation("GET", "/x/{x_id}", scopes=None)(no_path_value)
    with pytest.raises(TypeError, match="docstring"):
        area.operation("GET", "/x", scopes=None)(undocumented)
    assert area.operations == []


def test_what_can_go_wrong_follows_from_the_declaration() -> None:
    area = Area("test", "Test")

    @area.operation("POST", "/x", scopes=[Scope.READ], status=201, errors=[ErrorCode.NO_FACE])
    def make_x(call: Call, body: Body) -> Body:
        """Make an x."""
        raise NotImplementedError

    document = make_document(area.operations, "https://x")
    described = document["paths"]["/x"]["post"]
    assert set(described["responses"]) == {
        "201", "400", "401", "403", "415", "422", "429", "500", "503"
    }  # fmt: skip
    assert described["requestBody"]["required"] is True
