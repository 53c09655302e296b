"""What a worker does with runs: claim, renew, record, checkpoint, commit, release. Everything is fenced.

The attempt number is the fence: it rises with every claim, and what comes from an older attempt is refused,
however late its author wakes up. The clock is the database's; a worker's own does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection

from service.entities import Committed, Measured, MetricPoint, Run
from service.lifecycle import Edge, RunStatus, after_lease_expiration, committed_status
from service.store import dispatch_rows, queries, run_rows
from service.store.clock import db_now, later
from service.store.engine import Store
from service.store.mapper import finite
from service.store.run_rows import Locked

MAX_LEASE_EXPIRATIONS = 3
BACK = {
    "worker": None,
    "lease_expires_at": None,
    "dispatched_at": None,
}  # what a run forgets that waits again


class Measurement(Protocol):
    """What `record_many` takes: `entities.Measured` or the like."""

    @property
    def attempt(self) -> int: ...
    @property
    def points(self) -> Sequence[MetricPoint]: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


def claim(
    store: Store,
    run_ids: Sequence[str],
    *,
    worker: str,
    spool: str,
    lease_seconds: float,
    max_lease_expirations: int = MAX_LEASE_EXPIRATIONS,
) -> list[Run]:
    """Take those of the runs that wait, or whose lease ran out: a new attempt each, leased for `lease_seconds`.

    Returns:
        what was got, in the order asked for. Everything else is somebody else's, over, or must be alone.
    """

    def work(connection: Connection) -> list[Run]:
        found = run_rows.lock(connection, run_rows.claimable(run_ids), skip_locked=True)
        waiting = [row for row in found if row.status == RunStatus.SCHEDULED]
        # An expired lease is a loss here too; what it ends is for the reaper to end.
        left = [
            row
            for row in found
            if row.status == RunStatus.RUNNING
            and after_lease_expiration(
                row.lease_expirations + 1, max_lease_expirations, cancelled=row.cancelled
            )
            is Edge.LOST
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
        attempts = {row.id: row.attempt + 1 for row in found}
        run_rows.move(connection, waiting, Edge.CLAIMED, values, data=data, attempts=attempts)
        lost = {**values, "lease_expirations": run_rows.NEXT_LEASE_EXPIRATION}
        run_rows.move(connection, left, Edge.RECLAIMED, lost, data=data, attempts=attempts)
        got = {run.id: run for run in queries.read_runs(connection, [row.id for row in (*waiting, *left)])}
        return [got[id] for id in dict.fromkeys(run_ids) if id in got]

    return store.write(work)


def renew(store: Store, claims: Mapping[str, int], lease_seconds: float) -> set[str]:
    """Extend the leases; the runs that are still held. A run that is not among them must be dropped."""
    if not claims:
        return set()
    return store.write(lambda connection: run_rows.extend_leases(connection, claims, lease_seconds))


def stop_requests(store: Store, run_ids: Collection[str]) -> set[str]:
    """Those of the runs that somebody wants stopped."""
    return store.read(lambda connection: queries.read_cancelled(connection, run_ids)) if run_ids else set()


def record(
    store: Store,
    run_id: str,
    attempt: int,
    metrics: Sequence[MetricPoint],
    tags: Mapping[str, str] | None = None,
) -> bool:
    """Store measurements. A point of a key and step that is there already stays as it is, so replay is safe.

    Returns:
        False where the attempt no longer holds the run: nothing was stored.
    """
    return not record_many(store, {run_id: Measured(attempt, metrics, tags or {})})


def record_many(store: Store, batch: Mapping[str, Measurement]) -> set[str]:
    """`record` for several runs in one transaction; the runs that were refused."""

    def work(connection: Connection) -> set[str]:
        attempts = {id: measured.attempt for id, measured in batch.items()}
        rows = run_rows.fenced(run_rows.lock(connection, run_rows.held(batch), measured=True), attempts)
        points: list[dict[str, Any]] = []
        events: list[dict[str, Any]] = []
        columns: dict[str, dict[str, Any]] = {}
        for row in rows:
            measured, latest = batch[row.id], dict(row.metrics)
            steps: dict[int, dict[str, float | None]] = {}
            for point in measured.points:
                value = finite(point.value)
                points.append(
                    {
                        "run_id": row.id,
                        "key": point.key,
                        "step": point.step,
                        "value": value,
                        "at": point.at,
                        "attempt": row.attempt,
                    }
                )
                if point.key not in latest or latest[point.key][0] < point.step:
                    latest[point.key] = [point.step, value]
                steps.setdefault(point.step, {})[point.key] = value
            columns[row.id] = {"metrics": latest, "tags": {**row.tags, **measured.tags}}
            events += [
                {
                    "experiment_id": row.experiment_id,
                    "run_id": row.id,
                    "kind": "metrics",
                    "data": {"step": step, "metrics": values},
                }
                for step, values in steps.items()
            ]
        run_rows.insert_metrics(connection, points)
        run_rows.touch(connection, rows, {}, each=columns)
        run_rows.record_events(connection, events)
        return set(batch) - {row.id for row in rows}

    return store.write(work) if batch else set()


def checkpointed(store: Store, run_id: str, attempt: int, checkpoint: Mapping[str, Any]) -> bool:
    """Note where a run's checkpoint lies (spool, epoch, width and what the worker needs): progress, so no loss
    counts any more. False where the attempt no longer holds the run."""

    def work(connection: Connection) -> bool:
        rows = run_rows.fenced(run_rows.lock(connection, run_rows.held([run_id])), {run_id: attempt})
        values = {
            "checkpoint": finite(checkpoint),
            "lease_expirations": 0,
            "resume_key": run_rows.resume_key(checkpoint),
        }
        run_rows.touch(connection, rows, values, mark_dirty=False)
        return bool(rows)

    return store.write(work)


def commit(
    store: Store, run_id: str, attempt: int, *, status: str, reason: str, outcome: Mapping[str, Any]
) -> bool:
    """Commit what an attempt came to: at most once, and only by the attempt that holds the run.

    The run stays RUNNING until the outcome is in MLflow (`finish`), but is never claimed again. A run that was
    cancelled never finishes: whatever it came to becomes KILLED.

    Returns:
        whether this attempt's outcome is the run's (also when told a second time); False: refused.
    """
    return not commit_many(store, {run_id: Committed(attempt, status, reason, dict(outcome))})


def commit_many(store: Store, batch: Mapping[str, Committed]) -> set[str]:
    """`commit` for several runs in one transaction; the runs that were refused."""

    def work(connection: Connection) -> set[str]:
        locked = run_rows.lock(connection, run_rows.of(batch))
        mine = run_rows.fenced(locked, {id: committed.attempt for id, committed in batch.items()})
        open_ = [row for row in mine if row.status == RunStatus.RUNNING and not row.committed]
        again = [row for row in mine if row.committed]
        columns = {row.id: _outcome(row, batch[row.id]) for row in open_}
        values = {"committed_at": db_now(), "lease_expires_at": None}
        run_rows.touch(connection, open_, values, each=columns)
        return set(batch) - {row.id for row in (*open_, *again)}

    return store.write(work) if batch else set()


def _outcome(row: Locked, committed: Committed) -> dict[str, Any]:
    status = committed_status(committed.status, cancelled=row.cancelled)
    reason = committed.reason if status == committed.status else "cancelled"
    outcome = {**committed.outcome, "status": status.value, "reason": reason, "attempt": row.attempt}
    if status != committed.status:
        outcome["would_have_been"] = committed.status
    return {"outcome": finite(outcome), "reason": reason}


def release(store: Store, claims: Mapping[str, int], *, reason: str, single_lane: bool = False) -> None:
    """Give runs back: they wait again, and no loss counts. Those that were cancelled are KILLED.

    Args:
        single_lane: each is to be trained by itself from now on (at its old width), because the tile failed as a whole.
    """

    def work(connection: Connection) -> None:
        rows = run_rows.fenced(run_rows.lock(connection, run_rows.held(claims)), claims)
        _give_back(connection, rows, reason, single_lane=single_lane)

    if claims:
        store.write(work)


def release_worker(store: Store, worker: str, *, reason: str) -> list[str]:
    """Give back everything a worker holds; the ids of those runs."""
    return _release_held(store, reason, worker)


def release_all(store: Store, *, reason: str = "restart") -> list[str]:
    """Give back everything that anybody holds. Only where it is certain that no worker is alive."""
    return _release_held(store, reason, None)


def abandon(store: Store, worker: str, *, message: Collection[str] = ()) -> dict[str, int]:
    """Let the leases of a worker run out now, because its process is known to be dead; run -> attempt.

    Args:
        message: the runs of the message it died with. What it had not claimed of them is sent again at once.
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
        _give_back(connection, rows, reason, single_lane=False)
        return [row.id for row in rows]

    return store.write(work)


def _give_back(connection: Connection, rows: Sequence[Locked], reason: str, *, single_lane: bool) -> None:
    stopped = [row for row in rows if row.cancelled]
    run_rows.move(connection, stopped, Edge.KILLED, killed("cancelled"), data={"reason": "cancelled"})
    values = {**BACK, "reason": reason} | ({"single_lane": True} if single_lane else {})
    run_rows.move(
        connection, [row for row in rows if not row.cancelled], Edge.RELEASED, values, data={"reason": reason}
    )


def killed(reason: str) -> dict[str, Any]:
    """The columns of a run that ends without an outcome of its own."""
    return {"reason": reason, "ended_at": db_now(), "worker": None, "lease_expires_at": None}
