"""SQL on the runs table: lock rows, change them with a guard, and write the event that names the edge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    func,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.types import TypeEngine

from service.lifecycle import Edge, check_transition
from service.store.clock import db_now, later
from service.store.event_rows import record_events
from service.store.tables import runs

Condition = ColumnElement[bool]
"""Which rows are meant."""


@dataclass(frozen=True)
class Locked:
    """What deciding on a run needs of it, read under its row lock."""

    id: str
    experiment_id: str
    status: str
    attempt: int
    lease_expirations: int
    expired: bool
    cancelled: bool
    committed: bool
    outcome: dict[str, Any] | None
    reason: str
    worker: str | None
    shipper: str | None
    metrics: dict[str, Any]  # name -> [step, value], the latest of each
    tags: dict[str, str]


_expired = (runs.c.lease_expires_at < db_now()).label("expired")


_LOCKED = [
    runs.c.id,
    runs.c.experiment_id,
    runs.c.status,
    runs.c.attempt,
    runs.c.lease_expirations,
    _expired,
    runs.c.cancel_requested_at.is_not(None).label("cancelled"),
    runs.c.committed_at.is_not(None).label("committed"),
    runs.c.outcome,
    runs.c.reason,
    runs.c.worker,
    runs.c.shipper,
]


_EMPTY: dict[str, Any] = {"metrics": {}, "tags": {}}


def lock(
    connection: Connection,
    *conditions: Condition,
    skip_locked: bool = False,
    measured: bool = False,
    limit: int | None = None,
) -> list[Locked]:
    """Lock the runs for which all conditions hold, in the order of their ids, so that no two transactions deadlock. A
    caller that also locks their experiment does so first.

    Args:
        skip_locked: leave out runs that another transaction holds, instead of waiting for them (PostgreSQL).
        measured: also read `metrics` and `tags`, which can be large.
        limit: most runs to lock; None: all.
    """
    more = (runs.c.metrics, runs.c.tags) if measured else ()
    statement = (
        select(*_LOCKED, *more)
        .where(*conditions)
        .order_by(runs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=skip_locked)
    )
    return [_to_locked(row) for row in connection.execute(statement)]


def count(connection: Connection, *conditions: Condition) -> int:
    """How many runs there are for which all conditions hold."""
    return int(connection.scalar(select(func.count()).select_from(runs).where(*conditions)) or 0)


def in_order(*conditions: Condition) -> Condition:
    """The runs for which all conditions hold, locked in the order of their ids, for an UPDATE without a `lock` before it.
    An UPDATE by itself locks rows in the order in which it finds them, so two of them can deadlock."""
    chosen = select(runs.c.id).where(*conditions).order_by(runs.c.id).with_for_update().cte()
    return runs.c.id.in_(select(chosen.c.id))


def _to_locked(row: Row[Any]) -> Locked:
    return Locked(**{**_EMPTY, **row._mapping, "expired": bool(row.expired)})


COMMITTED_AT = runs.c.committed_at


NEXT_ATTEMPT = runs.c.attempt + 1


NEXT_LEASE_EXPIRATION = runs.c.lease_expirations + 1


FIRST_START = func.coalesce(runs.c.started_at, db_now())


_expiring = (
    (runs.c.status == "RUNNING") & runs.c.committed_at.is_(None) & (runs.c.lease_expires_at < db_now())
)


def of(ids: Collection[str]) -> Condition:
    """The runs of these ids."""
    return runs.c.id.in_(list(ids))


def within(experiment_id: str) -> Condition:
    """The runs of an experiment."""
    return runs.c.experiment_id == experiment_id


def cancellable() -> Condition:
    """The runs that are not over and that nobody cancelled."""
    return (runs.c.status == "SCHEDULED") | (
        (runs.c.status == "RUNNING") & runs.c.cancel_requested_at.is_(None)
    )


def not_over() -> Condition:
    """The runs that wait, are in training, or are on their way to MLflow."""
    return runs.c.status.in_(["SCHEDULED", "RUNNING"])


def in_status(*statuses: str) -> Condition:
    return runs.c.status.in_(statuses)


def claimable(ids: Collection[str]) -> Condition:
    """Those that wait or whose lease ran out. A run of a single lane is not claimed together with others."""
    ours = of(ids) & ((runs.c.status == "SCHEDULED") | _expiring)
    return ours & ~runs.c.single_lane if len(ids) > 1 else ours


def lease_expired() -> Condition:
    """The runs whose lease ran out."""
    return _expiring


def held(ids: Collection[str] | None = None, *, worker: str | None = None) -> Condition:
    """The runs that are being trained: RUNNING without a committed outcome. All, these, or a worker's."""
    condition = (runs.c.status == "RUNNING") & runs.c.committed_at.is_(None)
    if ids is not None:
        condition &= of(ids)
    return condition if worker is None else condition & (runs.c.worker == worker)


