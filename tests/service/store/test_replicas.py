"""Two API processes on one database behind Caddy, as docs/operations.md sets them up: whoever answers, it is one API."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection

from service import operations
from service.embedded.ports import free_port
from service.store import Store
from service.store.migrate import upgrade
from tests.streams import events_of

ROOT = Path(__file__).resolve().parents[3]
SPEC = {
    "name": "shared",
    "dataset": {"name": "linear"},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "sweep": {"seeds": 3},
}
WHO = "gradus-replica"


class Replicas:
    """Two of them, and a client that speaks to the proxy alone, with a key."""

    def __init__(self, database_url: str, home: Path) -> None:
        upgrade(database_url)
        self.database_url = database_url
        store = Store(database_url)
        _, secret = operations.create_key(store, owner="ann", scopes=["admin"])
        store.close()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADUS_")}
        self.ports = [free_port(), free_port()]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "service.api"],
                env={
                    **kept,
                    "GRADUS_HOME": str(home),
                    "GRADUS_DATABASE_URL": database_url,
                    "GRADUS_API_PORT": str(port),
                    "GRADUS_AUTH_REQUIRED": "true",
                    "GRADUS_ALLOWED_HOSTS": "127.0.0.1,localhost",
                },
                stderr=subprocess.DEVNULL,
            )
            for port in self.ports
        ]
        for port in self.ports:  # before the proxy sees one down and passes it over
            _wait(f"http://127.0.0.1:{port}")
        port = free_port()
        proxy = f"http://127.0.0.1:{port}"
        self.processes.append(
            subprocess.Popen(
                [Path(sys.executable).with_name("caddy"), "run", "--config", ROOT / "deploy" / "Caddyfile"],
                env={
                    **kept,
                    "XDG_CONFIG_HOME": str(home),
                    "XDG_DATA_HOME": str(home),
                    "GRADUS_ADDRESS": f":{port}",  # whatever the client calls it
                    "GRADUS_REPLICAS": " ".join(f"127.0.0.1:{port}" for port in self.ports),
                },
                stderr=subprocess.DEVNULL,
            )
        )
        key = {"Authorization": f"Bearer {secret}"}
        self.http = httpx.Client(base_url=proxy, headers=key, trust_env=False, timeout=30)
        _wait(proxy)

    def submit(self, **headers: str) -> httpx.Response:
        return self.http.post("/v1/experiments", json=SPEC, headers=headers)

    def by_each(self, ask: Callable[[], httpx.Response]) -> list[httpx.Response]:
        """The first answer of each replica to the same request."""
        answers: dict[str, httpx.Response] = {}
        deadline = time.monotonic() + 30
        while len(answers) < 2:
            assert time.monotonic() < deadline, f"only {list(answers)} answers"
            answer = ask()
            answers.setdefault(answer.headers[WHO], answer)
        return list(answers.values())

    def kill(self, who: str) -> None:
        process = self.processes[self.ports.index(int(who.rpartition(":")[2]))]
        process.kill()
        process.wait()

    def close(self) -> None:
        self.http.close()
        for process in self.processes:
            process.kill()
            process.wait()


def _wait(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{address}/livez", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, address
        time.sleep(0.05)


@pytest.fixture
def replicas(database_url: str, tmp_path: Path) -> Iterator[Replicas]:
    made = Replicas(database_url, tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_they_are_one_api_also_when_one_dies(replicas: Replicas) -> None:
    _nobody_gets_in_without_a_key(replicas)
    _a_key_makes_one_experiment(replicas)
    _a_tag_counts_with_both(replicas)
    _a_stream_goes_on_with_the_other(replicas)


def _nobody_gets_in_without_a_key(replicas: Replicas) -> None:
    """Also under the name by which the person at this machine calls it."""
    for host in ("127.0.0.1", "localhost"):
        with httpx.Client(
            base_url=replicas.http.base_url, headers={"host": host}, trust_env=False
        ) as anybody:
            body = {"owner": "mallory", "scopes": ["admin"]}
            assert anybody.post("/v1/keys", json=body).status_code == 401
            assert anybody.get("/v1/experiments").status_code == 401


def _a_key_makes_one_experiment(replicas: Replicas) -> None:
    first, second = replicas.by_each(lambda: replicas.submit(**{"Idempotency-Key": "a-key"}))
    assert first.status_code == 201
    assert second.json()["id"] == first.json()["id"]
    if replicas.database_url.startswith("postgresql"):
        with working_on(replicas.database_url, "idempotency:ann:at-once"):
            refused = replicas.by_each(lambda: replicas.submit(**{"Idempotency-Key": "at-once"}))
        assert [answer.status_code for answer in refused] == [409, 409]
        assert all("in flight" in answer.text for answer in refused)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: replicas.submit(**{"Idempotency-Key": "at-once"}), range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.headers[WHO] for answer in answers} == {first.headers[WHO], second.headers[WHO]}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len(replicas.http.get("/v1/experiments").json()["items"]) == 2


@contextlib.contextmanager
def working_on(database_url: str, name: str) -> Iterator[None]:
    """Another process is in the middle of a transaction on this name."""
    store, began, end = Store(database_url), threading.Event(), threading.Event()

    def work(_: Connection) -> None:
        began.set()
        assert end.wait(60)

    with ThreadPoolExecutor(1) as pool:
        transaction = pool.submit(store.write, work, lock_name=name)
        try:
            assert began.wait(30)
            yield
        finally:
            end.set()
        transaction.result()
    store.close()


def _a_tag_counts_with_both(replicas: Replicas) -> None:
    """And is stale for both after a change."""
    path = f"/v1/experiments/{replicas.submit().json()['id']}"
    shown, other = replicas.by_each(lambda: replicas.http.get(path))
    tag = {"If-Match": shown.headers["etag"]}
    assert other.headers["etag"] == tag["If-Match"]
    changed = replicas.http.patch(path, json={"priority": 3}, headers=tag)
    assert changed.status_code == 200
    stale = replicas.by_each(lambda: replicas.http.patch(path, json={"priority": 4}, headers=tag))
    assert [answer.status_code for answer in stale] == [412, 412]
    assert replicas.http.get(shown.json()["links"]["self"]).json()["priority"] == 3


def _a_stream_goes_on_with_the_other(replicas: Replicas) -> None:
    id = replicas.submit().json()["id"]
    with replicas.http.stream("GET", f"/v1/experiments/{id}/events") as stream:
        who, events = stream.headers[WHO], events_of(stream)
        seen = [next(events)]  # it is here while the stream is open: the proxy keeps nothing back
        replicas.kill(who)
        with pytest.raises(httpx.TransportError):
            seen += events
    while (answer := replicas.http.post(f"/v1/experiments/{id}/cancel")).headers[WHO] == who:
        pass
    assert answer.status_code == 202
    resume = {"Last-Event-ID": seen[-1].id}
    with replicas.http.stream("GET", f"/v1/experiments/{id}/events", headers=resume) as stream:
        assert stream.headers[WHO] != who
        rest = list(events_of(stream))
    assert rest[-1].kind == "end"
    numbers = [event.id for event in (*seen, *rest[:-1])]
    assert len(set(numbers)) == len(numbers), "nothing twice"
    killed = [event.data["run_id"] for event in rest if event.data.get("status") == "KILLED"]
    assert len(set(killed)) == 3, "nothing missing"
