"""The edge between API Gateway and the operations: keys, errors, request ids, logs, metrics.

Every answer carries `X-Request-Id`, every failed one is a problem document (RFC 9457), those
that Chalice makes by itself included.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
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
from chalice_app.auth import NOBODY, authenticate
from chalice_app.forms import MULTIPART, parse_form
from chalice_app.observability import flush_metrics, logger, metrics, trace
from chalice_app.page import files as page
from chalice_app.page.files import PageFile
from chalice_app.registry import JSON, Call, Operation, Refusal, media_type
from chalice_app.validation import parse_json_object, validate
from faces.contracts.errors import ErrorCode, FacesError, TooManyRequests
from faces.contracts.ids import new_id

REQUEST_ID_HEADER = "X-Request-Id"
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


def bind(blueprint: Blueprint, operations: Iterable[Operation]) -> None:
    """Make a route of each operation."""
    for operation in operations:
        blueprint.route(
            operation.path,
            methods=[operation.method],
            name=operation.name,
            # Chalice would answer another type in its own form.
            content_types=list(operation.consumes)
            if operation.body is not None and operation.refusal is None
            else [],
        )(_view(blueprint, operation))


def _view(blueprint: Blueprint, operation: Operation) -> View:
    def view(**values: str) -> Response:
        try:
            return _carry_out(operation, blueprint.current_request, values)
        except Exception as error:
            if operation.refusal is not None:
                return _refused(operation.refusal, error, blueprint.current_request)
            raise ViewFailed from error

    return view


def _refused(refusal: Refusal, cause: Exception, request: Request) -> Response:
    error = _known(cause)
    made = _render(error, _request_id(request))
    made.status_code = refusal.status(error.code)
    made.headers["Content-Type"] = refusal.media_type
    made.body = refusal.body(error, _request_id(request)).model_dump_json(exclude_none=True)
    return made


def _carry_out(operation: Operation, request: Request, values: dict[str, str]) -> Response:
    context = dependencies.context()
    caller = NOBODY
    if operation.scopes is not None:
        root = context.settings.api_key_sha256
        caller = authenticate(request.headers, root, lambda: context.keys)
        logger.append_keys(tenant=caller.tenant, key_id=caller.key_id)
        caller.require(*operation.scopes)
    given: dict[str, Any] = dict(values)
    if operation.query is not None:
        asked: Mapping[str, str] = request.query_params or {}
        given["query"] = validate(operation.query, {k: v for k, v in asked.items() if v})
    if operation.body is not None:
        given["body"] = validate(operation.body, _body(operation, request))
    call = Call(request, context, caller)
    answered = operation.handler(call, **given)
    headers: dict[str, str | list[str]] = {"Content-Type": media_type(operation), **call.headers}
    status = operation.status
    if isinstance(answered, BaseModel):
        if type(answered) in operation.also:
            status, headers["Content-Type"] = operation.also[type(answered)], JSON
        # Fields without a value are left out.
        answered = answered.model_dump_json(exclude_none=True)
    elif isinstance(answered, bytes):
        answered = answered.decode()
    return Response(answered, headers, status)


def _body(operation: Operation, request: Request) -> Mapping[str, Any]:
    content_type = request.headers.get("content-type", "")
    if MULTIPART in operation.consumes and (
        JSON not in operation.consumes or content_type.lower().startswith(MULTIPART)
    ):
        raw = request.raw_body
        return parse_form(content_type, raw.encode() if isinstance(raw, str) else raw)
    return parse_json_object(request.raw_body)


def bind_page(blueprint: Blueprint) -> None:
    """Make the routes of the web page, which is no operation."""

    @blueprint.route("/", methods=["GET"], name="page")
    def page_index() -> Response:
        try:
            return _sent(_page(blueprint.current_request))
        except Exception as error:
            raise ViewFailed from error

    @blueprint.route("/page/{version}/{name}", methods=["GET"], name="page_file")
    def page_file(version: str, name: str) -> Response:
        found = page.file(version, name)
        if found is None:
            raise ViewFailed from FacesError(ErrorCode.UNKNOWN_ROUTE)
        return _sent(found)


def _page(request: Request) -> PageFile:
    context = dependencies.context()
    form = context.s3.generate_presigned_post(Bucket=context.settings.names.in_bucket, Key="-")
    return page.index(Call(request, context, NOBODY).base_url, form["url"])


def _sent(found: PageFile) -> Response:
    return Response(found.body, dict(found.headers), 200)


def install(app: Chalice) -> None:
    """Add the middleware and the CORS rules; before any blueprint is registered."""
    app.api.cors = CORS
    app.api.binary_types.append(MULTIPART)
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
    logger.remove_keys(["request_id", "method", "path", "job_id", "tenant", "key_id"])
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
    return _render(_known(error), request_id)


def _known(error: BaseException | None) -> FacesError:
    """Log an error and return it as the client gets it."""
    if isinstance(error, FacesError):
        # Whom a face looks like is for the client; names do not belong into the log.
        told = None if error.code is ErrorCode.LOOKS_LIKE_ANOTHER else error.detail
        logger.info("refused", code=error.code.value, field=error.field, detail=told)
        return error
    # The stack goes to the log; the client gets the id by which it is found there.
    logger.error("unexpected error", exc_info=error)
    return FacesError(ErrorCode.INTERNAL)


def _render(error: FacesError, request_id: str) -> Response:
    problem = error.problem(request_id)
    headers: dict[str, str | list[str]] = {"Content-Type": PROBLEM_JSON}
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'ApiKey header="X-Api-Key"'
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.retry_after)
    elif error.code is ErrorCode.UNAVAILABLE:
        headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return Response(problem.model_dump_json(exclude_none=True), headers, problem.status)
