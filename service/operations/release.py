"""Give runs back: a worker that drains, a tile that failed as a whole, a worker that is dead."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.lifecycle import Edge
from service.operations.columns import QUEUED_AGAIN, ended_without_outcome
from service.store import Connection, dispatch_rows, run_rows
from service.store.clock import db_now
from service.store.engine import Store
from service.store.run_rows import Locked


def release(store: Store, claims: Mapping[str, int], *, reason: str, single_lane: bool = False) -> None:
    """Give runs back. They wait again and no lease expiration is counted; the cancelled ones are KILLED.

    Args:
        claims: run id -> attempt. What another attempt holds is left alone.
        reason: why they wait again.
        single_lane: from now on each is trained alone in a tile of its old width, because the tile failed as a whole.
    """

    def work(connection: Connection) -> None:
        rows = run_rows.fenced(run_rows.lock(connection, run_rows.held(claims)), claims)
        _queue_again(connection, rows, reason, single_lane=single_lane)

    if claims:
        store.write(work)


def release_worker(store: Store, worker: str, *, reason: str) -> list[str]:
    """Give back everything that a worker holds. Returns the ids of those runs."""
    return _release_held(store, reason, worker)


def release_all(store: Store, *, reason: str = "restart") -> list[str]:
    """Give back everything that any worker holds, where it is certain that none is alive. Returns the runs' ids."""
    return _release_held(store, reason, None)


def abandon(store: Store, worker: str, *, message: Collection[str] = ()) -> dict[str, int]:
    """Let the leases of a worker whose process is known to be dead run out now.

    Args:
        message: the runs of the message that it died with. What it had not claimed of them is sent again at once.

    Returns:
        Run id -> attempt of what it held.
    """

    def work(connection: Connection) -> dict[str, int]:
        dispatch_rows.unmark_runs(connection, message)
        rows = run_rows.lock(connection, run_rows.held(worker=worker))
        run_rows.touch(connection, rows, {"lease_expires_at": db_now() - 1.0}, mark_dirty=False)
        return {row.id: row.attempt for row in rows}

    return store.write(work)


def _release_held(store: Store, reason: str, worker: str | None) -> list[str]:
    def work(connection: Connection) -> list[str]:
        rows = run_rows.lock(connection, run_rows.held(worker=worker))
        _queue_again(connection, rows, reason, single_lane=False)
        return [row.id for row in rows]

    return store.write(work)


def _queue_again(connection: Connection, rows: Sequence[Locked], reason: str, *, single_lane: bool) -> None:
    cancelled = [row for row in rows if row.cancelled]
    values = ended_without_outcome("cancelled")
    run_rows.move(connection, cancelled, Edge.KILLED, values, data={"reason": "cancelled"})
    waiting = [row for row in rows if not row.cancelled]
    again = {**QUEUED_AGAIN, "reason": reason} | ({"single_lane": True} if single_lane else {})
    run_rows.move(connection, waiting, Edge.RELEASED, again, data={"reason": reason})
