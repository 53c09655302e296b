"""Cancel runs and experiments; delete an experiment."""

from __future__ import annotations

from typing import Any

from service.entities import ENDED_STAGES, Experiment, Run
from service.errors import Conflict, NotFound
from service.lifecycle import Edge, RunStatus
from service.operations.columns import ended_without_outcome
from service.store import Connection, audit_rows, event_rows, experiment_rows, queries, run_rows
from service.store.clock import db_now
from service.store.engine import Store
from service.store.run_rows import Locked

RUNS_AT_ONCE = 500


def cancel_run(store: Store, run_id: str) -> Run:
    """Cancel a run. Idempotent.

    A run that waits is KILLED now. One in training is told to stop, and its outcome will be KILLED whatever it is.
    One that is over stays as it is.

    Raises:
        NotFound: there is no such run.
    """

    def work(connection: Connection) -> Run:
        _cancel(connection, run_rows.of([run_id]))
        audit_rows.record_audit(connection, "cancelled", "run", run_id)
        return queries.read_run(connection, run_id)

    return store.write(work)


def cancel_experiment(store: Store, experiment_id: str) -> Experiment:
    """Cancel every run that is not over, and stop the experiment from growing. Idempotent; one that is over stays as it
    is.

    Raises:
        NotFound: there is no such experiment.
    """

    def work(connection: Connection) -> None:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        grows = row.design is not None and row.stage not in ENDED_STAGES
        open_runs = run_rows.count(connection, run_rows.within(experiment_id), run_rows.not_over())
        # Nothing is left to stop in one that is over: it can be extended as before.
        if row.cancel_requested_at is None and (grows or open_runs):
            values = {"cancel_requested_at": db_now()}
            experiment_rows.change_experiment(connection, experiment_id, values, version=False)
        audit_rows.record_audit(connection, "cancelled", "experiment", experiment_id, name=row.name)

    store.write(work)
    _cancel_runs(store, experiment_id)
    return store.read(lambda connection: queries.read_experiment(connection, experiment_id))


def _cancel_runs(store: Store, experiment_id: str) -> None:
    """Cancel an experiment's runs, some at a time: ten thousand at once would hold SQLite's write lock for seconds."""
    while store.write(lambda connection: _cancel(connection, run_rows.within(experiment_id))) == RUNS_AT_ONCE:
        pass


def _cancel(connection: Connection, which: run_rows.Condition) -> int:
    """Cancel at most RUNS_AT_ONCE of these runs; how many there were."""
    rows = run_rows.lock(connection, which, run_rows.cancellable(), limit=RUNS_AT_ONCE)
    waiting = [row for row in rows if row.status == RunStatus.SCHEDULED]
    values = {
        **ended_without_outcome("cancelled"),
        "cancel_requested_at": db_now(),
        "dispatched_at": None,
    }
    run_rows.move(connection, waiting, Edge.KILLED, values, data={"reason": "cancelled"})
    running = [row for row in rows if row.status == RunStatus.RUNNING]
    asked = {"cancel_requested_at": db_now()}
    run_rows.touch(connection, [row for row in running if not row.committed], asked)
    # An outcome on its way to MLflow is not final yet, so cancelling still changes it.
    committed = [row for row in running if row.committed]
    run_rows.touch(connection, committed, asked, each={row.id: _killed_outcome(row) for row in committed})
    event_rows.record_events(
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
    return len(rows)


def _killed_outcome(row: Locked) -> dict[str, Any]:
    outcome = dict(row.outcome or {})
    if outcome["status"] == RunStatus.KILLED:
        return {"outcome": outcome, "reason": row.reason}
    changed = {"status": RunStatus.KILLED.value, "reason": "cancelled", "would_have_been": outcome["status"]}
    return {"outcome": {**outcome, **changed}, "reason": "cancelled"}


def delete_experiment(store: Store, experiment_id: str) -> None:
    """Cancel an experiment and hide it. Its rows go (`purge_experiment`) once its runs are over and MLflow has deleted
    its own experiment.

    Raises:
        NotFound: there is no such experiment.
    """

    def stop(connection: Connection) -> None:
        if experiment_rows.lock_experiment(connection, experiment_id) is None:
            raise NotFound("experiment", experiment_id)
        values = {"cancel_requested_at": db_now()}
        experiment_rows.change_experiment(connection, experiment_id, values, version=False)

    def work(connection: Connection) -> None:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        _cancel(connection, run_rows.within(experiment_id))  # what somebody retried meanwhile
        values = {"deleted_at": db_now(), "cancel_requested_at": db_now()}
        experiment_rows.change_experiment(connection, experiment_id, values)
        event_rows.record_experiment_event(connection, experiment_id, "deleted")
        audit_rows.record_audit(
            connection,
            "deleted",
            "experiment",
            experiment_id,
            name=row.name,
            owner=row.owner,
            runs=row.n_runs,
        )

    # Hidden last: were this interrupted before, the client would find the experiment and delete it again.
    store.write(stop)
    _cancel_runs(store, experiment_id)
    store.write(work)


def purge_experiment(store: Store, experiment_id: str) -> None:
    """Remove a deleted experiment with its runs, metrics and events.

    Raises:
        Conflict: it is not deleted, or a run is not over.
    """

    def work(connection: Connection) -> None:
        if not experiment_rows.purge(connection, experiment_id):
            raise Conflict(f"experiment {experiment_id} is not deleted, or not all of its runs are over")

    store.write(work)
