"""What the shipper does: lease runs, note what MLflow knows of them, give a committed outcome its status."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from service.entities import Run, Shipped
from service.lifecycle import ENDING, Edge, RunStatus
from service.operations.columns import QUEUED_AGAIN
from service.store import Connection, experiment_rows, queries, run_rows, shipping_rows
from service.store.engine import Store

REFUSED = "gradus.mlflow_refused"
"""The tag that says why MLflow did not take a run."""


def claim_shipping(
    store: Store,
    *,
    shipper: str,
    spool: str,
    lease_seconds: float = 60.0,
    limit: int = 50,
    skip: Collection[str] = (),
) -> list[tuple[Run, str | None]]:
    """Lease runs of which MLflow does not know everything to one shipper. MLflow's `create_run` is not idempotent, so
    two shippers at once could make two MLflow runs. `note_shipped` or `finish` ends the lease.

    Args:
        shipper: name of the shipper.
        spool: id of the folder whose files it can read.
        lease_seconds: how long the lease lasts.
        limit: most runs to lease.
        skip: runs not to lease now.

    Returns:
        Each run with the shipper that leased it before and never noted a result. Where that is None, MLflow has no
        run that the row does not name; otherwise it may have one.
    """

    def work(connection: Connection) -> list[tuple[Run, str | None]]:
        leased = shipping_rows.take_to_ship(connection, shipper, spool, lease_seconds, limit, skip)
        runs = {run.id: run for run in queries.read_runs(connection, list(leased))}
        return [(runs[id], before) for id, before in leased.items()]

    return store.write(work)


def give_back_shipping(store: Store, shipper: str, left: Mapping[str, str | None]) -> None:
    """End the leases of runs that a shipper left as they were, so that another may lease them at once: a waiting run
    is leased by one host's shipper and then trained on another host.

    Args:
        left: run id -> the shipper before, as `claim_shipping` said.
    """
    if left:
        store.write(lambda connection: shipping_rows.give_back_to_ship(connection, shipper, left))


def note_shipped(store: Store, what: Mapping[str, Shipped], *, shipper: str | None = None) -> set[str]:
    """Note what MLflow knows of runs, and end their leases. Whatever changed since a run was read stays to be shipped.

    Args:
        what: run id -> what MLflow knows.
        shipper: only runs that are still on lease to it; None: all.

    Returns:
        The runs that the shipper no longer has on lease. Nothing was noted of them.
    """
    if not what:
        return set()
    return set(what) - store.write(lambda connection: shipping_rows.note_shipped(connection, what, shipper))


def refused_by_mlflow(store: Store, run_id: str, why: str) -> None:
    """Say in a tag of the run that MLflow does not take it, so its status and files there differ from those here."""

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


def finish(store: Store, what: Mapping[str, Shipped | None], *, shipper: str | None = None) -> set[str]:
    """Give runs the status of their committed outcome, because MLflow has it. Idempotent.

    Args:
        what: run id -> what MLflow knows now, its status included. None: a shipper looks at the run once more.
        shipper: only runs that are still on lease to it; None: all.

    Returns:
        The runs that the shipper no longer has on lease. Nothing was changed of them.
    """

    def work(connection: Connection) -> set[str]:
        experiment_rows.final_artifacts_due(connection, what)
        locked = run_rows.lock(connection, run_rows.of(what))
        rows = [row for row in locked if shipper is None or row.shipper == shipper]
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
            unknown = [row for row in ready if row.id not in known]
            run_rows.move(connection, unknown, edge, values)
            if noted := [row for row in ready if row.id in known]:
                values |= shipping_rows.known_of({row.id: known.pop(row.id) for row in noted}, status.value)
                run_rows.move(connection, noted, edge, values, mark_dirty=False)
        shipping_rows.note_shipped(connection, {row.id: known[row.id] for row in rows if row.id in known})
        return set(what) - {row.id for row in rows}

    return store.write(work) if what else set()


def final_artifacts_requested(store: Store, experiment_id: str, *, finished: int) -> None:
    """Note that the final artifacts of an experiment were requested when so many of its runs had finished."""
    store.write(
        lambda connection: experiment_rows.final_artifacts_requested(connection, experiment_id, finished)
    )


def unconfirm_shipping(store: Store) -> None:
    """Mark every run that is still to be shipped as leased before, without a result. For a copy of the database:
    MLflow may know more than the copy, so a shipper looks for a run's MLflow run before it makes one.
    """
    store.write(shipping_rows.unconfirm_shippers)


def reschedule_lost_spools(store: Store, seconds: float) -> dict[str, int]:
    """Queue runs again whose committed outcome waits for a spool that nobody has served for so long.

    Args:
        seconds: how long a spool may be away.

    Returns:
        Run id -> attempt whose files are lost.
    """

    def work(connection: Connection) -> dict[str, int]:
        rows = run_rows.lock(connection, shipping_rows.spool_lost(seconds), skip_locked=True)
        values: dict[str, Any] = {
            **QUEUED_AGAIN,
            "committed_at": None,
            "outcome": None,
            "checkpoint": None,
            "resume_key": None,
            "spool": None,
            "reason": "spool_lost",
        }
        cancelled = [row for row in rows if row.cancelled]
        run_rows.move(connection, cancelled, Edge.KILLED, {"ended_at": run_rows.COMMITTED_AT})
        waiting = [row for row in rows if not row.cancelled]
        run_rows.move(connection, waiting, Edge.SPOOL_LOST, values, data={"reason": "spool_lost"})
        return {row.id: row.attempt for row in rows}

    return store.write(work)
