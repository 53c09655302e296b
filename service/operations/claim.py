"""Claim runs for a worker, renew their leases, ask which are to stop.

The attempt number is the fence. It rises with every claim, and whatever an older attempt writes is refused, however
late that worker wakes up. Times are the database's; a worker's own clock does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.entities import Run
from service.lifecycle import Edge, RunStatus, after_lease_expiration
from service.store import Connection, queries, run_rows, turn_rows
from service.store.clock import later
from service.store.engine import Store

MAX_LEASE_EXPIRATIONS = 3


def claim(
    store: Store,
    run_ids: Sequence[str],
    *,
    worker: str,
    spool: str,
    lease_seconds: float,
    max_lease_expirations: int = MAX_LEASE_EXPIRATIONS,
) -> list[Run]:
    """Claim those of the runs that wait or whose lease ran out. Each gets a new attempt and a lease.

    Args:
        run_ids: the runs of a message.
        worker: name of the claiming worker.
        spool: id of the folder that will hold the runs' files.
        lease_seconds: how long the claim lasts without a renewal.
        max_lease_expirations: a run whose lease ran out for the last allowed time is left for `reap` to fail.

    Returns:
        The claimed runs in the order of `run_ids`. The others belong to somebody else, are over, or must be trained
        in a single lane.
    """

    def work(connection: Connection) -> list[Run]:
        rows = run_rows.lock(connection, run_rows.claimable(run_ids), skip_locked=True)
        waiting = [row for row in rows if row.status == RunStatus.SCHEDULED]
        # An expired lease counts here as it does in `reap`. A run that would end by it is left to `reap`.
        expired = [
            row
            for row in rows
            if row.status == RunStatus.RUNNING
            and Edge.LOST
            is after_lease_expiration(
                row.lease_expirations + 1, max_lease_expirations, cancelled=row.cancelled
            )
        ]
        values = {
            "attempt": run_rows.NEXT_ATTEMPT,
            "worker": worker,
            "spool": spool,
            "lease_expires_at": later(lease_seconds),
            "started_at": run_rows.FIRST_START,
            "reason": "",
        }
        data = {"worker": worker}
        attempts = {row.id: row.attempt + 1 for row in rows}
        run_rows.move(connection, waiting, Edge.CLAIMED, values, data=data, attempts=attempts)
        counted = {**values, "lease_expirations": run_rows.NEXT_LEASE_EXPIRATION}
        run_rows.move(connection, expired, Edge.RECLAIMED, counted, data=data, attempts=attempts)
        claimed = [row.id for row in (*waiting, *expired)]
        turn_rows.mark_turn(connection, claimed)
        runs = {run.id: run for run in queries.read_runs(connection, claimed)}
        return [runs[id] for id in dict.fromkeys(run_ids) if id in runs]

    return store.write(work)


def renew(store: Store, claims: Mapping[str, int], lease_seconds: float) -> set[str]:
    """Extend leases.

    Args:
        claims: run id -> attempt.
        lease_seconds: from now on.

    Returns:
        The runs that these attempts still hold. The worker must stop training any other.
    """
    if not claims:
        return set()
    return store.write(lambda connection: run_rows.extend_leases(connection, claims, lease_seconds))


def stop_requests(store: Store, run_ids: Collection[str]) -> set[str]:
    """Returns those of the runs that somebody cancelled."""
    return store.read(lambda connection: queries.read_cancelled(connection, run_ids)) if run_ids else set()
