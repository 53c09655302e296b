"""`/docs`: Swagger UI over the OpenAPI document. Its files come from a package: nothing is loaded from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

router = APIRouter(include_in_schema=False)
KINDS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
CSP = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
def docs() -> HTMLResponse:
    """The page. Its addresses are relative, so that they hold behind a proxy under any path."""
    page = get_swagger_ui_html(
        title="Gradus API",
        openapi_url="openapi.json",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="static/gradus.svg",
        swagger_ui_parameters={"validatorUrl": None},  # a picture of a validator's site, else
    )
    page.headers["Content-Security-Policy"] = CSP
    return page


@router.get("/docs/{name}")
def file(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in KINDS:
        raise HTTPException(404)
    return Response(_file(name), media_type=KINDS[name], headers={"Cache-Control": "max-age=86400"})


@cache
def _file(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()
