"""What every page shares: who looks, in which language, and how a template becomes an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from experiments.errors import GradusError, Problem, SpecError
from service import operations
from service.html import templates
from service.http.auth import Principal, of_key, person_here
from service.http.dependencies import SettingsDep, StoreDep
from service.http.guard import is_loopback
from service.http.problems import (
    FAULT,
    Forbidden,
    Unauthenticated,
    respond_to,
    respond_to_fault,
    respond_to_http,
    status_of,
)
from service.settings import Settings
from service.store import Store
from service.tracking.urls import MlflowPages
from service.words import LANGUAGES, Words

SESSION, LANGUAGE = "gradus_session", "gradus_language"
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Visit:
    """One look at a page. `who` is None where a key is needed and the browser is not logged in."""

    request: Request
    store: Store
    settings: Settings
    words: Words
    who: Principal | None

    @property
    def person(self) -> Principal:
        """Who looks.

        Raises:
            Unauthenticated: nobody is logged in.
        """
        if self.who is None:
            raise Unauthenticated(self.words("login.needed"))
        return self.who

    @property
    def mlflow(self) -> MlflowPages | None:
        """MLflow's pages, where the visitor's machine can reach them: an address on loopback is that of this machine."""
        address, client = self.settings.public_mlflow_url, self.request.client
        here = client is None or is_loopback(client.host)
        return MlflowPages(address) if here or not is_loopback(urlsplit(address).hostname or "") else None

    @property
    def writer(self) -> Principal:
        """Who looks, where they may change something.

        Raises:
            Unauthenticated: nobody is logged in.
            Forbidden: the key may only read.
        """
        if not self.person.may("write"):
            raise Forbidden(self.words("error.read_only"), allowed="a key with the scope write")
        return self.person

    def page(self, template: str, status: int = 200, **names: object) -> HTMLResponse:
        """A template as an answer. It sees `t` (the words), `visit` and `names`."""
        return HTMLResponse(
            self.render(template, **names),
            status,
            headers={"Content-Security-Policy": CSP, "Cache-Control": "no-store"},
        )

    def render(self, template: str, **names: object) -> str:
        """A template as text: a page, or a part of one."""
        environment = templates("service.web")
        return environment.get_template(template).render(
            t=self.words, visit=self, assets=fingerprints(), languages=LANGUAGES, **names
        )

    def problems(self, error: GradusError) -> list[Problem]:
        """An error as what a page lists, in the language of the page."""
        return [self.in_words(problem) for problem in problems_of(error)]

    def in_words(self, problem: Problem) -> Problem:
        """A problem in the language of the page. Names that are allowed stay as they are."""
        allowed = problem.allowed
        said = self.words.problem(allowed) if isinstance(allowed, str) else allowed
        return Problem(problem.path, self.words.problem(problem.message), said)


def problems_of(error: GradusError) -> list[Problem]:
    return list(error.problems) if isinstance(error, SpecError) else [Problem("", str(error))]


def language_of(request: Request) -> str:
    """The language that the address asks for, else the one chosen before, else the browser's wish, else English."""
    for wish in (request.query_params.get("lang"), request.cookies.get(LANGUAGE)):
        if wish in LANGUAGES:
            return str(wish)
    wishes = [
        part.split(";")[0].strip().lower() for part in request.headers.get("accept-language", "").split(",")
    ]
    return next((wish[:2] for wish in wishes if wish[:2] in LANGUAGES), LANGUAGES[0])


def visit(request: Request, store: StoreDep, settings: SettingsDep) -> Visit:
    """Who looks at a page, in which language.

    Raises:
        Forbidden: no key is needed, and a proxy handed the request on.
    """
    who = None
    if not settings.needs_key:
        who = person_here(request, settings)
    elif (key := operations.session_key(store, request.cookies.get(SESSION, ""))) is not None:
        who = of_key(key, settings, request.app.state.rates)
    return Visit(request, store, settings, Words(language_of(request)), who)


VisitDep = Annotated[Visit, Depends(visit)]


class PageRoute(APIRoute):
    """A route whose errors are pages for people. Without a session the browser is sent to log in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            try:
                answer = await handle(request)
            except Unauthenticated as error:
                if request.method != "GET":
                    return error_page(request, error)
                return RedirectResponse(f"/login?next={request.url.path}", 303)
            except (GradusError, HTTPException, RequestValidationError) as error:
                return error_page(request, error)
            wish = request.query_params.get("lang")
            if wish in LANGUAGES:
                answer.set_cookie(LANGUAGE, str(wish), max_age=365 * 86400, samesite="lax")
            return answer

        return handle_page


def error_page(request: Request, error: GradusError | HTTPException | RequestValidationError) -> HTMLResponse:
    """An error as a page, with the status of the one table."""
    state = request.app.state
    shown = Visit(request, state.store, state.settings, Words(language_of(request)), None)
    if isinstance(error, GradusError):
        status, problems = int(status_of(error)), shown.problems(error)
    elif isinstance(error, HTTPException):
        status, problems = error.status_code, [shown.in_words(Problem("", str(error.detail)))]
    else:
        status, problems = 422, [Problem("", shown.words("error.form"))]
    return shown.page("error.html", status, code=status, problems=problems)


def shows_pages(request: Request) -> bool:
    """Whether a browser asks for a page. Programs, and scripts of pages, get problem documents."""
    return not request.url.path.startswith("/v1/") and "text/html" in request.headers.get("accept", "")


def nothing_here(request: Request, error: Exception) -> Response:
    """The answer at an address that nothing has, or that does not know the method."""
    assert isinstance(error, HTTPException)
    if not shows_pages(request):
        return respond_to_http(request, error)
    return error_page(request, HTTPException(404, f"there is no page at {request.url.path}"))


def refused(request: Request, error: GradusError) -> Response:
    """The answer to what is refused before any page sees it, such as a file that is too large."""
    return error_page(request, error) if shows_pages(request) else respond_to(request, error)


def failed(request: Request, error: Exception) -> Response:
    """The answer to a fault of our own, which is logged."""
    answer = respond_to_fault(request, error)
    return error_page(request, HTTPException(500, FAULT)) if shows_pages(request) else answer


@cache
def asset(name: str) -> bytes | None:
    """The bytes of a file in `static/`; None where there is no such file."""
    if "/" in name or name.startswith("."):
        return None
    source = files("service.web") / "static" / name
    return source.read_bytes() if source.is_file() else None


@cache
def fingerprints() -> Mapping[str, str]:
    """The address of every file in `static/`, with a hash of its content: a browser may keep it for good."""
    names = sorted(entry.name for entry in (files("service.web") / "static").iterdir() if entry.is_file())
    digests: dict[str, Any] = {name: hashlib.sha256(asset(name) or b"").hexdigest()[:12] for name in names}
    return {name: f"/static/{name}?v={digest}" for name, digest in digests.items()}
