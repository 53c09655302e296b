"""Events over connections that break: none is lost, none comes twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from gradus import Client, Event
from gradus.errors import Unreachable
from service import operations
from service.store import queries
from tests.service.api.conftest import SPEC, Served
from tests.streams import events_of

LIMIT = 700  # bytes that a connection may carry back: some hundred are headers, an event is about 200


@contextmanager
def cutting(url: str, limits: list[int]) -> Iterator[tuple[str, list[int]]]:
    """A proxy to `url` that resets its n-th connection after `limits[n]` bytes of the answer, and leaves later ones
    whole; and the numbers of bytes that the connections carried."""
    target = urlsplit(url)
    carried: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            limit = limits[len(carried)] if len(carried) < len(limits) else None
            number = len(carried)
            carried.append(0)
            with near, socket.create_connection((str(target.hostname), target.port or 80)) as far:
                far.sendall(near.recv(65536))
                while chunk := far.recv(65536):
                    if limit is not None:
                        chunk = chunk[: limit - carried[number]]
                    near.sendall(chunk)
                    carried[number] += len(chunk)
                    if limit is not None and carried[number] >= limit:
                        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        break

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", carried
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def over(api: Served) -> str:
    """An experiment whose runs are over, with an event for each of 12 epochs of its first run; its id."""
    experiment = api.submit(SPEC)
    first, *others = queries.all_runs(api.store, experiment.id)
    api.finish(first.id, metrics=[("train/loss", step, 1 / step) for step in range(1, 13)])
    for run in others:
        operations.cancel_run(api.store, run.id)
    return str(experiment.id)


def whole_story(api: Served, id: str) -> list[Event]:
    with (
        httpx.Client(base_url=api.url, trust_env=False) as http,
        http.stream("GET", f"/v1/experiments/{id}/events") as answer,
    ):
        return list(events_of(answer))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on at once, whatever pause the service asks for."""
    monkeypatch.setattr("gradus.transport.sleep", lambda seconds: None)


def test_a_connection_that_breaks_anywhere_loses_and_doubles_nothing(api: Served) -> None:
    id = over(api)
    expected = whole_story(api, id)
    assert len(expected) > 15
    limits = [
        LIMIT + 37 * number for number in range(9)
    ]  # cut within lines, between lines and between events
    with cutting(api.url, limits) as (url, carried), Client(url) as client:
        events = list(client.http.events(f"/v1/experiments/{id}/events"))
    assert carried[: len(limits)] == limits, "every limited connection was cut"
    assert [(e.id, e.kind, e.data) for e in events] == [(e.id, e.kind, e.data) for e in expected]
    assert len({event.id for event in events[:-1]}) == len(events) - 1


def test_events_after_one_that_is_known(api: Served, client: Client) -> None:
    id = over(api)
    expected = whole_story(api, id)
    rest = list(client.experiment(id).events(after=expected[4].id))
    assert [event.id for event in rest[:-1]] == [event.id for event in expected[5:-1]]
    assert rest[0].at == expected[5].at


def test_a_service_that_does_not_answer_at_first_is_not_waited_for() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(Unreachable):
        list(client.http.events("/v1/runs/abc/events"))


def test_a_service_that_stays_away_is_given_up(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    id = over(api)
    monkeypatch.setattr("gradus.transport.PATIENCE", 0.2)
    with cutting(api.url, [LIMIT]) as (url, _):
        events = Client(url).http.events(f"/v1/experiments/{id}/events")
        assert next(events).kind
    with pytest.raises(Unreachable, match="cannot be reached"):
        list(events)
