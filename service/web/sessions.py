"""Log in with a key, log out, and the files of the pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from service import operations
from service.web.view import SESSION, PageRoute, Visit, VisitDep, asset

router = APIRouter(include_in_schema=False, route_class=PageRoute)
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@router.get("/login")
def login_page(visit: VisitDep, next: str = "/") -> Response:
    """The form that asks for a key."""
    return visit.page("login.html", next=local(next), refused=False)


@router.post("/login")
def log_in(
    visit: VisitDep,
    key: Annotated[str, Form(max_length=500)],
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Begin a session. The key itself is not kept in the browser."""
    answer = logged_in(visit, key.strip(), RedirectResponse(local(next), 303))
    return answer or visit.page("login.html", 401, next=local(next), refused=True)


def logged_in(visit: Visit, key: str, answer: Response) -> Response | None:
    """The answer, with the cookie of a new session; None where the key is not known or was revoked."""
    token = operations.open_session(visit.store, key, visit.settings.session_seconds)
    if token is None:
        return None
    answer.set_cookie(
        SESSION,
        token,
        httponly=True,
        samesite="lax",
        secure=visit.request.url.scheme == "https",
        max_age=int(visit.settings.session_seconds),
    )
    return answer


@router.post("/logout")
def log_out(visit: VisitDep) -> Response:
    """End the session, in the database too: the cookie is worth nothing afterwards."""
    operations.close_session(visit.store, visit.request.cookies.get(SESSION, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(SESSION, httponly=True, samesite="lax")
    return answer


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    """A style, script or picture of the pages."""
    content, kind = asset(name), name.rpartition(".")[2]
    if content is None or kind not in KINDS:
        raise HTTPException(404, f"there is no file {name!r}")
    return Response(
        content, media_type=KINDS[kind], headers={"Cache-Control": "public, max-age=31536000, immutable"}
    )


def local(address: str) -> str:
    """The address, if it is a path of this service; else the start page. `//host` is another site."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/"
