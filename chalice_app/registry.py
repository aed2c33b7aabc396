"""Operations of the HTTP interface, each declared once.

From a declaration come the route, the check of key and scope, the validation of query and
body, and the operation's part of the OpenAPI document. A handler says the rest by its
annotations: parameters `query` and `body` are the models that are validated, a further
parameter is a part of the path, and what it returns is the model of the answer::

    area = Area("people", "People and their faces")

    @area.operation("GET", "/v1/people/{person_id}", scopes=[Scope.READ],
                    errors=[ErrorCode.UNKNOWN_PERSON])
    def get_person(call: Call, person_id: str, query: InCollection) -> Person:
        \"\"\"Answer one person.\"\"\"

Nothing here knows Chalice.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, get_type_hints

from pydantic import BaseModel

from chalice_app.auth import Caller
from chalice_app.dependencies import Context
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.keys import Scope

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

Handler = TypeVar("Handler", bound=Callable[..., Any])
_PATH_VALUE = re.compile(r"{(\w+)}")


class IncomingRequest(Protocol):
    """What is used of a request (`chalice.app.Request`)."""

    method: str
    path: str
    headers: Any
    query_params: Any
    context: dict[str, Any]

    @property
    def raw_body(self) -> str | bytes: ...


@dataclass(frozen=True)
class Call:
    """One request with what is needed to answer it.

    Attributes
    ----------
    caller : whose key it came with; of no tenant where no key is needed.
    headers : of the answer, beside those that every answer has.
    """

    request: IncomingRequest
    context: Context
    caller: Caller
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def tenant(self) -> str:
        return self.caller.tenant

    @property
    def base_url(self) -> str:
        """Address of the API as the client sees it, stage included, without a slash."""
        if self.context.settings.public_url:
            return self.context.settings.public_url.rstrip("/")
        headers = self.request.headers
        scheme = headers.get("x-forwarded-proto", "https")
        # API Gateway's path holds the stage, the route's pattern does not.
        path = str(self.request.context.get("path", ""))
        depth = len([part for part in self.request.path.split("/") if part])
        parts = path.rstrip("/").split("/")
        stage = "/".join(parts[: len(parts) - depth])
        return f"{scheme}://{headers.get('host', 'localhost')}{stage}"


class Refusal(Protocol):
    """Answers errors in a form of its own.

    Attributes
    ----------
    model : of the answer.
    media_type : of the answer.
    """

    @property
    def model(self) -> type[BaseModel]: ...

    @property
    def media_type(self) -> str: ...

    def status(self, code: ErrorCode) -> int:
        """Return the status that a code is answered with."""

    def body(self, error: FacesError, request_id: str) -> BaseModel:
        """Return the answer's body."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One method of one address.

    Attributes
    ----------
    name : of the handler, and the OpenAPI document's `operationId`.
    area : heads the operation in the document.
    scopes : any of these lets a key in; None where no key is needed.
    errors : what it may answer beside what every operation may.
    query, body : models of the query and of the JSON body; None where there is none.
    answer : model of the answer; `str` for text, `bytes` for JSON that is ready to send.
    also : status of each further model that may be answered instead.
    consumes : media types of the body, any of them.
    refusal : how errors are answered where not as problem documents.
    """

    name: str
    area: str
    method: str
    path: str
    handler: Callable[..., Any]
    scopes: frozenset[Scope] | None
    status: int
    errors: tuple[ErrorCode, ...]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    answer: type[BaseModel] | type[str] | type[bytes]
    also: Mapping[type[BaseModel], int]
    consumes: tuple[str, ...]
    refusal: "Refusal | None"
    summary: str
    description: str

    @property
    def path_values(self) -> tuple[str, ...]:
        """Names of the parameters in the path."""
        return tuple(_PATH_VALUE.findall(self.path))


@dataclass(frozen=True)
class Area:
    """Operations that belong together; a tag of the OpenAPI document."""

    name: str
    description: str
    operations: list[Operation] = field(default_factory=list)

    def operation(
        self,
        method: str,
        path: str,
        *,
        scopes: Iterable[Scope] | None,
        status: int = 200,
        errors: Sequence[ErrorCode] = (),
        consumes: Sequence[str] = (JSON,),
        answer: type[BaseModel] | type[str] | None = None,
        also: Mapping[type[BaseModel], int] | None = None,
        refusal: Refusal | None = None,
    ) -> Callable[[Handler], Handler]:
        """Declare the decorated handler as an operation.

        Parameters
        ----------
        answer : what `Operation` says, where the annotation names several models.

        Raises
        ------
        TypeError
            When the handler's parameters are not what path and annotations promise.
        """

        def register(handler: Handler) -> Handler:
            self.operations.append(
                _declared(
                    self.name,
                    method,
                    path,
                    handler,
                    None if scopes is None else frozenset(scopes),
                    status,
                    tuple(errors),
                    tuple(consumes),
                    answer,
                    also or {},
                    refusal,
                )
            )
            return handler

        return register


def _declared(
    area: str,
    method: str,
    path: str,
    handler: Callable[..., Any],
    scopes: frozenset[Scope] | None,
    status: int,
    errors: tuple[ErrorCode, ...],
    consumes: tuple[str, ...],
    given_answer: type[BaseModel] | type[str] | None,
    also: Mapping[type[BaseModel], int],
    refusal: Refusal | None,
) -> Operation:
    name = handler.__name__
    hints = get_type_hints(handler)
    parameters = set(inspect.signature(handler).parameters) - {"call"}
    in_path = set(_PATH_VALUE.findall(path))
    if parameters - {"query", "body"} != in_path:
        raise TypeError(f"{name}: the parameters are not those of {path}")
    summary, _, rest = inspect.cleandoc(handler.__doc__ or "").partition("\n\n")
    if not summary:
        raise TypeError(f"{name}: a docstring is needed, it is the public description")
    answer = given_answer or hints["return"]
    if not isinstance(answer, type):
        raise TypeError(f"{name}: the answer must be one model")
    return Operation(
        name=name,
        area=area,
        method=method,
        path=path,
        handler=handler,
        scopes=scopes,
        status=status,
        errors=errors,
        query=hints.get("query"),
        body=hints.get("body"),
        answer=answer,
        also=also,
        consumes=consumes,
        refusal=refusal,
        summary=" ".join(summary.split()),
        description=rest,
    )


def media_type(operation: Operation) -> str:
    """Return the media type of an operation's answer."""
    return TEXT if operation.answer is str else JSON
