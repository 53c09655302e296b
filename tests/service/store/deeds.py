"""What the tests of operations do to a run: claim it, end it, look at its events."""

from __future__ import annotations

from typing import Any

from service import operations as ops
from service.entities import Committed, Run, Shipped
from service.store import Store, queries


def ids(store: Store, experiment: Any) -> Any:
    return [run.id for run in queries.all_runs(store, experiment.id)]


def claim(store: Store, run_ids: Any, worker: str = "w1", spool: str = "here", lease: float = 60.0) -> Any:
    return ops.claim(store, run_ids, worker=worker, spool=spool, lease_seconds=lease)


def done(store: Store, run: Any, status: str = "FINISHED") -> Any:
    assert not ops.commit(store, {run.id: Committed(run.attempt, status, "epochs", {})})
    return finished(store, run.id)


def finished(store: Store, run_id: str, what: Shipped | None = None) -> Run:
    assert ops.finish(store, {run_id: what}) == set()
    return queries.get_run(store, run_id)


def edges(store: Store, run_id: str) -> Any:
    return [e.data["edge"] for e in queries.events_after(store, run_id=run_id) if e.kind == "status"]
