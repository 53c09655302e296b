"""From errors to answers: RFC 9457 problem details, the one table of HTTP statuses, and the errors that only HTTP has.

Refusal                  a request that is refused before it reaches the domain
├── BadRequest           a request that cannot be read
├── Unauthenticated
├── Forbidden
├── TooManyRequests
├── NoSuchAddress
├── WrongHost            a `Host` header that this service does not answer to (DNS rebinding)
├── NotAcceptedType      a body of a content type that is not read here
├── TooLarge
└── RequestFailed        a worker could not do what was asked
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from experiments.errors import DataError, GradusError, Problem, SpecError
from experiments.field_paths import join
from experiments.film import FilmError
from gradus.wire import ProblemDetails, ProblemItem
from service import errors

MEDIA_TYPE = "application/problem+json"
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


FAULT = "the service failed at this; its log has the reason"


class Refusal(GradusError):
    """A request that is refused before it reaches the domain.

    Attributes:
        problem: where the fault is, what it is, and what would be right.
    """

    def __init__(self, message: str, *, path: str = "", allowed: str | list[str] | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(path, message, allowed)


class BadRequest(Refusal):
    """A request that cannot be read."""


class Unauthenticated(Refusal):
    """No key, or one that is not known or was revoked."""


class Forbidden(Refusal):
    """The key's scopes do not reach this, the thing is another owner's, another site sent the request, or a proxy
    sent it without a key."""


class TooManyRequests(Refusal):
    """The key sends requests faster than it may. `retry_after`: whole seconds until the next one is let through."""

    def __init__(self, message: str, *, retry_after: int, allowed: str) -> None:
        super().__init__(message, allowed=allowed)
        self.retry_after = retry_after


class NoSuchAddress(Refusal):
    """Nothing can have this address."""


class WrongHost(Refusal):
    """A `Host` header that this service does not answer to (DNS rebinding)."""


class NotAcceptedType(Refusal):
    """A body of a content type that is not read here."""


class TooLarge(Refusal):
    """A body over the limit."""


class FilesAway(Refusal):
    """MLflow's store, where people's own files are kept, does not answer."""


class RequestFailed(Refusal):
    """A worker tried what was asked (a prediction, a picture) and could not."""


# The table. The first class of an error's MRO that it holds decides.
STATUS: dict[type[GradusError], HTTPStatus] = {
    SpecError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.UNPROCESSABLE_ENTITY,
    FilmError: HTTPStatus.BAD_GATEWAY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.NoPicture: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.StaleVersion: HTTPStatus.PRECONDITION_FAILED,
    errors.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.QuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyOpenRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.DatasetQuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.BadCursor: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.BrokerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseDamaged: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.WrongSchema: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.BadSettings: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.WeakKey: HTTPStatus.UNPROCESSABLE_ENTITY,
    BadRequest: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    NoSuchAddress: HTTPStatus.NOT_FOUND,
    WrongHost: HTTPStatus.MISDIRECTED_REQUEST,
    NotAcceptedType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RequestFailed: HTTPStatus.BAD_GATEWAY,
    FilesAway: HTTPStatus.SERVICE_UNAVAILABLE,
}
HEADERS: dict[HTTPStatus, dict[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="gradus"'},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "60"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "5"},
}
DESCRIPTIONS: dict[int, str] = {
    400: "The request cannot be read.",
    401: "A key is needed: `Authorization: Bearer …` or `X-API-Key: …`.",
    403: "The key does not allow this, or the request came from another site or, without a key, through a proxy.",
    404: "There is no such thing.",
    405: "The address does not know this method.",
    409: "The present state does not allow this.",
    412: "It changed since it was read: `If-Match` does not match.",
    413: "The body is too large.",
    415: "The body is of a type that is not read here.",
    421: "The service does not answer to this host name.",
    422: "Something in the request is not allowed; `errors` says where, what was found, what is allowed.",
    429: "Too many runs or requests of this owner are waiting, or the key asks too often: `Retry-After` says when.",
    502: "A worker tried and could not do it.",
    503: "The database does not answer now; the request may be repeated as it is.",
}


def documented(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an endpoint that may answer with these statuses, besides those of every one."""
    every = (400, 401, 403, 413, 421, 422, 429, 503)
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {
        code: {"description": DESCRIPTIONS[code], "content": {MEDIA_TYPE: schema}}
        for code in sorted({*every, *codes})
    }


