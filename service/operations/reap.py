"""Take back runs whose lease ran out, by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass

from service.lifecycle import Edge, RunStatus, after_lease_expiration, check_transition
from service.operations.claim import MAX_LEASE_EXPIRATIONS
from service.operations.columns import QUEUED_AGAIN, ended_without_outcome
from service.store import Connection, run_rows
from service.store.engine import Store


@dataclass(frozen=True)
class ExpiredLease:
    """An attempt whose lease ran out, and the status that its run has since."""

    run: str
    attempt: int
    worker: str | None
    status: RunStatus


def reap(store: Store, *, max_lease_expirations: int = MAX_LEASE_EXPIRATIONS) -> list[ExpiredLease]:
    """Take back every run whose lease ran out. A cancelled one is KILLED, the others wait again.

    A first expiration is mostly a machine's fault, so the lanes of the tile stay together. From the second on, each
    run is trained alone in a tile of its old width, so that a run that kills its process harms no other for good.

    Args:
        max_lease_expirations: with so many expirations since its last checkpoint a run FAILs as `worker_lost`.

    Returns:
        What was taken back.
    """

    def work(connection: Connection) -> list[ExpiredLease]:
        rows = run_rows.lock(connection, run_rows.lease_expired(), skip_locked=True)
        edges = {
            row.id: after_lease_expiration(
                row.lease_expirations + 1, max_lease_expirations, cancelled=row.cancelled
            )
            for row in rows
        }
        again = [row for row in rows if edges[row.id] is Edge.LOST]
        first = [row for row in again if row.lease_expirations == 0]
        repeated = [row for row in again if row.lease_expirations > 0]
        failed = [row for row in rows if edges[row.id] is Edge.WORKER_LOST]
        cancelled = [row for row in rows if edges[row.id] is Edge.KILLED]
        counted = {"lease_expirations": run_rows.NEXT_LEASE_EXPIRATION}
        waiting = {**QUEUED_AGAIN, **counted, "reason": "lost"}
        for lost, edge, values, reason in (
            (first, Edge.LOST, waiting, "lost"),
            (repeated, Edge.LOST, {**waiting, "single_lane": True}, "lost"),
            (failed, Edge.WORKER_LOST, {**ended_without_outcome("worker_lost"), **counted}, "worker_lost"),
            (cancelled, Edge.KILLED, {**ended_without_outcome("cancelled"), **counted}, "cancelled"),
        ):
            run_rows.move(connection, lost, edge, values, data={"reason": reason})
        return [
            ExpiredLease(row.id, row.attempt, row.worker, check_transition(row.id, row.status, edges[row.id]))
            for row in rows
        ]

    return store.write(work)
