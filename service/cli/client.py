"""The API over httpx: requests, pages, ids, and server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from service.cli.failures import UNREACHABLE, USAGE, CommandError, Refused
from service.settings import Settings

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
    """The service at an address, with a key. Every failure is a CommandError with its exit status."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.url.rstrip("/")
        key = settings.api_key.get_secret_value() if settings.api_key else None
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request.

        Raises:
            CommandError: with status 3 where the service cannot be reached.
            Refused: the answer is a problem.
        """
        try:
            answer = self._http.request(method, path, **options)
        except httpx.InvalidURL as error:
            raise CommandError(f"{self.url!r} is not an address: {error} (GRADUS_URL)", USAGE) from error
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error
        if answer.status_code >= 400:
            raise Refused(answer.status_code, _problem(answer))
        return answer

    def get(self, path: str, **params: Any) -> Any:
        return self.request("GET", path, params={k: v for k, v in params.items() if v is not None}).json()

    def ready(self) -> Any:
        """What the service reaches; its answer is read also where it is 503."""
        try:
            return self._http.get("/readyz").json()
        except (httpx.TransportError, ValueError) as error:
            raise unreachable(self.url, error) from error

    def post(self, path: str, body: object = None) -> Any:
        return self.request("POST", path, **({} if body is None else {"json": body})).json()

    def items(self, path: str, most: int | None = None, **params: Any) -> Iterator[Json]:
        """The items of a list over its pages."""
        given = 0
        address: str | None = path
        while address is not None:
            page = self.get(address, **params)
            for item in page["items"]:
                if most is not None and given >= most:
                    return
                given += 1
                yield item
            address, params = page["next"], {}

    def find(self, id: str) -> tuple[str, Json]:
        """What an id, perhaps shortened, belongs to: ("experiments" or "runs", the thing).

        Raises:
            CommandError: it belongs to nothing, or to both a run and an experiment.
        """
        if not id or "/" in id:
            raise CommandError(f"{id!r} is not an id", USAGE)
        found, refused = [], []
        for kind in ("experiments", "runs"):
            try:
                found.append((kind, self.get(f"/v1/{kind}/{id}")))
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


def _problem(answer: httpx.Response) -> Json:
    try:
        body = answer.json()
    except ValueError:
        body = None
    plain: Json = {"detail": f"{answer.url} answered with status {answer.status_code}: {answer.text[:200]}"}
    return body if isinstance(body, dict) else plain
