"""The real application over a real store (SQLite where a test does not ask for both), served by uvicorn."""

from __future__ import annotations

import contextlib
import copy
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import uvicorn

from experiments.spec import ExperimentSpec
from service import operations
from service.api.app import create_app
from service.entities import Committed, Measured, MetricPoint
from service.settings import Settings
from service.store import Store, queries
from tests.databases import make_tables

SPEC = {
    "name": "choices",
    "dataset": {"name": "digits"},
    "model": {"hidden": [8]},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "training": {"epochs": 1, "batch_size": 32},
    "sweep": {"activation": ["relu", "tanh"], "seeds": 2},
}


class Served:
    """An API that runs: its address, its store, its settings."""

    def __init__(self, settings: Any, *, empty: bool = False) -> None:
        if not empty:
            make_tables(settings.sql_url)
        self.settings = settings
        self.store = Store(settings.sql_url)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.app = create_app(settings, Store(settings.sql_url))
        config = uvicorn.Config(
            self.app, access_log=False, log_level="warning", log_config=None, timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def __enter__(self) -> Any:
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        return self

    def __exit__(self, *exc: Any) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.store.close()
        self.socket.close()

    def client(self, **options: Any) -> Any:
        return httpx.Client(base_url=self.url, timeout=20, trust_env=False, **options)

    def submit(self, document: Any = None) -> Any:
        spec = ExperimentSpec.parse(document or SPEC)
        return operations.submit(self.store, spec, spec.expand())

    def finish(
        self,
        run_id: str,
        status: str = "FINISHED",
        metrics: Any = (),
        reason: str = "epochs",
        tags: dict[str, str] | None = None,
    ) -> Any:
        """Do what a worker and the shipper do, up to the end of a run."""
        (run,) = operations.claim(self.store, [run_id], worker="w", spool="s", lease_seconds=60)
        points = [MetricPoint(key, step, value) for key, step, value in metrics]
        assert not operations.record(self.store, {run.id: Measured(run.attempt, points, tags or {})})
        assert not operations.commit(self.store, {run.id: Committed(run.attempt, status, reason, {})})
        operations.finish(self.store, {run.id: None})
        return queries.get_run(self.store, run.id)


@contextlib.contextmanager
def serve(folder: Path, *, empty: bool = False, **options: Any) -> Iterator[Any]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    away = {"mlflow_url": "http://127.0.0.1:9"}  # nothing listens there
    settings = Settings(home=folder, _env_file=None, **{**away, **options})
    with Served(settings, empty=empty) as served:
        yield served
    structlog.reset_defaults()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Any]:
    with serve(tmp_path) as served:
        yield served


@pytest.fixture(params=["sqlite", "postgresql"])
def api_on_both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """An API over SQLite, and one over PostgreSQL, which refuses some text that SQLite takes."""
    if request.param == "sqlite":
        with serve(tmp_path) as served:
            yield served
        return
    copied = request.getfixturevalue("new_database")(template=request.getfixturevalue("template"))
    with copied as url, serve(tmp_path, empty=True, database_url=url) as served:
        yield served


@pytest.fixture
def client(api: Served) -> Iterator[Any]:
    with api.client() as client:
        yield client


@pytest.fixture
def spec() -> Any:
    return copy.deepcopy(SPEC)
