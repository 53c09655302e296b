"""The second schema over rows of the first, in every status: up, down and up again, no value lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import MetaData, insert, select

from experiments.spec import ExperimentSpec
from service import operations
from service.entities import Run
from service.lifecycle import RunStatus
from service.operations.submit import run_row
from service.store import Store, queries
from service.store.engine import EncodedJson
from service.store.migrate import current, downgrade, head, upgrade

SPEC = ExperimentSpec.parse(
    {
        "name": "of 0.1.0",
        "dataset": {"name": "digits"},
        "model": {"hidden": [2]},
        "optimizer": {"name": "sgd"},
        "sweep": {"seeds": 8},
    }
)
LEASED = {"worker": "w", "spool": "here", "attempt": 1, "started_at": 20.0}
OUTCOME = {"status": "FINISHED", "reason": "epochs", "attempt": 1}
COMMITTED = {**LEASED, "committed_at": 30.0, "outcome": OUTCOME, "reason": "epochs"}
STATES: list[dict[str, Any]] = [
    {"status": "SCHEDULED"},
    {"status": "SCHEDULED", "tile": "t", "width": 4, "queue": "gradus.any", "dispatched_at": 15.0},
    {"status": "SCHEDULED", "attempt": 2, "losses": 2, "alone": True, "reason": "lost", "width": 8},
    {"status": "RUNNING", **LEASED, "lease_expires_at": 1.0, "checkpoint": {"epoch": 3, "width": 4}},
    {"status": "RUNNING", **COMMITTED},
    {"status": "FINISHED", **COMMITTED, "ended_at": 30.0, "mlflow_run_id": "m", "mlflow_status": "FINISHED"},
    {"status": "FAILED", "attempt": 3, "losses": 3, "reason": "worker_lost", "ended_at": 40.0},
    {"status": "KILLED", "reason": "cancelled", "cancel_requested_at": 12.0, "ended_at": 12.0},
]
PLAN = {"factor": "activation", "wait": "running", "answer": "no answer yet"}


def decoded(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose JSON is data, for tables that are not the service's own."""
    return {
        name: json.loads(value) if isinstance(value, EncodedJson) else value for name, value in row.items()
    }


@pytest.fixture
def old(database_url: str) -> Iterator[Store]:
    """A database of the first schema, with a run in every state and what hangs on it."""
    upgrade(database_url, "0001")
    store = Store(database_url)
    tables = MetaData()
    tables.reflect(store.engine)
    experiment = {"id": "e" * 20, "name": "of 0.1.0", "tags": {}, "spec": SPEC.document(), "stage": "look-1"}
    times = {"created_at": 10.0, "updated_at": 10.0}
    run_rows = [
        {
            **decoded(run_row("e" * 20, point, "look-1", index=index, tags={})),
            "id": f"{index:020x}",
            "created_at": 10.0,
            **state,
        }
        for index, (point, state) in enumerate(zip(SPEC.expand(), STATES, strict=True))
    ]
    more = {"plan": PLAN, "keepsakes_due": True, "n_runs": len(run_rows)}
    with store.engine.begin() as connection:
        connection.execute(insert(tables.tables["experiments"]), {**experiment, **times, **more})
        for row in run_rows:
            connection.execute(insert(tables.tables["runs"]), row)
            point = {"run_id": row["id"], "key": "train/loss", "step": 1, "value": 0.5, "at": 21.0}
            connection.execute(insert(tables.tables["metrics"]), {**point, "attempt": 1})
            event = {"transaction": 0, "experiment_id": "e" * 20, "run_id": row["id"], "kind": "status"}
            connection.execute(insert(tables.tables["events"]), {**event, "data": {}, "at": 20.0})
    yield store
    store.close()


def stored_runs(store: Store) -> list[Run]:
    """The runs as they are in the database; a list for people adds reasons."""
    ids = [run.id for run in queries.all_runs(store, "e" * 20)]
    return sorted(queries.get_runs(store, ids).values(), key=lambda run: run.index)


def contents(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, by the schema that the database has now."""
    tables = MetaData()
    tables.reflect(store.engine)
    with store.engine.begin() as connection:
        return {
            name: [
                dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))
            ]
            for name, table in tables.tables.items()
            if name != "alembic_version"
        }


def test_up_and_down_over_rows_in_every_status_lose_nothing(old: Store, database_url: str) -> None:
    before = contents(old)
    upgrade(database_url)
    runs = stored_runs(old)
    assert {run.status for run in runs} == set(RunStatus)
    for run, state in zip(runs, STATES, strict=True):
        assert (run.lease_expirations, run.single_lane) == (state.get("losses", 0), state.get("alone", False))
        assert (run.status, run.attempt, run.reason) == (
            state["status"],
            state.get("attempt", 0),
            state.get("reason", ""),
        )
        assert (run.checkpoint, run.outcome) == (state.get("checkpoint"), state.get("outcome"))
        assert [point.value for point in queries.metric_history(old, run.id)[0]] == [0.5]
        assert len(queries.events_after(old, run_id=run.id)) == 1
    assert queries.get_experiment(old, "e" * 20).design == PLAN
    downgrade(database_url, "0001")
    assert contents(old) == before
    upgrade(database_url)
    assert stored_runs(old) == runs


def test_what_waited_or_was_in_training_goes_on(old: Store, database_url: str) -> None:
    upgrade(database_url)
    assert current(database_url) == head()
    waiting, sent, worn, training, committed, *over = stored_runs(old)
    (expired,) = operations.reap(old)
    assert (expired.run, expired.status) == (training.id, "SCHEDULED")
    claimed = operations.claim(
        old, [waiting.id, sent.id, training.id], worker="n", spool="s", lease_seconds=60
    )
    assert [(run.id, run.attempt) for run in claimed] == [(waiting.id, 1), (sent.id, 1), (training.id, 2)]
    (single,) = operations.claim(old, [worn.id], worker="n", spool="s", lease_seconds=60)
    assert (single.attempt, single.lease_expirations) == (3, 2)
    operations.finish(old, {committed.id: None})
    assert queries.get_runs(old, [committed.id])[committed.id].status == "FINISHED"
    assert [run.status.value for run in over] == ["FINISHED", "FAILED", "KILLED"]
