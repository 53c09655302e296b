"""Work that waits: runs to ship, experiments to purge, questions to continue, final artifacts to request."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, literal_column, or_, select

from service.entities import ENDED_STAGES, Experiment, Run
from service.store import mapper
from service.store.clock import db_now, later
from service.store.engine import Store
from service.store.queries.experiments import counted
from service.store.tables import experiments, runs


def to_ship(store: Store, spool: str, *, limit: int = 100) -> list[Run]:
    """Runs of which MLflow does not know everything and that the shipper of this spool can carry there.

    A RUNNING run's files are in its own spool only. A run of a deleted experiment is shipped only where MLflow knows it
    already.
    """

    def work(connection: Connection) -> list[Run]:
        statement = mapper.SELECT_RUNS.where(shippable(spool)).order_by(*SHIP_ORDER).limit(limit)
        return [mapper.to_run(row) for row in connection.execute(statement)]

    return store.read(work)


def shippable(spool: str) -> ColumnElement[bool]:
    """The condition of `to_ship`. The statement joins experiments."""
    readable = or_(runs.c.spool == spool, runs.c.spool.is_(None), runs.c.status != "RUNNING")
    return and_(
        runs.c.dirty, readable, or_(experiments.c.deleted_at.is_(None), runs.c.mlflow_run_id.is_not(None))
    )


def not_done() -> ColumnElement[bool]:
    """The runs of a deleted experiment that are not over.

    A committed run that MLflow does not know counts as over: it is not shipped any more, so nothing would end it. While a
    shipper has it on lease it does not.
    """
    on_lease = runs.c.shipper.is_not(None) & (runs.c.ship_lease_expires_at > db_now())
    never_shipped = runs.c.committed_at.is_not(None) & runs.c.mlflow_run_id.is_(None) & ~on_lease
    return runs.c.status.in_(["SCHEDULED", "RUNNING"]) & ~never_shipped


SHIP_ORDER = (
    (runs.c.committed_at.is_(None) & (runs.c.status == "RUNNING")),
    (runs.c.status == "SCHEDULED"),
    runs.c.created_at,
    runs.c.id,
)


def unshipped(store: Store) -> tuple[int, float]:
    """How many committed outcomes are not in MLflow, and the age of the oldest in seconds (0 where there is none)."""
    committed = (runs.c.status == literal_column("'RUNNING'")) & runs.c.committed_at.is_not(None)
    statement = select(func.count(), db_now() - func.min(runs.c.committed_at)).where(committed)
    number, age = store.read(lambda connection: connection.execute(statement).one())
    return number, float(age or 0.0)


def experiments_to_ship(store: Store, *, limit: int = 50) -> list[Experiment]:
    """Experiments whose name, description or tags in MLflow are not as they are now."""
    behind = experiments.c.shipped_change < experiments.c.change
    statement = select(experiments).where(behind, experiments.c.deleted_at.is_(None))
    return counted(store, statement.order_by(experiments.c.created_at).limit(limit))


def experiments_to_purge(store: Store, *, limit: int = 50) -> list[Experiment]:
    """Deleted experiments whose runs are over, here and in MLflow: ready to be deleted there and then purged here
    (`operations.purge_experiment`)."""
    known = runs.c.mlflow_run_id.is_not(None) & runs.c.dirty
    open_ = exists().where(runs.c.experiment_id == experiments.c.id, or_(not_done(), known))
    statement = select(experiments).where(experiments.c.deleted_at.is_not(None), ~open_)
    return counted(store, statement.order_by(experiments.c.deleted_at).limit(limit))


def staged_experiments(store: Store, *, limit: int = 200) -> list[Experiment]:
    """Experiments with a question and no open run: perhaps the question can continue.

    Incomplete ones come last, in random order, so that none starves: each stays incomplete until somebody retries it.
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
    order = case((incomplete, func.random()), else_=experiments.c.created_at)
    return counted(store, statement.order_by(incomplete, order).limit(limit))


def experiments_due_final_artifacts(store: Store, *, limit: int = 20) -> list[Experiment]:
    """Experiments whose runs are over and whose final artifacts were not requested since the last of them finished."""
    open_ = exists().where(
        runs.c.experiment_id == experiments.c.id, runs.c.status.in_(["SCHEDULED", "RUNNING"])
    )
    statement = select(experiments).where(
        experiments.c.deleted_at.is_(None), experiments.c.final_artifacts_due, ~open_
    )
    return counted(store, statement.order_by(experiments.c.created_at.desc()).limit(limit))


def experiments_ended_before(store: Store, seconds: float) -> list[tuple[Experiment, datetime]]:
    """Experiments in MLflow whose last run ended at least so many seconds ago, each with that time."""
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
        (experiment, datetime.fromtimestamp(last[experiment.id], UTC))
        for experiment in counted(store, statement)
        if experiment.id in last
    ]
