"""Delete what nobody asks for any more."""

from __future__ import annotations

from service.store import Connection, audit_rows, idempotency_rows, request_rows, worker_rows
from service.store.engine import Store

DAY = 86400.0


def tidy(
    store: Store,
    *,
    requests_after: float = DAY,
    workers_after: float = DAY,
    keys_after: float = 7 * DAY,
    audit_after: float = 365 * DAY,
) -> None:
    """Delete old requests, workers and idempotency keys. Times in seconds.

    Args:
        requests_after: since a request ended.
        workers_after: since a worker was last seen.
        keys_after: since an idempotency key was first used.
        audit_after: since a change was written into the audit trail.
    """

    def work(connection: Connection) -> None:
        request_rows.delete_old_requests(connection, requests_after)
        worker_rows.delete_old_workers(connection, workers_after)
        idempotency_rows.delete_keys(connection, keys_after)
        audit_rows.delete_old_audit(connection, audit_after)

    store.write(work)
