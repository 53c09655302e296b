"""SQL on the runs table: lock rows, then change them with a guard and write the event that names the edge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Text,
    bindparam,
    case,
    column,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from service.entities import Shipped
from service.lifecycle import Edge, check_transition
from service.store.clock import db_now, db_transaction, later
from service.store.mapper import finite
from service.store.queries import SHIP_ORDER, shippable
from service.store.tables import events, experiments, metrics, runs, workers


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
    *conditions: ColumnElement[bool],
    skip_locked: bool = False,
    measured: bool = False,
) -> list[Locked]:
    """Lock the runs for which all conditions hold, in the order of their ids (so that no two deadlock). Whoever also
    locks their experiment does so before.

    With `skip_locked`, runs that another transaction holds are left out instead of waited for (PostgreSQL).
    `metrics` and `tags` are read only where `measured` says so: they can be large.
    """
    more = (runs.c.metrics, runs.c.tags) if measured else ()
    statement = (
        select(*_LOCKED, *more)
        .where(*conditions)
        .order_by(runs.c.id)
        .with_for_update(skip_locked=skip_locked)
    )
    return [_to_locked(row) for row in connection.execute(statement)]


def in_order(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """The runs for which all conditions hold, for a statement that changes several without `lock` before it: they are
    locked in the order of their ids here. By itself it locks them as it finds them, and two such deadlock."""
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


def of(ids: Collection[str]) -> ColumnElement[bool]:
    """The runs of these ids."""
    return runs.c.id.in_(list(ids))


def within(experiment_id: str) -> ColumnElement[bool]:
    """The runs of an experiment."""
    return runs.c.experiment_id == experiment_id


def in_status(*statuses: str) -> ColumnElement[bool]:
    return runs.c.status.in_(statuses)


def claimable(ids: Collection[str]) -> ColumnElement[bool]:
    """Those that wait, or whose lease ran out. One that must be alone is not claimed together with others."""
    ours = of(ids) & ((runs.c.status == "SCHEDULED") | _expiring)
    return ours & ~runs.c.single_lane if len(ids) > 1 else ours


def lost() -> ColumnElement[bool]:
    """The runs whose lease ran out."""
    return _expiring


def held(ids: Collection[str] | None = None, *, worker: str | None = None) -> ColumnElement[bool]:
    """The runs that are being trained: RUNNING without a committed outcome. All, these, or a worker's."""
    condition = (runs.c.status == "RUNNING") & runs.c.committed_at.is_(None)
    if ids is not None:
        condition &= of(ids)
    return condition if worker is None else condition & (runs.c.worker == worker)


def spool_lost(seconds: float) -> ColumnElement[bool]:
    """The runs whose outcome was committed longer ago than that, is still not in MLflow, and lies in a spool that
    nobody has served for as long. While somebody does, it is MLflow that is away, and waiting loses nothing."""
    served = exists().where(workers.c.spool == runs.c.spool, workers.c.last_seen >= later(-seconds))
    return (runs.c.status == "RUNNING") & (runs.c.committed_at < later(-seconds)) & ~served


def resume_key(checkpoint: Mapping[str, Any]) -> ColumnElement[str]:
    """Lanes with the same key can go on together: one tile, epoch, width and spool."""
    tail = f":{checkpoint.get('epoch')}:{checkpoint.get('width')}:{checkpoint.get('spool')}"
    return func.coalesce(runs.c.tile, runs.c.id).concat(tail)


def extend_leases(connection: Connection, claims: Mapping[str, int], seconds: float) -> set[str]:
    """Renew the leases that these attempts still hold; the ids of those that they do."""
    mine = tuple_(runs.c.id, runs.c.attempt).in_(list(claims.items()))
    statement = update(runs).where(in_order(held(), mine)).values(lease_expires_at=later(seconds))
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
    """Take locked runs of one status along `edge`: update them and write one status event each.

    Args:
        values: columns that are the same for all, expressions allowed.
        data: what goes into the events besides status, edge, attempt and the reason of a committed outcome.
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
    guard: ColumnElement[bool] | None = None,
    mark_dirty: bool = True,
) -> None:
    """Change columns of locked runs and, with `mark_dirty`, note that MLflow is to learn of it."""
    if not rows:
        return
    guard = true() if guard is None else guard
    columns = {**values, "change": runs.c.change + 1, "dirty": True} if mark_dirty else dict(values)
    size = len(rows) if each is None else EACH_AT_ONCE
    for some in (rows[start : start + size] for start in range(0, len(rows), size)):
        own: dict[str, Any] = {}
        if each is not None:
            for name in each[some[0].id]:
                own[name] = by_run(runs.c[name].type, {row.id: each[row.id][name] for row in some})
        statement = update(runs).where(of([row.id for row in some]), guard).values(**columns, **own)
        done = connection.execute(statement).rowcount
        if done != len(some):
            raise RuntimeError(f"{len(some)} locked runs, but {done} changed: the lock does not hold")


EACH_AT_ONCE = (
    500  # a statement takes some ten thousand parameters; all committed runs of a sweep may be cancelled
)


def by_run(type_: TypeEngine[Any], values: Mapping[str, Any]) -> ColumnElement[Any]:
    """What a statement that changes several runs sets in each: one statement costs a fraction of one a run."""
    return case(
        *((runs.c.id == id, bindparam(None, value, type_=type_, unique=True)) for id, value in values.items())
    )


def record_events(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write event rows of experiment_id, run_id, kind and data."""
    if not rows:
        return
    statement = insert(events).values(
        transaction=db_transaction(),
        at=db_now(),
        **{name: bindparam(name) for name in ("experiment_id", "run_id", "kind")},
        data=bindparam("data", type_=events.c.data.type),
    )
    # With RETURNING, SQLAlchemy sends many rows in one statement; one for each costs PostgreSQL far more.
    statement = statement.returning(events.c.id)
    connection.execute(statement, [{**row, "data": finite(row["data"])} for row in rows])


