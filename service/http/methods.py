"""HEAD wherever GET is, and what a 405 allows (RFC 9110, sections 9.3.2 and 10.2.1)."""

from __future__ import annotations

import anyio
from fastapi import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class HeadAsGet:
    """ASGI middleware: HEAD is answered as GET is, without the body. A stream ends where its body would begin."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        with anyio.CancelScope() as answering:

            async def headers_only(message: Message) -> None:
                if message["type"] != "http.response.body":
                    await send(message)
                    return
                await send({"type": "http.response.body", "body": b""})
                if message.get("more_body", False):
                    answering.cancel()

            await self.app({**scope, "method": "GET"}, receive, headers_only)


def allowed_methods(request: Request) -> str:
    """The header `Allow` for an address: what any of its routes answers, where the router names the first one's."""
    found = {
        method
        for method in METHODS
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    return ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))
