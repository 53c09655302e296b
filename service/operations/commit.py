"""Commit the outcome of an attempt: at most once, and only by the attempt that holds the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.entities import BestEpoch, Committed
from service.lifecycle import RunStatus, committed_status
from service.store import Connection, run_rows, turn_rows
from service.store.clock import db_now
from service.store.engine import Store
from service.store.mapper import finite
from service.store.run_rows import Locked


def commit(store: Store, batch: Mapping[str, Committed]) -> set[str]:
    """Commit outcomes of several runs. Idempotent: the same attempt may commit again, and its first outcome stays.

    A run stays RUNNING until its outcome is in MLflow (`finish`), but it is never claimed again. The outcome of a
    cancelled run is KILLED, whatever its training came to.

    Args:
        batch: run id -> outcome.

    Returns:
        The runs that were refused, because another attempt holds them or they are over.
    """

    def work(connection: Connection) -> set[str]:
        restored = {id: c.best for id, c in batch.items() if c.best is not None}
        locked = run_rows.lock(connection, run_rows.of(batch), measured=bool(restored))
        current = run_rows.fenced(locked, {id: committed.attempt for id, committed in batch.items()})
        held = [row for row in current if row.status == RunStatus.RUNNING and not row.committed]
        turn_rows.mark_turn(connection, [row.id for row in held])
        committed_before = [row for row in current if row.committed]
        columns = {row.id: _outcome(row, batch[row.id]) for row in held}
        values = {"committed_at": db_now(), "lease_expires_at": None}
        run_rows.touch(connection, held, values, each=columns)
        of_best = {row.id: {"metrics": _of_best(row, restored[row.id])} for row in held if row.id in restored}
        run_rows.touch(connection, [row for row in held if row.id in of_best], {}, each=of_best)
        return set(batch) - {row.id for row in (*held, *committed_before)}

    return store.write(work) if batch else set()


def _of_best(row: Locked, best: BestEpoch) -> dict[str, Any]:
    """The run's latest metrics, those of its best epoch in place of its last one's. Their history stays as it is."""
    return {**row.metrics, **{name: [best.epoch, finite(value)] for name, value in best.metrics.items()}}


def _outcome(row: Locked, committed: Committed) -> dict[str, Any]:
    status = committed_status(committed.status, cancelled=row.cancelled)
    reason = committed.reason if status == committed.status else "cancelled"
    outcome = {**committed.outcome, "status": status.value, "reason": reason, "attempt": row.attempt}
    if committed.best is not None:
        outcome["best"] = {"epoch": committed.best.epoch, "metrics": dict(committed.best.metrics)}
    if status != committed.status:
        outcome["would_have_been"] = committed.status
    return {"outcome": finite(outcome), "reason": reason}
