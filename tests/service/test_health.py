"""Health asks each thing for what it is needed for: the faults here all leave a pulse."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import redis

from service import health, operations
from service.entities import Committed, Worker
from service.settings import Settings
from service.store import Store
from service.store.migrate import upgrade
from tests.service.conftest import World
from tests.service.test_queue import Valkey


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, mlflow_url="http://127.0.0.1:9", _env_file=None)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    upgrade(settings.sql_url)
    made = Store(settings.sql_url)
    yield made
    made.close()


class PulseOnly(BaseHTTPRequestHandler):
    """An MLflow that refuses the host name: /health says 200, the API 403."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_an_mlflow_that_answers_health_and_refuses_its_api_is_away(settings: Settings) -> None:
    server = HTTPServer(("127.0.0.1", 0), PulseOnly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(health.Unhealthy, match="its API answers with status 403"):
            health.mlflow(settings.model_copy(update={"mlflow_url": address}))
    finally:
        server.shutdown()
        server.server_close()


def test_a_broker_without_memory_answers_ping_and_is_away(tmp_path: Path) -> None:
    server = Valkey(tmp_path)
    server.start()
    try:
        client = redis.Redis.from_url(server.url)
        settings = Settings(home=tmp_path, broker_url=server.url, _env_file=None)
        assert health.broker(settings) == "stores messages"
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        assert client.ping()
        with pytest.raises(health.Unhealthy, match="stores nothing"):
            health.broker(settings)
    finally:
        server.kill()


def test_a_database_whose_lock_is_held_is_away_though_it_can_be_read(store: Store) -> None:
    other = Store(str(store.engine.url))
    held, go_on = threading.Event(), threading.Event()

    def hold(connection: object) -> None:
        held.set()
        go_on.wait(30)

    holder = threading.Thread(target=lambda: other.write(hold))
    holder.start()
    held.wait(10)
    try:
        with pytest.raises(health.Unhealthy, match="takes no write"):
            health.database(store)
    finally:
        go_on.set()
        holder.join()
        other.close()
    assert health.database(store) == "SQLite"
    assert store.write(lambda connection: 1) == 1, "the connection is as it was"


def test_a_full_disk_is_told(settings: Settings) -> None:
    assert health.disk(settings).endswith("GB free")
    with pytest.raises(health.Unhealthy, match="MB are needed"):
        health.disk(settings.model_copy(update={"min_free_bytes": 10**18}))


def test_maintenance_that_does_not_report_is_away(store: Store) -> None:
    with pytest.raises(health.Unhealthy, match="none is up"):
        health.maintenance(store)
    operations.beat(store, Worker("m", kind="maintenance"))
    assert health.maintenance(store).startswith("reported 0 s ago")
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE workers SET last_seen = last_seen - 60")
    with pytest.raises(health.Unhealthy, match="the last report is 60 s old"):
        health.maintenance(store)


def test_outcomes_that_do_not_reach_mlflow_are_told(world: World) -> None:
    (run, *_) = world.submit()
    (claimed,) = world.claim(run)
    operations.commit(world.store, {run.id: Committed(claimed.attempt, "FINISHED", "epochs", {})})
    assert health.shipping(world.store) == "1 trained runs wait for MLflow"
    with world.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET committed_at = committed_at - 1000")
    with pytest.raises(health.Unhealthy, match="the oldest for 1000 s"):
        health.shipping(world.store)


def test_everything_is_examined_and_no_failure_is_an_error(store: Store, settings: Settings) -> None:
    findings = health.examine(store, settings)
    assert list(findings) == ["database", "disk", "broker", "mlflow", "maintenance", "workers", "shipping"]
    assert {name for name, finding in findings.items() if finding.ok} == {"database", "disk", "shipping"}
    assert all(finding.remedy for finding in findings.values() if not finding.ok)
