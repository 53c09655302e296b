"""HTTP to the service: requests, the pages of lists, and server-sent events that survive a broken connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, connect_sse

from gradus.errors import Refused, Unreachable, UsageError, refused
from gradus.events import Event

Json = dict[str, Any]
TIMEOUT = httpx.Timeout(30.0, connect=3.0)
STREAM_TIMEOUT = httpx.Timeout(60.0, connect=3.0)  # the service sends a comment every 15 seconds
PATIENCE = 120.0  # seconds without the service before a stream is given up
AWAY = (502, 503, 504)  # answers of a service, or a proxy before it, that starts again
RETRY = 1.0  # seconds before a broken stream is opened again, where the service names no other
_ID = re.compile(r"[0-9A-Za-z_-]+")


def path_of(kind: str, id: str, *rest: str) -> str:
    """`/v1/KIND/ID/…` for an id as a person typed it.

    Raises:
        UsageError: it is no id, so that it would lead to another place or to none.
    """
    if not _ID.fullmatch(id):
        raise UsageError(f"{id!r} is not an id (allowed: letters and digits, as lists print them)")
    return "/".join(("/v1", kind, id, *rest))


class Transport:
    """The service at an address, with a key.

    Attributes:
        url: the address for people, without the user and password that it may hold.
    """

    def __init__(self, url: str, key: str | None) -> None:
        """Raises UsageError where `url` is no address or `key` no key."""
        address = url.rstrip("/")
        self.url = re.sub(r"(?<=://).*@", "***@", address)
        if not _is_address(address):
            raise UsageError(
                f"GRADUS_URL is {self.url!r}, which is no address of a service (allowed: http://HOST:PORT, or https)"
            )
        # httpx would print the key, to say that it cannot be sent.
        if key and not re.fullmatch("[!-~]+", key):
            raise UsageError(
                "GRADUS_API_KEY holds a character that no key has (allowed: letters, digits, signs; no spaces)"
            )
        self._address = address
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @cached_property
    def _http(self) -> httpx.Client:
        """Made at the first request: reading the certificate authorities takes 0.1 s."""
        return httpx.Client(base_url=self._address, headers=self._headers, timeout=TIMEOUT)

    def close(self) -> None:
        if "_http" in vars(self):
            self._http.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer to one request, whatever its status. Raises Unreachable."""
        try:
            return self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer to one request.

        Raises:
            Unreachable: the service does not answer.
            Refused: the answer is a problem.
        """
        answer = self.send(method, path, **options)
        if answer.status_code >= 400:
            raise refused(answer.status_code, _problem(answer))
        return answer

    def json(self, method: str, path: str, **options: Any) -> Json:
        """The JSON object that answers a request. Raises as `request`."""
        return self.object_of(self.request(method, path, **options))

    def object_of(self, answer: httpx.Response) -> Json:
        """The JSON object in an answer. Raises Unreachable: something else than our service sent it."""
        try:
            body = answer.json()
        except ValueError as error:
            raise self._stranger(answer) from error
        if not isinstance(body, dict):
            raise self._stranger(answer)
        return body

    def items(
        self, path: str, most: int | None = None, params: Mapping[str, Any] = MappingProxyType({})
    ) -> Iterator[Json]:
        """The items of a list, page after page.

        Args:
            most: at most so many.
            params: filters and page size.
        """
        given = 0
        address: str | None = path
        while address is not None:
            page = self.json("GET", address, params=dict(params))
            for item in page["items"]:
                if most is not None and given >= most:
                    return
                given += 1
                yield item
            address, params = page["next"], {}  # the next page's address holds them

    def events(self, path: str, after: str = "") -> Iterator[Event]:
        """The events of a stream until its `end`, each once: a broken connection is opened again after the last event
        that was received whole.

        Args:
            path: the stream's address.
            after: id of the event after which to begin; empty for all.

        Raises:
            Refused: the service answered with a problem.
            Unreachable: the service does not answer at first, or stayed away for two minutes.
        """
        last, retry = after, RETRY
        seen: float | None = None  # when the service was last heard of
        while True:
            try:
                for message in self._messages(path, last):
                    seen, last = monotonic(), message.id or last
                    retry = retry if message.retry is None else message.retry / 1000
                    if message.data:
                        yield Event.of(message.id, message.event, message.json())
                    if message.event == "end":
                        return
            except (Unreachable, Refused) as error:
                passing = isinstance(error, Unreachable) or error.status in AWAY
                if not passing or seen is None or monotonic() - seen > PATIENCE:
                    raise
            sleep(retry)

    def _messages(self, path: str, last: str) -> Iterator[ServerSentEvent]:
        """What one connection gives. Raises Unreachable, Refused."""
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with connect_sse(self._http, "GET", path, headers=headers, timeout=STREAM_TIMEOUT) as source:
                answer = source.response
                if answer.status_code >= 400:
                    answer.read()
                    raise refused(answer.status_code, _problem(answer))
                if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                    raise self._stranger(answer)
                yield from source.iter_sse()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        remedy = "start it with `gradus up`, or set GRADUS_URL to where it runs; `gradus doctor` says more"
        return Unreachable(f"the service at {self.url} cannot be reached ({error}); {remedy}")

    def _stranger(self, answer: httpx.Response) -> Unreachable:
        kind = answer.headers.get("Content-Type") or "nothing that has a type"
        return Unreachable(
            f"what answers at {self.url} is no Gradus service: it sent {kind}; set GRADUS_URL to where one runs"
        )


def _is_address(text: str) -> bool:
    try:
        address = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return address.scheme in ("http", "https") and bool(address.host) and 0 < (address.port or 80) < 65536


def _problem(answer: httpx.Response) -> Json:
    try:
        body = answer.json()
    except ValueError:
        body = None
    plain: Json = {
        "detail": f"{answer.url.path} was answered with status {answer.status_code}: {answer.text[:200]}"
    }
    return body if isinstance(body, dict) else plain
