"""SQL of the shipper on the runs table: lease runs to a shipper, note what MLflow knows of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Text,
    exists,
    func,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.types import TypeEngine

from service.entities import Shipped
from service.store.clock import db_now, later
from service.store.queries import SHIP_ORDER, shippable
from service.store.run_rows import by_run, in_order, of
from service.store.tables import experiments, runs, workers


def take_to_ship(
    connection: Connection,
    shipper: str,
    spool: str,
    lease_seconds: float,
    limit: int,
    skip: Collection[str] = (),
) -> dict[str, str | None]:
    """Lease runs to a shipper. Returns their ids in the order of shipping, each with the shipper that leased it before and
    noted no result.

    Runs whose files lie in this spool come first; an index finds them. Runs that wait are many, so they are read only
    where fewer than `limit` runs were found.
    """
    taken: dict[str, str | None] = {}
    lease = {"shipper": shipper, "ship_lease_expires_at": later(lease_seconds)}
    free = or_(runs.c.ship_lease_expires_at.is_(None), runs.c.ship_lease_expires_at < db_now())
    in_spool = (runs.c.spool == spool) & (runs.c.status != "SCHEDULED")
    for condition in (in_spool, or_(runs.c.spool.is_(None), not_(in_spool))):
        chosen = (
            select(runs.c.id, runs.c.shipper)
            .join(experiments, experiments.c.id == runs.c.experiment_id)
            .where(
                condition,
                shippable(spool),
                or_(free, runs.c.shipper == shipper),
                runs.c.id.not_in(list(skip)),
            )
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
    """End this shipper's lease of runs that it left as they were. `before`: run id -> the shipper before it."""
    if not before:
        return
    shippers = by_run(Text(), before)
    statement = update(runs).where(in_order(of(before), runs.c.shipper == shipper))
    connection.execute(statement.values(shipper=shippers, ship_lease_expires_at=None))


def unconfirm_shippers(connection: Connection) -> None:
    """Mark every run that is still to be shipped as leased before, without a noted result."""
    statement = update(runs).where(runs.c.dirty, runs.c.shipper.is_(None))
    connection.execute(statement.values(shipper="unknown", ship_lease_expires_at=db_now() - 1.0))


def note_shipped(connection: Connection, what: Mapping[str, Shipped], shipper: str | None = None) -> set[str]:
    """Note what MLflow knows of runs and end their leases. Returns the runs that were noted.

    Args:
        shipper: only runs that are still on lease to it, because a later shipper knows better; None: all.
    """
    if not what:
        return set()
    on_lease = true() if shipper is None else runs.c.shipper == shipper
    statement = update(runs).where(in_order(of(what), on_lease)).values(**known_of(what, runs.c.status))
    return set(connection.scalars(statement.returning(runs.c.id)))


def known_of(what: Mapping[str, Shipped], status: ColumnElement[str] | str) -> dict[str, Any]:
    """The columns that hold what MLflow knows of runs, with no shipper. `dirty` stays where the run changed since, or where
    MLflow has another status than `status`.
    """

    def each(type_: TypeEngine[Any], name: str) -> ColumnElement[Any]:
        return by_run(type_, {id: getattr(shipped, name) for id, shipped in what.items()})

    change, mlflow_status = (
        each(Integer(), "change"),
        func.coalesce(each(Text(), "mlflow_status"), runs.c.mlflow_status),
    )
    return {
        "mlflow_run_id": func.coalesce(each(Text(), "mlflow_run_id"), runs.c.mlflow_run_id),
        "mlflow_status": mlflow_status,
        "shipped_metric_id": func.coalesce(each(BigInteger(), "metric_id"), runs.c.shipped_metric_id),
        "shipped_change": change,
        "dirty": or_(runs.c.change != change, func.coalesce(mlflow_status, "") != status),
        "shipper": None,
        "ship_lease_expires_at": None,
    }


def spool_lost(seconds: float) -> ColumnElement[bool]:
    """The runs whose outcome was committed longer ago than that, is not in MLflow, and lies in a spool that nobody has
    served for as long. While somebody serves the spool, MLflow is what is away, and waiting loses nothing. A run that was
    taken over from another experiment has no files in any spool."""
    served = exists().where(workers.c.spool == runs.c.spool, workers.c.last_seen >= later(-seconds))
    late = (runs.c.status == "RUNNING") & (runs.c.committed_at < later(-seconds))
    return late & runs.c.spool.is_not(None) & ~served
