"""The OpenAPI 3.1 document of the HTTP interface, made from the operations.

Source: OpenAPI Specification 3.1.1. Its schemas are JSON Schema 2020-12, which is what
pydantic writes.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalice_app.registry import JSON, Area, Operation, media_type
from faces.contracts.errors import CATALOGUE, ErrorCode, Problem
from faces.contracts.version import CODE_VERSION

_REF = "#/components/schemas/{model}"
_ALWAYS = (ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL)
_WITH_KEY = (ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN, ErrorCode.TOO_MANY_REQUESTS)
_DESCRIPTION = """\
Send a photo, get back who is in it. Ask for a job, send the photo by the form that is
answered, then ask for the job until it has ended.

Every failed request is answered with a problem document (RFC 9457) with a stable `code`.
"""


def document_json(areas: Iterable[Area], base_url: str) -> bytes:
    """Return the document of all areas for the API at `base_url`, as JSON."""
    listed = list(areas)
    document = make_document((each for area in listed for each in area.operations), base_url)
    document["tags"] = [{"name": area.name, "description": area.description} for area in listed]
    return json.dumps(document, ensure_ascii=False).encode()


def make_document(operations: Iterable[Operation], base_url: str) -> dict[str, Any]:
    """Return the OpenAPI document of `operations`."""
    listed = list(operations)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    models: set[type[BaseModel]] = {Problem}
    for operation in listed:
        paths[operation.path][operation.method.lower()] = _describe(operation)
        models |= {
            model
            for model in (operation.body, operation.answer, *operation.also)
            if model is not None and issubclass(model, BaseModel)
        }
        if operation.refusal is not None:
            models.add(operation.refusal.model)
    _, schemas = models_json_schema(
        # As they are read: a field with a default may be left out of an answer too.
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template=_REF,
    )
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Elastic Faces",
            "version": CODE_VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url}],
        "paths": dict(paths),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}},
        },
    }


def error_codes(operation: Operation) -> list[ErrorCode]:
    """Return every code that an operation may answer."""
    codes = {*operation.errors, *_ALWAYS}
    if operation.scopes is not None:
        codes |= set(_WITH_KEY)
    if operation.query is not None or operation.body is not None:
        codes.add(ErrorCode.INVALID_REQUEST)
    if operation.body is not None:
        codes.add(ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    return sorted(codes)


def _describe(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.area],
        "summary": operation.summary.rstrip("."),
        "description": _description(operation),
        "parameters": [*_in_path(operation), *_in_query(operation)],
        "responses": {
            **_answers(operation),
            **_errors(operation),
        },
        "security": [] if operation.scopes is None else [{"key": []}],
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {
                media: {"schema": _reference(operation.body)} for media in operation.consumes
            },
        }
    return described


def _description(operation: Operation) -> str:
    if operation.scopes is None:
        return operation.description
    scopes = " or ".join(f"`{scope}`" for scope in sorted(operation.scopes))
    return f"{operation.description}\n\nThe key needs the scope {scopes}.".strip()


def _in_path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in operation.path_values
    ]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema()
    needed = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in needed,
            "schema": _resolved(_without_null(field), schema.get("$defs", {})),
        }
        for name, field in schema["properties"].items()
    ]


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter; an absent one is left out, never null."""
    kinds = [kind for kind in field.get("anyOf", []) if kind != {"type": "null"}]
    rest = {name: value for name, value in field.items() if name not in ("anyOf", "default")}
    if field.get("default") is not None:
        rest["default"] = field["default"]
    return {**rest, **kinds[0]} if len(kinds) == 1 else field if kinds else rest


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = field.pop("$ref", None)
    return field if reference is None else {**definitions[reference.rsplit("/", 1)[1]], **field}


def _answers(operation: Operation) -> dict[str, Any]:
    """Return what may be answered when all is well, by status."""
    schema: dict[str, Any] = {"type": "string" if operation.answer is str else "object"}
    if issubclass(operation.answer, BaseModel):
        schema = _reference(operation.answer)
    made = {str(operation.status): _described_answer(media_type(operation), schema)}
    for model, status in operation.also.items():
        schema = _reference(model)
        if status == operation.status:
            [(_, before)] = made[str(status)]["content"].items()
            schema = {"anyOf": [before["schema"], schema]}
        made[str(status)] = _described_answer(JSON, schema)
    return made


def _described_answer(media: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": "Done",
        "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
        "content": {media: {"schema": schema}},
    }


def _errors(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[ErrorCode]] = defaultdict(list)
    refusal = operation.refusal
    media = "application/problem+json"
    model: type[BaseModel] = Problem
    if refusal is not None:
        media, model = refusal.media_type, refusal.model
    for code in error_codes(operation):
        status = CATALOGUE[code].status if refusal is None else refusal.status(code)
        by_status[status].append(code)
    return {
        str(status): {
            "description": "\n".join(f"- `{code}`: {CATALOGUE[code].sentence}" for code in codes),
            "content": {media: {"schema": _reference(model)}},
        }
        for status, codes in sorted(by_status.items())
    }


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