def schemas() -> dict[str, Any]:
    """The JSON schemas that `documented` refers to."""
    schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "ProblemDetails": schema}


def respond(
    request: Request,
    status: int,
    detail: str,
    items: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document as an answer.

    Args:
        status: the HTTP status.
        detail: the whole in one sentence.
        items: the faults, each with its place; the detail alone where there are none.
        headers: besides those that the status always has.
    """
    code = HTTPStatus(status)
    faults = items or (Problem("", detail),)
    body = ProblemDetails(
        title=code.phrase,
        status=status,
        detail=_text(detail),
        instance=_text(request.url.path),
        errors=[ProblemItem(path=_text(p.path), message=_text(p.message), allowed=p.allowed) for p in faults],
    )
    extra = {**HEADERS.get(code, {}), **(headers or {})}
    return JSONResponse(body.model_dump(mode="json"), int(status), extra, MEDIA_TYPE)


def _text(text: str) -> str:
    """Text that UTF-8 can hold: what is refused may be quoted, and may hold half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode()


def status_of(error: GradusError) -> HTTPStatus:
    """The status that the table gives an error; 500 where it has none, which a test forbids."""
    statuses = (STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return next(statuses, HTTPStatus.INTERNAL_SERVER_ERROR)


def respond_to(request: Request, error: Exception) -> JSONResponse:
    """An error of ours as an answer, with the status of the table."""
    assert isinstance(error, GradusError)
    status = status_of(error)
    if isinstance(error, SpecError):
        count = len(error.problems)
        detail = str(error.problems[0]) if count == 1 else f"{count} problems were found in the request"
        return respond(request, status, detail, error.problems)
    items = (error.problem,) if isinstance(error, Refusal) else ()
    retry = {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyRequests) else None
    return respond(request, status, str(error), items, retry)


def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    items = [_problem(entry) for entry in error.errors()]
    return respond(request, 422, "; ".join(map(str, items)), items)


def _problem(entry: Mapping[str, Any]) -> Problem:
    """A pydantic error as a problem: where it is, what the input was, and the bounds that pydantic names."""
    path = ""
    for part in entry["loc"]:
        path = join(path, f"[{part}]" if isinstance(part, int) else str(part))
    context = jsonable_encoder(entry.get("ctx", {}), custom_encoder={Exception: str})
    bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "expected": ""}
    allowed = ", ".join(f"{word} {context[name]}".strip() for name, word in bounds.items() if name in context)
    given = entry.get("input")
    quoted = f": found {given!r}" if isinstance(given, str | int | float | bool) else ""
    return Problem(path, entry["msg"] + quoted[:200], allowed or None)


def respond_to_http(request: Request, error: Exception) -> JSONResponse:
    """An error of the framework as an answer: an address that nothing has, or a method that it does not know."""
    assert isinstance(error, HTTPException)
    detail = DESCRIPTIONS.get(error.status_code, str(error.detail))
    if error.status_code == 405:
        allow = allowed_methods(request)
        return respond(request, 405, detail, [Problem("", detail, allow)], {"Allow": allow})
    if error.status_code == 404:
        detail = f"nothing is at {request.url.path}; the addresses are listed at /docs"
    return respond(request, error.status_code, detail, headers=error.headers)


def allowed_methods(request: Request) -> str:
    """The header `Allow` of an address (RFC 9110, section 10.2.1): the methods of all its routes. Starlette's router
    names those of the first route alone."""
    methods = {
        method
        for method in METHODS
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def respond_to_fault(request: Request, error: Exception) -> JSONResponse:
    """A fault of our own: logged with its trace, told without it."""
    structlog.get_logger().error("request failed", path=request.url.path, exc_info=error)
    return respond(request, 500, FAULT)


def install(app: FastAPI) -> None:
    """Every answer that is not a success goes through here."""
    app.add_exception_handler(GradusError, respond_to)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, respond_to_http)
    app.add_exception_handler(Exception, respond_to_fault)
