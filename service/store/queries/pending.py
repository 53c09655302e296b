"""What waits for somebody to do something: ship, purge, go on, keep, forget."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, or_, select

from service.entities import ENDED_STAGES, Experiment, Run
from service.store import mapper
from service.store.clock import db_now, later
from service.store.engine import Store
from service.store.queries.experiments import counted
from service.store.tables import experiments, runs


def to_ship(store: Store, spool: str, *, limit: int = 100) -> list[Run]:
    """Runs of which MLflow does not know everything and that the shipper of this spool may carry there.

    A RUNNING run's files are in its own spool only. What MLflow does not know of a deleted experiment it never
    needs to learn.
    """

    def work(connection: Connection) -> list[Run]:
        statement = mapper.select_runs().where(shippable(spool)).order_by(*SHIP_ORDER).limit(limit)
        return [mapper.to_run(row) for row in connection.execute(statement)]

    return store.read(work)


def shippable(spool: str) -> ColumnElement[bool]:
    """See `to_ship`. Needs the join with experiments."""
    here = or_(runs.c.spool == spool, runs.c.spool.is_(None), runs.c.status != "RUNNING")
    return and_(
        runs.c.dirty, here, or_(experiments.c.deleted_at.is_(None), runs.c.mlflow_run_id.is_not(None))
    )


def not_done() -> ColumnElement[bool]:
    """The runs of a deleted experiment that it waits for. One that MLflow never heard of and whose training is over is
    not among them: nobody carries it, so nobody will end it. Unless a shipper has it in its hands just now.
    """
    carried = runs.c.shipper.is_not(None) & (runs.c.ship_lease_expires_at > db_now())
    unheard = runs.c.committed_at.is_not(None) & runs.c.mlflow_run_id.is_(None) & ~carried
    return runs.c.status.in_(["SCHEDULED", "RUNNING"]) & ~unheard


SHIP_ORDER = (
    (runs.c.committed_at.is_(None) & (runs.c.status == "RUNNING")),
    (runs.c.status == "SCHEDULED"),
    runs.c.created_at,
    runs.c.id,
)


def experiments_to_ship(store: Store, *, limit: int = 50) -> list[Experiment]:
    """Experiments of which MLflow does not know name, description or tags as they are now."""
    behind = experiments.c.shipped_change < experiments.c.change
    statement = select(experiments).where(behind, experiments.c.deleted_at.is_(None))
    return counted(store, statement.order_by(experiments.c.created_at).limit(limit))


def experiments_to_purge(store: Store, *, limit: int = 50) -> list[Experiment]:
    """Deleted experiments whose runs are over, here and as far as MLflow knows them: ready to be removed there too,
    and then for good (`operations.purge_experiment`)."""
    known = runs.c.mlflow_run_id.is_not(None) & runs.c.dirty
    open_ = exists().where(runs.c.experiment_id == experiments.c.id, or_(not_done(), known))
    statement = select(experiments).where(experiments.c.deleted_at.is_not(None), ~open_)
    return counted(store, statement.order_by(experiments.c.deleted_at).limit(limit))


def staged_experiments(store: Store, *, limit: int = 200) -> list[Experiment]:
    """Experiments with a plan and no open run: perhaps their question can go on.

    One that is incomplete stays so until somebody retries it, perhaps for good: these come after all others, and in
    turn by lot, so that however many are left behind none waits for another.
    """
    open_ = exists().where(
        runs.c.experiment_id == experiments.c.id, runs.c.status.in_(["SCHEDULED", "RUNNING"])
    )
    statement = select(experiments).where(
        experiments.c.deleted_at.is_(None),
        experiments.c.cancel_requested_at.is_(None),
        experiments.c.design.is_not(None),
        experiments.c.stage.not_in(ENDED_STAGES),
        ~open_,
    )
    incomplete = experiments.c.design["wait"].as_string() == "incomplete"
    place = case((incomplete, func.random()), else_=experiments.c.created_at)
    return counted(store, statement.order_by(incomplete, place).limit(limit))


def experiments_due_final_artifacts(store: Store, *, limit: int = 20) -> list[Experiment]:
    """Experiments whose runs are over, and which were not asked for keepsakes since the last of them finished."""
    open_ = exists().where(
        runs.c.experiment_id == experiments.c.id, runs.c.status.in_(["SCHEDULED", "RUNNING"])
    )
    statement = select(experiments).where(
        experiments.c.deleted_at.is_(None), experiments.c.final_artifacts_due, ~open_
    )
    return counted(store, statement.order_by(experiments.c.created_at.desc()).limit(limit))


def experiments_ended_before(store: Store, seconds: float) -> list[tuple[Experiment, datetime]]:
    """Experiments in MLflow whose last run was over so many seconds ago, each with when it was."""
    ended = (
        select(runs.c.experiment_id, func.max(runs.c.ended_at).label("at"))
        .group_by(runs.c.experiment_id)
        .having(func.count() == func.count(runs.c.ended_at), func.max(runs.c.ended_at) <= later(-seconds))
        .subquery()
    )
    statement = (
        select(experiments)
        .join(ended, ended.c.experiment_id == experiments.c.id)
        .where(experiments.c.deleted_at.is_(None), experiments.c.mlflow_experiment_id.is_not(None))
        .order_by(experiments.c.created_at)
    )
    rows = store.read(lambda connection: connection.execute(select(ended)).all())
    last = {row.experiment_id: row.at for row in rows}
    return [
        (one, datetime.fromtimestamp(last[one.id], UTC))
        for one in counted(store, statement)
        if one.id in last
    ]
