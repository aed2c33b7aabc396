"""Write `docs/api.md` from the operations of the HTTP interface.

python -m docs.api_reference            # write it
python -m docs.api_reference --check    # exit code 1 when it is out of date
"""

import sys
from collections.abc import Iterator

from pydantic import BaseModel

from chalice_app.api import AREAS
from chalice_app.openapi import error_codes
from chalice_app.registry import Operation
from faces.contracts.errors import CATALOGUE
from local_stack.settings import ROOT

FILE = ROOT / "docs" / "api.md"
HEAD = """\
# The HTTP interface

The running service describes itself, with all models, as an OpenAPI 3.1 document at
`/v1/openapi.json`. Requests carry the key as `X-Api-Key`; every failed one is answered with
a problem document (RFC 9457) whose `code` is one of those at the end. A key has scopes:
`read`, `recognise`, `enrol`, and `admin`, which may do everything.

This file is written by `make docs`; a test compares it with the code.
"""


def render() -> str:
    """Return the text of the file."""
    return "\n".join([HEAD, *_areas(), *_errors()]) + "\n"


def _areas() -> Iterator[str]:
    for area in AREAS:
        yield f"## {area.name.capitalize()}\n\n{area.description}.\n"
        for operation in area.operations:
            yield from _operation(operation)


def _operation(operation: Operation) -> Iterator[str]:
    yield f"### `{operation.method} {operation.path}`\n"
    yield operation.summary
    if operation.description:
        yield f"\n{operation.description}"
    facts = []
    if operation.scopes is not None:
        facts.append("scope: " + " or ".join(f"`{scope}`" for scope in sorted(operation.scopes)))
    for what, model in (("query", operation.query), ("body", operation.body)):
        if model is not None and model.model_fields:
            facts.append(f"{what}: {_fields(model)}")
    facts.append(f"answers {operation.status}: {_named(operation.answer)}")
    facts.append("may fail with " + ", ".join(f"`{code}`" for code in error_codes(operation)))
    yield "\n" + "\n".join(f"- {fact}" for fact in facts) + "\n"


def _fields(model: type[BaseModel], needed: str = " (needed)") -> str:
    fields = model.model_fields.items()
    return ", ".join(f"`{name}`" + needed * each.is_required() for name, each in fields)


def _named(answer: type) -> str:
    if not issubclass(answer, BaseModel):
        return "text" if answer is str else "a JSON document"
    return f"`{answer.__name__}` with {_fields(answer, '')}"


def _errors() -> Iterator[str]:
    yield "## Errors\n\n| code | status | what happened, and what to do | try again |"
    yield "|---|---|---|---|"
    for code, spec in CATALOGUE.items():
        again = "yes" if spec.retryable else ""
        yield f"| `{code}` | {spec.status} | {spec.sentence} | {again} |"


def main() -> None:
    if "--check" in sys.argv[1:]:
        sys.exit(FILE.read_text("utf-8") != render())
    FILE.write_text(render(), "utf-8")


if __name__ == "__main__":
    main()
