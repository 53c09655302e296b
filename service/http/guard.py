"""The middleware: checks of host name, origin, address and body size, headers of every answer, HEAD.

A browser on this machine can be made to send requests to a loopback port: by a name that resolves to 127.0.0.1
(DNS rebinding; refused by the `Host` header) and by a form or script of another site (refused by `Origin`, for
everything that changes something).
"""

from __future__ import annotations

import ipaddress
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

import anyio
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from experiments.errors import GradusError, SpecError
from service.actor import Actor, acting
from service.http.problems import (
    BadRequest,
    Forbidden,
    NoSuchAddress,
    TooLarge,
    WrongHost,
    respond_to,
)
from service.settings import LOOPBACK, Settings

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
DRAINED = (
    16 * 1024**2
)  # bytes over the limit that are read and thrown away, so that a client gets to read its 413
QUIET = frozenset({"/livez", "/readyz", "/metrics"})
ANSWER_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


def hosts_allowed(settings: Settings) -> frozenset[str]:
    """Host names that are answered. Empty means any: bound beyond loopback, keys protect instead."""
    if settings.allowed_hosts:
        named = frozenset(host.lower() for host in settings.allowed_hosts)
        return frozenset() if "*" in named else named
    return frozenset(LOOPBACK) if is_loopback(settings.api_host) else frozenset()


def is_loopback(host: str) -> bool:
    """Whether a bind address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets, lower case; empty where it is malformed."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def same_site(origin: str, host: str) -> bool:
    """Whether a page of `origin` is one of ours; an origin that is malformed is not."""
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


class Guard:
    """ASGI middleware. Answers are problem details, also here."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        max_body_bytes: int,
        larger: Mapping[str, tuple[int, str]] = MappingProxyType({}),
        refuse: Callable[[Request, GradusError], Response] = respond_to,
    ) -> None:
        """Args:
        hosts: names that are answered; empty: any.
        larger: addresses that take larger bodies, with their limit and its setting.
        refuse: how a refusal is answered.
        """
        self.app, self.hosts, self.refuse = app, hosts, refuse
        self.limit, self.larger = (max_body_bytes, "GRADUS_MAX_BODY_BYTES"), larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answered = _Answer(scope, send)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=answered.request_id)
        counted = _Counted(receive, self.limit_of(scope)[0])
        client = scope.get("client")
        with acting(Actor(address=client[0] if client else "", request_id=answered.request_id)) as actor:
            answered.actor = actor
            await self._answer(scope, receive, answered, counted)

    async def _answer(self, scope: Scope, receive: Receive, answered: _Answer, counted: _Counted) -> None:
        try:
            self.check(scope)
        except GradusError as error:
            if isinstance(error, TooLarge):
                await counted.drain()
            await self.refuse(Request(scope), error)(scope, receive, answered.send)
        else:
            await self.app(scope, counted.receive, answered.send)
        finally:
            answered.log()

    def limit_of(self, scope: Scope) -> tuple[int, str]:
        """The largest body that an address takes, and the setting that says so."""
        return self.larger.get(scope["path"], self.limit)

    def check(self, scope: Scope) -> None:
        """What a request line and its headers say already.

        Raises:
            WrongHost: the service does not answer to this host name.
            Forbidden: a page of another site would change something.
            NoSuchAddress: the path has a NUL in it.
            SpecError: the query has a NUL in it.
            BadRequest: the length of the body is not a number.
            TooLarge: the body says that it is over the limit.
        """
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts and host_name(host) not in self.hosts:
            raise WrongHost(
                f"this service does not answer to the host {host!r} (GRADUS_ALLOWED_HOSTS)",
                path="header.host",
                allowed=sorted(self.hosts),
            )
        origin = headers.get("origin")
        if origin is not None and scope["method"] not in SAFE and not same_site(origin, host):
            raise Forbidden(
                f"a page of {origin} may not change anything here",
                path="header.origin",
                allowed=f"pages of http://{host}",
            )
        # PostgreSQL has no text with NUL in it, so nothing has such a name; half a surrogate pair never gets here.
        if "\0" in scope["path"]:
            raise NoSuchAddress("nothing has an address with the character NUL (%00) in it", path="path")
        if b"%00" in scope["query_string"]:
            raise SpecError.one("query", "the character NUL (%00) is in it", "text without NUL")
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise BadRequest(
                f"{length!r} is not a number", path="header.content-length", allowed="a number of bytes"
            )
        limit, setting = self.limit_of(scope)
        if int(length) > limit:
            raise TooLarge(f"the body has {length} bytes ({setting})", allowed=f"at most {limit}")


class _Counted:
    """The request's body, counted as it comes, for bodies that do not say their length."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self.limit, self.total = receive, limit, 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.total += len(message.get("body", b""))
        if self.total > self.limit:
            if message.get("more_body", False):  # where this was the last, waiting for another never ends
                await self.drain()
            raise HTTPException(413)
        return message

    async def drain(self) -> None:
        """Throw the rest away. Closing at once would reset the connection before the client reads the answer."""
        more = True
        while more and self.total <= self.limit + DRAINED:
            message = await self._receive()
            self.total += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)


class _Answer:
    """Adds the headers of every answer and writes the access log."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self._send = scope, send
        self.started = time.perf_counter()
        self.status = 0
        self.request_id = uuid.uuid4().hex[:12]
        self.actor = Actor()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            for name, value in ANSWER_HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self.request_id
        await self._send(message)

    def log(self) -> None:
        quiet = self.scope["path"] in QUIET and self.status == 200
        structlog.get_logger("gradus.api").log(
            10 if quiet else 20,
            "request",
            method=self.scope["method"],
            path=self.scope["path"],
            status=self.status,
            address=self.actor.address,
            owner=self.actor.owner,
            key_id=self.actor.key_id,  # not `key`: names with that word are masked
            ms=round((time.perf_counter() - self.started) * 1000, 1),
        )
        app, route = self.scope.get("app"), self.scope.get("route")
        if app is not None:
            template = getattr(route, "path", "unknown")
            seconds = time.perf_counter() - self.started
            app.state.measures.request(self.scope["method"], template, self.status, seconds)


class HeadAsGet:
    """ASGI middleware: HEAD is answered as GET is, without the body (RFC 9110, section 9.3.2). A stream ends where its body would begin."""

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