_POINT = ("run_id", "key", "step", "value", "at", "attempt")


def insert_metrics(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write metric rows of run_id, key, step, value, at (None: now) and attempt. A point that is there stays."""
    if not rows:
        return
    same = ["run_id", "key", "step"]
    if connection.dialect.name == "sqlite":
        given: dict[str, Any] = {name: bindparam(name, type_=metrics.c[name].type) for name in _POINT}
        given["at"] = func.coalesce(given["at"], db_now())
        lite = sqlite.insert(metrics).values(**given).on_conflict_do_nothing(index_elements=same)
        connection.execute(lite, list(rows))
        return
    # As columns: one short statement that is prepared once, however many rows there are.
    arrays = [bindparam(name, type_=ARRAY(metrics.c[name].type)) for name in _POINT]
    names = (column(name, metrics.c[name].type) for name in _POINT)
    new = func.unnest(*arrays).table_valued(*names).render_derived()
    found = select(*(func.coalesce(new.c.at, db_now()) if name == "at" else new.c[name] for name in _POINT))
    many = postgresql.insert(metrics).from_select(_POINT, found).on_conflict_do_nothing(index_elements=same)
    connection.execute(many, {name: [row[name] for row in rows] for name in _POINT})


def take_to_ship(
    connection: Connection,
    shipper: str,
    spool: str,
    lease_seconds: float,
    limit: int,
    skip: Collection[str] = (),
) -> dict[str, str | None]:
    """Lease runs to a shipper; their ids in the order in which they are to be carried, each with the shipper
    that took it before and never said what came of it.

    Runs whose files lie in this spool come first, by an index: only where there are fewer than `limit` of them are
    the many looked through that wait.
    """
    taken: dict[str, str | None] = {}
    lease = {"shipper": shipper, "ship_lease_expires_at": later(lease_seconds)}
    free = or_(runs.c.ship_lease_expires_at.is_(None), runs.c.ship_lease_expires_at < db_now())
    mine = (runs.c.spool == spool) & (runs.c.status != "SCHEDULED")
    for some in (mine, or_(runs.c.spool.is_(None), not_(mine))):
        chosen = (
            select(runs.c.id, runs.c.shipper)
            .join(experiments, experiments.c.id == runs.c.experiment_id)
            .where(some, shippable(spool), or_(free, runs.c.shipper == shipper), runs.c.id.not_in(list(skip)))
            .order_by(*SHIP_ORDER)
            .limit(limit - len(taken))
            .with_for_update(of=runs, skip_locked=True)
        )
        taken |= {row.id: row.shipper for row in connection.execute(chosen)}
        if len(taken) == limit:
            break
    connection.execute(update(runs).where(runs.c.id.in_(list(taken))).values(**lease))
    return taken


def give_back_to_ship(connection: Connection, shipper: str, before: Mapping[str, str | None]) -> None:
    """End this shipper's lease of runs that it left as they were. `before`: who had taken each before it."""
    if not before:
        return
    shippers = by_run(Text(), before)
    statement = update(runs).where(in_order(of(before), runs.c.shipper == shipper))
    connection.execute(statement.values(shipper=shippers, ship_lease_expires_at=None))


def unconfirm_shippers(connection: Connection) -> None:
    """Every run that MLflow is still to learn of looks as if a shipper had taken it and never said what came of it."""
    statement = update(runs).where(runs.c.dirty, runs.c.shipper.is_(None))
    connection.execute(statement.values(shipper="unknown", ship_lease_expires_at=db_now() - 1.0))


def note_shipped(connection: Connection, what: Mapping[str, Shipped], shipper: str | None = None) -> set[str]:
    """Note what MLflow knows of runs, and end their shipper's lease; the runs that were noted.

    shipper: only those that are still on lease to it, for who comes later has carried them since
    """
    if not what:
        return set()
    mine = true() if shipper is None else runs.c.shipper == shipper
    statement = update(runs).where(in_order(of(what), mine)).values(**known_of(what, runs.c.status))
    return set(connection.scalars(statement.returning(runs.c.id)))


def known_of(what: Mapping[str, Shipped], status: ColumnElement[str] | str) -> dict[str, Any]:
    """The columns that say what MLflow knows of runs of that status and that nobody carries them any more.

    `dirty` stays where more happened since, or where MLflow has another status.
    """

    def each(type_: TypeEngine[Any], name: str) -> ColumnElement[Any]:
        return by_run(type_, {id: getattr(one, name) for id, one in what.items()})

    change, told = (
        each(Integer(), "change"),
        func.coalesce(each(Text(), "mlflow_status"), runs.c.mlflow_status),
    )
    return {
        "mlflow_run_id": func.coalesce(each(Text(), "mlflow_run_id"), runs.c.mlflow_run_id),
        "mlflow_status": told,
        "shipped_metric_id": func.coalesce(each(BigInteger(), "metric_id"), runs.c.shipped_metric_id),
        "shipped_change": change,
        "dirty": or_(runs.c.change != change, func.coalesce(told, "") != status),
        "shipper": None,
        "ship_lease_expires_at": None,
    }
