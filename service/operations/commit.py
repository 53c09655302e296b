"""Commit the outcome of an attempt: at most once, and only by the attempt that holds the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.entities import Committed
from service.lifecycle import RunStatus, committed_status
from service.store import Connection, run_rows
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
        locked = run_rows.lock(connection, run_rows.of(batch))
        current = run_rows.fenced(locked, {id: committed.attempt for id, committed in batch.items()})
        held = [row for row in current if row.status == RunStatus.RUNNING and not row.committed]
        committed_before = [row for row in current if row.committed]
        columns = {row.id: _outcome(row, batch[row.id]) for row in held}
        values = {"committed_at": db_now(), "lease_expires_at": None}
        run_rows.touch(connection, held, values, each=columns)
        return set(batch) - {row.id for row in (*held, *committed_before)}

    return store.write(work) if batch else set()


def _outcome(row: Locked, committed: Committed) -> dict[str, Any]:
    status = committed_status(committed.status, cancelled=row.cancelled)
    reason = committed.reason if status == committed.status else "cancelled"
    outcome = {**committed.outcome, "status": status.value, "reason": reason, "attempt": row.attempt}
    if status != committed.status:
        outcome["would_have_been"] = committed.status
    return {"outcome": finite(outcome), "reason": reason}
