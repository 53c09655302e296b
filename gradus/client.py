"""The API over httpx: requests, pages, ids, and server-sent events."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx

from gradus.addresses import path_of
from gradus.errors import UNREACHABLE, USAGE, CommandError, Refused

Json = dict[str, Any]
TIMEOUT = httpx.Timeout(30.0, connect=3.0)
PATIENCE = 120.0  # seconds without the service before a stream is given up


@dataclass(frozen=True)
class ServerEvent:
    """One server-sent event."""

    id: str
    kind: str
    data: Json


class Client:
    """The service at an address, with a key. Every failure is a CommandError with its exit status.

    url: the address for people, without the user and password that it may hold.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        """Raises CommandError where `url` is no address or `key` no key."""
        address = url.rstrip("/")
        self.url = re.sub(r"(?<=://).*@", "***@", address)
        if not _is_address(address):
            raise CommandError(
                f"GRADUS_URL is {self.url!r}, which is no address of a service (allowed: http://HOST:PORT, or https)",
                USAGE,
            )
        # The transport would print it, to say that it cannot be sent.
        if key and not re.fullmatch("[!-~]+", key):
            raise CommandError(
                "GRADUS_API_KEY holds a character that no key has (allowed: letters, digits, signs; no spaces)",
                USAGE,
            )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request.

        Raises:
            CommandError: with status 3 where the service cannot be reached.
            Refused: the answer is a problem.
        """
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error
        if answer.status_code >= 400:
            raise Refused(answer.status_code, _problem(answer))
        return answer

    def get(self, path: str, **params: Any) -> Any:
        return self._json(
            self.request("GET", path, params={k: v for k, v in params.items() if v is not None})
        )

    def ready(self) -> Any:
        """What the service reaches; its answer is read also where it is 503."""
        try:
            return self._json(self._http.get("/readyz"))
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error

    def post(self, path: str, body: object = None, **options: Any) -> Any:
        return self._json(self.request("POST", path, **options, **({} if body is None else {"json": body})))

    def _json(self, answer: httpx.Response) -> Any:
        """What a service of ours answers. Raises CommandError: anything else answered."""
        try:
            found = answer.json()
        except ValueError as error:
            raise stranger(self.url, answer) from error
        if not isinstance(found, dict):
            raise stranger(self.url, answer)
        return found

    def items(
        self, path: str, most: int | None = None, params: Mapping[str, Any] = MappingProxyType({})
    ) -> Iterator[Json]:
        """The items of a list over its pages."""
        given = 0
        address: str | None = path
        while address is not None:
            page = self._json(self.request("GET", address, params=dict(params)))
            for item in page["items"]:
                if most is not None and given >= most:
                    return
                given += 1
                yield item
            address, params = page["next"], {}  # the next page's address holds them

    def find(self, id: str) -> tuple[str, Json]:
        """What an id, perhaps shortened, belongs to: ("experiments" or "runs", the thing).

        Raises:
            CommandError: it is no id, belongs to nothing, or to both a run and an experiment.
        """
        found, refused = [], []
        for kind in ("experiments", "runs"):
            try:
                found.append((kind, self.get(path_of(kind, id))))
            except Refused as error:
                if error.code != 404:
                    raise
                refused.append(str(error))
        if len(found) > 1:
            raise CommandError(f"{id!r} begins the id of an experiment and of a run; give more of it", USAGE)
        if not found:
            ambiguous = [text for text in refused if "more than one" in text]
            raise CommandError((ambiguous or [f"no experiment or run has the id {id!r}"])[0], USAGE)
        return found[0]

    def events(self, path: str) -> Iterator[ServerEvent]:
        """The events of a thing from its beginning to its end; resumed where the connection broke.

        Raises:
            CommandError: the service stayed away for two minutes.
        """
        last, away_since = "", time.monotonic()
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            try:
                with self._http.stream(
                    "GET", path, headers=headers, timeout=httpx.Timeout(60, connect=3)
                ) as answer:
                    if answer.status_code >= 400:
                        answer.read()
                        raise Refused(answer.status_code, _problem(answer))
                    if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                        raise stranger(self.url, answer)
                    for event in parse_events(answer.iter_lines()):
                        away_since = time.monotonic()
                        last = event.id or last
                        yield event
                        if event.kind == "end":
                            return
            except httpx.TransportError as error:
                if time.monotonic() - away_since > PATIENCE:
                    raise unreachable(self.url, error) from error
            time.sleep(1.0)


def _is_address(text: str) -> bool:
    try:
        address = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return address.scheme in ("http", "https") and bool(address.host) and 0 < (address.port or 80) < 65536


def parse_events(lines: Iterator[str]) -> Iterator[ServerEvent]:
    """The text of an event stream as events, as the HTML standard reads it."""
    id, kind = "", "message"
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield ServerEvent(id, kind, json.loads("\n".join(data)))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            id = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)


def unreachable(url: str, error: Exception) -> CommandError:
    remedy = "start it with `gradus up`, or set GRADUS_URL to where it runs; `gradus doctor` says more"
    return CommandError(f"the service at {url} cannot be reached ({error}); {remedy}", UNREACHABLE)


def stranger(url: str, answer: httpx.Response) -> CommandError:
    """Something else listens at the address."""
    kind = answer.headers.get("Content-Type") or "nothing that has a type"
    return CommandError(
        f"what answers at {url} is no Gradus service: it sent {kind}; set GRADUS_URL to where one runs",
        UNREACHABLE,
    )


def _problem(answer: httpx.Response) -> Json:
    try:
        body = answer.json()
    except ValueError:
        body = None
    plain: Json = {
        "detail": f"{answer.url.path} was answered with status {answer.status_code}: {answer.text[:200]}"
    }
    return body if isinstance(body, dict) else plain
