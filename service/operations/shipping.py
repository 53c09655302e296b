"""What the shipper does: take runs to carry to MLflow, note what arrived, and give the outcome its status."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection

from service.entities import Run, Shipped
from service.errors import NotFound
from service.lifecycle import ENDING, Edge, RunStatus
from service.operations.claims import BACK
from service.store import experiment_rows, queries, run_rows
from service.store.engine import Store

REFUSED = "gradus.mlflow_refused"
"""The tag of a run that MLflow did not take: why."""


def claim_shipping(
    store: Store,
    *,
    shipper: str,
    spool: str,
    lease_seconds: float = 60.0,
    limit: int = 50,
    skip: Collection[str] = (),
) -> list[tuple[Run, str | None]]:
    """Take runs that MLflow does not know everything of, for one shipper at a time: `create_run` is not
    idempotent, so two at once could make two MLflow runs. `shipped` or `finish` ends the claim, or the lease.

    Args:
        skip: runs that are not to be taken now.

    Returns:
        each run with the shipper that took it before and never said what came of it: None, nobody, so MLflow
        has no run that the row does not name; else it may have one.
    """

    def work(connection: Connection) -> list[tuple[Run, str | None]]:
        taken = run_rows.take_to_ship(connection, shipper, spool, lease_seconds, limit, skip)
        found = {run.id: run for run in queries.read_runs(connection, list(taken))}
        return [(found[id], before) for id, before in taken.items()]

    return store.write(work)


def give_back_shipping(store: Store, shipper: str, left: Mapping[str, str | None]) -> None:
    """Runs that a shipper took and left as they were, each with what `claim_shipping` said of it: whoever holds their
    files by then may take them at once. A run that waits is taken by one host's shipper and trained on another.
    """
    if left:
        store.write(lambda connection: run_rows.give_back_to_ship(connection, shipper, left))


def shipped(store: Store, run_id: str, what: Shipped) -> None:
    """Note what MLflow knows of a run now. What changed since it was read stays to be shipped."""
    store.write(lambda connection: run_rows.note_shipped(connection, {run_id: what}))


def shipped_many(store: Store, what: Mapping[str, Shipped], *, shipper: str) -> set[str]:
    """`shipped` for several runs in one transaction, by the shipper that has them on lease.

    Returns:
        those that it has no longer: nothing was noted of them.
    """
    if not what:
        return set()
    return set(what) - store.write(lambda connection: run_rows.note_shipped(connection, what, shipper))


def refused_by_mlflow(store: Store, run_id: str, why: str) -> None:
    """Say on a run that MLflow does not take it: its status there, and its files, are not what they are here."""

    def work(connection: Connection) -> None:
        rows = run_rows.lock(connection, run_rows.of([run_id]), measured=True)
        for row in rows:
            run_rows.touch(connection, [row], {"tags": {**row.tags, REFUSED: why}}, mark_dirty=False)

    store.write(work)


def shipped_experiment(
    store: Store, experiment_id: str, *, change: int, mlflow_experiment_id: str | None = None
) -> None:
    """Note that MLflow knows an experiment as it was at `change`."""
    store.write(
        lambda connection: experiment_rows.ship_experiment(
            connection, experiment_id, change=change, mlflow_experiment_id=mlflow_experiment_id
        )
    )


def finish(store: Store, run_id: str, what: Shipped | None = None) -> Run:
    """After shipping: the committed outcome's status becomes the run's. Told again, it changes nothing.

    Args:
        what: what MLflow knows now, its status among it. Without it the run is looked at once more by a shipper.

    Raises:
        NotFound: there is no such run.
    """
    finish_many(store, {run_id: what})
    found = queries.get_runs(store, [run_id])  # also one of a deleted experiment
    if run_id not in found:
        raise NotFound("run", run_id)
    return found[run_id]


def finish_many(store: Store, what: Mapping[str, Shipped | None], *, shipper: str | None = None) -> set[str]:
    """`finish` for several runs in one transaction.

    Args:
        shipper: only those that are still on lease to it; None: whoever has them.

    Returns:
        those that it has no longer: nothing was noted of them.
    """

    def work(connection: Connection) -> set[str]:
        experiment_rows.final_artifacts_due(connection, what)
        found = run_rows.lock(connection, run_rows.of(what))
        rows = [row for row in found if shipper is None or row.shipper == shipper]
        known = {id: shipped for id, shipped in what.items() if shipped is not None}
        for status, edge in ENDING.items():
            ready = [
                row
                for row in rows
                if row.status == RunStatus.RUNNING
                and row.outcome is not None
                and row.outcome["status"] == status
            ]
            values = {"ended_at": run_rows.COMMITTED_AT, "worker": None}
            untold = [row for row in ready if row.id not in known]
            run_rows.move(connection, untold, edge, values)
            if told := [row for row in ready if row.id in known]:
                values |= run_rows.known_of({row.id: known.pop(row.id) for row in told}, status.value)
                run_rows.move(connection, told, edge, values, mark_dirty=False)
        run_rows.note_shipped(connection, {row.id: known[row.id] for row in rows if row.id in known})
        return set(what) - {row.id for row in rows}

    return store.write(work) if what else set()


def final_artifacts_requested(store: Store, experiment_id: str, *, finished: int) -> None:
    """Note that keepsakes were asked for when so many of an experiment's runs had finished."""
    store.write(
        lambda connection: experiment_rows.final_artifacts_requested(connection, experiment_id, finished)
    )


def unconfirm_shipping(store: Store) -> None:
    """In a copy of the database: MLflow may know more of the runs that were still to be carried. A shipper then
    looks for a run's MLflow run before it makes one.
    """
    store.write(run_rows.unconfirm_shippers)


def reschedule_lost_spools(store: Store, seconds: float) -> dict[str, int]:
    """Let runs run again whose outcome waits for a spool that nobody has served for so long; id -> attempt."""

    def work(connection: Connection) -> dict[str, int]:
        rows = run_rows.lock(connection, run_rows.spool_lost(seconds), skip_locked=True)
        values: dict[str, Any] = {
            **BACK,
            "committed_at": None,
            "outcome": None,
            "checkpoint": None,
            "resume_key": None,
        }
        values |= {"spool": None, "reason": "spool_lost"}
        stopped = [row for row in rows if row.cancelled]
        run_rows.move(connection, stopped, Edge.KILLED, {"ended_at": run_rows.COMMITTED_AT})
        waiting = [row for row in rows if not row.cancelled]
        run_rows.move(connection, waiting, Edge.SPOOL_LOST, values, data={"reason": "spool_lost"})
        return {row.id: row.attempt for row in rows}

    return store.write(work)
