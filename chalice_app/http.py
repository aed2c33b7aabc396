"""The edge between API Gateway and the views: keys, errors, request ids, logs and metrics.

Every answer carries `X-Request-Id`, every failed one is a problem document (RFC 9457), those
that Chalice makes by itself included.
"""

import functools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from chalice.app import (
    Blueprint,
    Chalice,
    ChaliceUnhandledError,
    ConvertToMiddleware,
    CORSConfig,
    Request,
    Response,
)
from pydantic import BaseModel

from chalice_app import dependencies
from chalice_app.auth import authenticate
from chalice_app.dependencies import Context
from chalice_app.observability import flush_metrics, logger, metrics, trace
from chalice_app.validation import parse_json_object
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.ids import new_id

REQUEST_ID_HEADER = "X-Request-Id"
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# The key travels in a header of its own, never in a cookie, so a page of another origin
# gains nothing that it could not do without a browser.
CORS = CORSConfig(
    allow_origin="*",
    allow_headers=[REQUEST_ID_HEADER],
    expose_headers=[REQUEST_ID_HEADER, "Retry-After"],
    max_age=600,
)

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")
_RETRY_AFTER_SECONDS = "2"
_CHALICE_CODES = {
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.UNKNOWN_ROUTE,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
}

View = Callable[..., Response]


class ViewFailed(ChaliceUnhandledError):
    """Carries what a view raised past Chalice, which would swallow it, to the middleware."""


@dataclass(frozen=True)
class Call:
    """One request with what is needed to answer it.

    Attributes
    ----------
    tenant : whose key it came with; empty where no key is needed.
    """

    request: Request
    context: Context
    tenant: str

    def json(self) -> dict[str, Any]:
        """Return the JSON object of the body; InvalidInput where there is none."""
        return parse_json_object(self.request.raw_body)

    def query(self, name: str) -> str | None:
        """Return a parameter of the query, or None."""
        parameters = self.request.query_params
        return None if parameters is None else parameters.get(name)

    @property
    def base_url(self) -> str:
        """Address of the API as the client sees it, stage included, without a slash."""
        if self.context.settings.public_url:
            return self.context.settings.public_url.rstrip("/")
        headers = self.request.headers
        scheme = headers.get("x-forwarded-proto", "https")
        # API Gateway's path holds the stage, the route's pattern does not.
        path = str(self.request.context.get("path", ""))
        depth = len(self.request.path.strip("/").split("/"))
        stage = "/".join(path.rstrip("/").split("/")[:-depth])
        return f"{scheme}://{headers.get('host', 'localhost')}{stage}"


def endpoint(
    blueprint: Blueprint, method: str, path: str, *, needs_key: bool = True
) -> Callable[[View], View]:
    """Register a view that is called with a `Call` and the values in the path."""

    def register(function: View) -> View:
        @functools.wraps(function)
        def view(**values: str) -> Response:
            try:
                request = blueprint.current_request
                context = dependencies.context()
                tenant = ""
                if needs_key:
                    tenant = authenticate(request.headers, context.settings.api_key_sha256)
                return function(Call(request, context, tenant), **values)
            except Exception as error:
                raise ViewFailed from error

        blueprint.route(path, methods=[method], content_types=[JSON] if method == "POST" else [])(
            view
        )
        return view

    return register


def answer(document: BaseModel, status: int = 200) -> Response:
    """Return a document as JSON; fields without a value are left out."""
    return Response(document.model_dump_json(exclude_none=True), {"Content-Type": JSON}, status)


def install(app: Chalice) -> None:
    """Add the middleware and the CORS rules; before any blueprint is registered."""
    app.api.cors = CORS
    if trace is not None:
        app.register_middleware(ConvertToMiddleware(trace), "http")
    app.register_middleware(_handle, "http")


def refuse_everything_else(app: Chalice) -> None:
    """Answer all other methods and addresses too; after all blueprints.

    API Gateway would answer them itself, with a 403 that speaks of a missing token.
    """
    known = {path: set(methods) for path, methods in app.routes.items()}
    for path, methods in known.items():
        rest = [method for method in METHODS if method not in methods]
        refuse = _refuse_method(", ".join(sorted(methods)))
        app.route(path, methods=rest, content_types=[], name="method_not_allowed")(refuse)
    app.route("/{proxy+}", methods=list(METHODS), content_types=[], name="unknown_route")(
        _unknown_route
    )


def _refuse_method(allowed: str) -> View:
    def method_not_allowed(**_values: str) -> Response:
        return Response({"Code": "", "Message": ""}, {"Allow": allowed}, 405)

    return method_not_allowed


def _unknown_route() -> Response:
    raise ViewFailed from FacesError(ErrorCode.UNKNOWN_ROUTE)


def _handle(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Answer one request, whatever happens in it."""
    started = time.perf_counter()
    request_id = _request_id(request)
    logger.append_keys(request_id=request_id, method=request.method, path=request.path)
    try:
        response = _as_problem(get_response(request), request_id)
    except ViewFailed as failed:
        response = _problem(failed.__cause__, request_id)
    milliseconds = (time.perf_counter() - started) * 1000
    response.headers.update(CORS.get_access_control_headers())
    response.headers[REQUEST_ID_HEADER] = request_id
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    logger.info("answered", status=response.status_code, milliseconds=round(milliseconds, 1))
    metrics.add_metric("Requests", MetricUnit.Count, 1)
    metrics.add_metric("RequestMilliseconds", MetricUnit.Milliseconds, milliseconds)
    if response.status_code >= 500:
        metrics.add_metric("ServerErrors", MetricUnit.Count, 1)
    flush_metrics()
    logger.remove_keys(["request_id", "method", "path", "job_id"])
    return response


def _request_id(request: Request) -> str:
    """Return the client's own id where it is a harmless one, else API Gateway's."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    if _SAFE_REQUEST_ID.fullmatch(given):
        return str(given)
    return str(request.context.get("requestId") or new_id())


def _as_problem(response: Response, request_id: str) -> Response:
    """Turn an error that Chalice made itself into a problem document."""
    if response.status_code < 400 or not isinstance(response.body, dict):
        return response
    code = _CHALICE_CODES.get(response.status_code)
    if code is None:
        code = ErrorCode.INTERNAL if response.status_code >= 500 else ErrorCode.INVALID_REQUEST
    made = _render(FacesError(code), request_id)
    made.headers.update(response.headers)
    made.headers["Content-Type"] = PROBLEM_JSON
    return made


def _problem(error: BaseException | None, request_id: str) -> Response:
    if isinstance(error, FacesError):
        logger.info("refused", code=error.code.value, field=error.field, detail=error.detail)
        return _render(error, request_id)
    # The stack goes to the log; the client gets the id by which it is found there.
    logger.error("unexpected error", exc_info=error)
    return _render(FacesError(ErrorCode.INTERNAL), request_id)


def _render(error: FacesError, request_id: str) -> Response:
    problem = error.problem(request_id)
    headers: dict[str, str | list[str]] = {"Content-Type": PROBLEM_JSON}
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'ApiKey header="X-Api-Key"'
    if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.TOO_MANY_REQUESTS):
        headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return Response(problem.model_dump_json(exclude_none=True), headers, problem.status)
