"""One store fixture over SQLite and PostgreSQL: every test of this folder runs against both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from experiments.spec import ExperimentSpec
from service import operations
from service.planner import dispatch
from service.store import Store
from service.store.tables import metadata
from tests.service.store.sending import Broker


def hurry(store: Store) -> None:
    """SQLite without waiting for the disk."""
    event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Address of an empty database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'gradus.db'}"
        return
    with request.getfixturevalue("new_database")() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A store of its own with all tables."""
    if request.param == "sqlite":
        made = Store(f"sqlite:///{tmp_path / 'gradus.db'}")
        hurry(made)
        metadata.create_all(made.engine)
        yield made
        made.close()
        return
    with request.getfixturevalue("new_database")(template=request.getfixturevalue("template")) as url:
        made = Store(url, pool_size=20)
        yield made
        made.close()


def make_spec(seeds: int = 3, **changes: Any) -> Any:
    return ExperimentSpec.parse(
        {
            "name": "a sweep",
            "dataset": {"name": "digits"},
            "model": {"hidden": [8]},
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "training": {"epochs": 2},
            "sweep": {"activation": ["relu", "tanh"], "seeds": seeds},
            **changes,
        }
    )


@pytest.fixture(name="make_spec", scope="session")
def make_spec_fixture() -> Any:
    """Makes the spec that `submit` submits."""
    return make_spec


@pytest.fixture
def submit(store: Store) -> Any:
    """Submit a sweep of activation x seeds; its experiment."""

    def submit(seeds: int = 3, owner: str = "", **changes: Any) -> Any:
        spec = make_spec(seeds, **changes)
        return operations.submit(store, spec, spec.expand(), owner=owner)

    return submit


@pytest.fixture
def broker() -> Any:
    return Broker()


@pytest.fixture
def go(store: Store, broker: Broker) -> Any:
    """Dispatch with some patience; the tiles that were sent."""

    def dispatched(patience: float = 60.0) -> Any:
        time.sleep(0.002)  # SQLite's clock counts milliseconds: what was sent before has an age
        return dispatch(store, broker.send, broker.length, redispatch_seconds=patience)

    return dispatched
