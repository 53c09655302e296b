"""What people do: cancel, retry, change, delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection

from service.entities import Experiment, Run
from service.errors import Conflict, IllegalTransition, NotFound, StaleVersion
from service.lifecycle import Edge, RunStatus
from service.operations.claims import BACK, killed
from service.operations.submission import check_quota, note
from service.store import experiment_rows, queries, run_rows
from service.store.clock import db_now
from service.store.engine import Store
from service.store.run_rows import Locked

AFRESH: dict[str, Any] = {
    **BACK,
    "reason": "",
    "lease_expirations": 0,
    "single_lane": False,
    "cancel_requested_at": None,
    "committed_at": None,
    "outcome": None,
    "started_at": None,
    "ended_at": None,
}


def cancel_run(store: Store, run_id: str) -> Run:
    """Cancel a run. One that waits is KILLED now; one that runs is told, and whatever it comes to is KILLED; one
    that is over stays as it is. Raises NotFound."""

    def work(connection: Connection) -> Run:
        _cancel(connection, run_rows.of([run_id]))
        return _run(connection, run_id)

    return store.write(work)


def cancel_experiment(store: Store, experiment_id: str) -> Experiment:
    """Cancel every run that is not over, and stop the experiment from growing. Raises NotFound."""

    def work(connection: Connection) -> Experiment:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        if row.cancel_requested_at is None:
            values = {"cancel_requested_at": db_now()}
            experiment_rows.change_experiment(connection, experiment_id, values, version=False)
        _cancel(connection, run_rows.within(experiment_id))
        return queries.read_experiment(connection, experiment_id)

    return store.write(work)


def _cancel(connection: Connection, which: ColumnElement[bool]) -> None:
    open_ = run_rows.in_status(RunStatus.SCHEDULED, RunStatus.RUNNING)
    rows = run_rows.lock(connection, which, open_)
    waiting = [row for row in rows if row.status == RunStatus.SCHEDULED]
    values = {**killed("cancelled"), "cancel_requested_at": db_now(), "dispatched_at": None}
    run_rows.move(connection, waiting, Edge.KILLED, values, data={"reason": "cancelled"})
    running = [row for row in rows if row.status == RunStatus.RUNNING and not row.cancelled]
    asked = {"cancel_requested_at": db_now()}
    run_rows.touch(connection, [row for row in running if not row.committed], asked)
    # Committed, but on its way to MLflow: it has not finished yet, so it never does.
    late = [row for row in running if row.committed]
    run_rows.touch(connection, late, asked, each={row.id: _overruled(row) for row in late})
    run_rows.record_events(
        connection,
        [
            {
                "experiment_id": row.experiment_id,
                "run_id": row.id,
                "kind": "cancel",
                "data": {"status": row.status, "attempt": row.attempt},
            }
            for row in running
        ],
    )


def _overruled(row: Locked) -> dict[str, Any]:
    outcome = dict(row.outcome or {})
    if outcome["status"] == RunStatus.KILLED:
        return {"outcome": outcome, "reason": row.reason}
    changed = {"status": RunStatus.KILLED.value, "reason": "cancelled", "would_have_been": outcome["status"]}
    return {"outcome": {**outcome, **changed}, "reason": "cancelled"}


def retry_run(store: Store, run_id: str, *, quota: int | None = None) -> Run:
    """Let a FAILED or KILLED run wait again, from the beginning or its last checkpoint. One that waits or runs
    already stays as it is.

    Raises:
        NotFound; IllegalTransition: it is FINISHED, or it runs but was cancelled; QuotaExceeded.
    """

    def work(connection: Connection) -> Run:
        experiment = experiment_rows.lock_experiment_of(connection, run_id)
        if experiment is None:
            raise NotFound("run", run_id)
        rows = run_rows.lock(connection, run_rows.of([run_id]))
        for row in rows:
            if row.status == RunStatus.FINISHED or (row.status == RunStatus.RUNNING and row.cancelled):
                raise IllegalTransition(run_id, row.status, Edge.RETRIED.value)
        _retry(connection, rows, experiment.owner, quota)
        return _run(connection, run_id)

    return store.write(work)


def retry_experiment(store: Store, experiment_id: str, *, quota: int | None = None) -> Experiment:
    """Let every FAILED and KILLED run of an experiment wait again. Raises NotFound, QuotaExceeded."""

    def work(connection: Connection) -> Experiment:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        if row.cancel_requested_at is not None:
            values = {"cancel_requested_at": None}
            experiment_rows.change_experiment(connection, experiment_id, values, version=False)
        over = run_rows.in_status(RunStatus.FAILED, RunStatus.KILLED)
        _retry(connection, run_rows.lock(connection, run_rows.within(experiment_id), over), row.owner, quota)
        return queries.read_experiment(connection, experiment_id)

    return store.write(work)


def _retry(connection: Connection, rows: list[Locked], owner: str, quota: int | None) -> None:
    over = [row for row in rows if row.status in (RunStatus.FAILED, RunStatus.KILLED)]
    check_quota(connection, owner, len(over), quota)
    for status in (RunStatus.FAILED, RunStatus.KILLED):
        run_rows.move(connection, [row for row in over if row.status == status], Edge.RETRIED, AFRESH)


def patch_experiment(
    store: Store,
    experiment_id: str,
    *,
    if_match: int | None = None,
    name: str | None = None,
    description: str | None = None,
    priority: int | None = None,
) -> Experiment:
    """Change what is given. A new priority holds for everything that is not yet sent to a worker.

    Raises:
        NotFound; StaleVersion: the experiment is not at version `if_match` any more.
    """
    given = {"name": name, "description": description, "priority": priority}
    values = {key: value for key, value in given.items() if value is not None}

    def work(connection: Connection) -> Experiment:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        if if_match is not None and if_match != row.version:
            raise StaleVersion(experiment_id, row.version, if_match)
        if any(getattr(row, key) != value for key, value in values.items()):
            experiment_rows.change_experiment(connection, experiment_id, values)
            note(connection, experiment_id, "changed", **values)
        return queries.read_experiment(connection, experiment_id)

    return store.write(work)


def delete_experiment(store: Store, experiment_id: str) -> None:
    """Cancel everything and hide the experiment. It is removed for good (`purge_experiment`) once its runs have
    ended and MLflow has deleted its own. Raises NotFound."""

    def work(connection: Connection) -> None:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        _cancel(connection, run_rows.within(experiment_id))
        values = {"deleted_at": db_now(), "cancel_requested_at": db_now()}
        experiment_rows.change_experiment(connection, experiment_id, values)
        note(connection, experiment_id, "deleted")

    store.write(work)


def purge_experiment(store: Store, experiment_id: str) -> None:
    """Remove a deleted experiment with its runs, metrics and events. Raises Conflict where a run is still open."""

    def work(connection: Connection) -> None:
        if not experiment_rows.purge(connection, experiment_id):
            raise Conflict(f"experiment {experiment_id} is not deleted, or not all of its runs are over")

    store.write(work)


def _run(connection: Connection, run_id: str) -> Run:
    found = queries.read_runs(connection, [run_id])
    if not found:
        raise NotFound("run", run_id)
    return found[0]
