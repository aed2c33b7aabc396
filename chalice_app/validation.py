"""From what a client sent to a document of the contract, with errors that name the field."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from faces.contracts.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)

BODY = "body"
_SHOWN = 5
# Where pydantic's own words are too short to help.
_SAID = {
    "missing": "this field is required",
    "extra_forbidden": "this field is not known here; check its name",
    "is_instance_of": "send a file in this part, with a file name",
}


def parse_json_object(body: str | bytes) -> dict[str, Any]:
    """Return the JSON object in `body`.

    Raises
    ------
    InvalidInput
        For anything else, or no body at all.
    """
    try:
        # The parser gives up on absurd nesting with a RecursionError.
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput(BODY, "The body is no valid JSON.") from None
    if not isinstance(document, dict):
        raise InvalidInput(BODY, "The body must be a JSON object.")
    try:
        # JSON can write half of a surrogate pair; neither answer nor database can.
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput(BODY, "The body holds text that is no Unicode.") from None
    return document


def validate(model: type[Model], document: Mapping[str, Any]) -> Model:
    """Return `document` as a `model`.

    Raises
    ------
    InvalidInput
        Its field is the first wrong one, its detail speaks of them all.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        fields = [".".join(str(part) for part in problem["loc"]) or BODY for problem in problems]
        details = [
            f"{field}: {_SAID.get(problem['type']) or problem['msg'].removeprefix('Value error, ')}"
            for field, problem in zip(fields, problems, strict=True)
        ]
        raise InvalidInput(fields[0], "; ".join(details[:_SHOWN])) from None