def resumes_with(checkpoint: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the checkpoints of one tile have in common if they can be resumed together."""
    return tuple(checkpoint.get(name) for name in ("epoch", "width", "spool"))


def resume_key(checkpoint: Mapping[str, Any]) -> ColumnElement[str]:
    """Lanes with the same key can go on together: one tile, epoch, width and spool."""
    tail = "".join(f":{part}" for part in resumes_with(checkpoint))
    return func.coalesce(runs.c.tile, runs.c.id).concat(tail)


def extend_leases(connection: Connection, claims: Mapping[str, int], seconds: float) -> set[str]:
    """Renew the leases that these attempts still hold, and return the ids of those runs."""
    claimed = tuple_(runs.c.id, runs.c.attempt).in_(list(claims.items()))
    statement = update(runs).where(in_order(held(), claimed)).values(lease_expires_at=later(seconds))
    return set(connection.scalars(statement.returning(runs.c.id)))


def fenced(rows: Sequence[Locked], claims: Mapping[str, int]) -> list[Locked]:
    return [row for row in rows if row.attempt == claims[row.id]]


def move(
    connection: Connection,
    rows: Sequence[Locked],
    edge: Edge,
    values: Mapping[str, Any],
    *,
    data: Mapping[str, Any] | None = None,
    attempts: Mapping[str, int] | None = None,
    mark_dirty: bool = True,
) -> None:
    """Take locked runs along `edge`: update them and write a status event for each.

    Args:
        values: columns that are the same for all, expressions allowed.
        data: further fields of the events, besides status, edge, attempt and the reason of a committed outcome.
        attempts: the attempt that each event names, where it is not the row's.
        mark_dirty: whether MLflow has something to learn from it.

    Raises:
        IllegalTransition: a run's status has no such edge.
    """
    if not rows:
        return
    targets = {check_transition(row.id, row.status, edge) for row in rows}
    (target,) = targets
    sources = or_(*(runs.c.status == source for source in {row.status for row in rows}))
    touch(connection, rows, {**values, "status": target.value}, guard=sources, mark_dirty=mark_dirty)
    record_events(
        connection,
        [
            {
                "experiment_id": row.experiment_id,
                "run_id": row.id,
                "kind": "status",
                "data": {
                    "from": row.status,
                    "status": target.value,
                    "edge": edge.value,
                    "attempt": row.attempt if attempts is None else attempts[row.id],
                    **({"reason": row.reason} if row.committed else {}),
                    **(data or {}),
                },
            }
            for row in rows
        ],
    )


def touch(
    connection: Connection,
    rows: Sequence[Locked],
    values: Mapping[str, Any],
    *,
    each: Mapping[str, Mapping[str, Any]] | None = None,
    guard: Condition | None = None,
    mark_dirty: bool = True,
) -> None:
    """Change columns of locked runs.

    Args:
        values: columns that are the same for all.
        each: run id -> columns of its own.
        guard: a condition that holds for every row; without it the row lock is broken.
        mark_dirty: whether the shipper has something to carry to MLflow.
    """
    if not rows:
        return
    guard = true() if guard is None else guard
    columns = {**values, "change": runs.c.change + 1, "dirty": True} if mark_dirty else dict(values)
    size = len(rows) if each is None else EACH_AT_ONCE
    for batch in (rows[start : start + size] for start in range(0, len(rows), size)):
        own: dict[str, Any] = {}
        if each is not None:
            for name in each[batch[0].id]:
                own[name] = by_run(runs.c[name].type, {row.id: each[row.id][name] for row in batch})
        statement = update(runs).where(of([row.id for row in batch]), guard).values(**columns, **own)
        done = connection.execute(statement).rowcount
        if done != len(batch):
            raise RuntimeError(f"{len(batch)} locked runs, but {done} changed: the lock does not hold")


EACH_AT_ONCE = 500  # rows with values of their own in one statement, which takes some ten thousand parameters


def by_run(type_: TypeEngine[Any], values: Mapping[str, Any]) -> ColumnElement[Any]:
    """A CASE over the run's id: one statement sets a different value in each run."""
    return case(
        *((runs.c.id == id, bindparam(None, value, type_=type_, unique=True)) for id, value in values.items())
    )
