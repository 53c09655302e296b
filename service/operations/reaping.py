"""Leases that ran out: by the database's clock, so a worker's wrong one changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from service.lifecycle import Edge, RunStatus, after_lease_expiration, check_transition
from service.operations.claims import BACK, MAX_LEASE_EXPIRATIONS, killed
from service.store import experiment_rows, other_rows, run_rows
from service.store.engine import Store

KEEP_REQUESTS_SECONDS = 86400.0


@dataclass(frozen=True)
class ExpiredLease:
    """An attempt whose lease ran out, and the run's status since: it waits again, failed for good, or was to be
    cancelled anyway."""

    run: str
    attempt: int
    worker: str | None
    status: RunStatus


def reap(store: Store, *, max_lease_expirations: int = MAX_LEASE_EXPIRATIONS) -> list[ExpiredLease]:
    """Take back every run whose lease ran out. It waits again; with its `max_lease_expirations`-th loss without progress it
    fails with the reason `worker_lost`.

    The first loss blames nobody, since most are a machine's: the lanes go on together. From the second on, each
    is trained alone at its old width, so that a run that kills its process takes no other one down for good.
    """

    def work(connection: Connection) -> list[ExpiredLease]:
        rows = run_rows.lock(connection, run_rows.lost(), skip_locked=True)
        edges = {
            row.id: after_lease_expiration(
                row.lease_expirations + 1, max_lease_expirations, cancelled=row.cancelled
            )
            for row in rows
        }
        by = {edge: [row for row in rows if edges[row.id] is edge] for edge in set(edges.values())}
        counted = {"lease_expirations": run_rows.NEXT_LEASE_EXPIRATION}
        again = {**BACK, **counted, "reason": "lost"}
        failed = {**killed("worker_lost"), **counted}
        waiting = by.get(Edge.LOST, [])
        once = [row for row in waiting if row.lease_expirations == 0]
        more = [row for row in waiting if row.lease_expirations > 0]
        run_rows.move(connection, once, Edge.LOST, again, data={"reason": "lost"})
        run_rows.move(connection, more, Edge.LOST, {**again, "single_lane": True}, data={"reason": "lost"})
        run_rows.move(
            connection, by.get(Edge.WORKER_LOST, []), Edge.WORKER_LOST, failed, data={"reason": "worker_lost"}
        )
        run_rows.move(
            connection,
            by.get(Edge.KILLED, []),
            Edge.KILLED,
            {**killed("cancelled"), **counted},
            data={"reason": "cancelled"},
        )
        return [
            ExpiredLease(row.id, row.attempt, row.worker, check_transition(row.id, row.status, edges[row.id]))
            for row in rows
        ]

    return store.write(work)


def tidy(store: Store, *, keys_older_than: float = 7 * 86400.0) -> int:
    """Forget what nobody asks for any more: answered requests and workers of a day ago, and idempotency keys; how many
    of these."""

    def work(connection: Connection) -> int:
        other_rows.delete_old_requests(connection, KEEP_REQUESTS_SECONDS)
        other_rows.delete_old_workers(connection)
        return experiment_rows.delete_keys(connection, keys_older_than)

    return store.write(work)
