"""Whose turn it is: SQL on the turns table, and which experiment goes before a tile that a worker has in hand."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, and_, exists, func, or_, select, true

from service.routes import Route
from service.store.clock import db_now
from service.store.dispatch_rows import BEGUN, NOT_SENT, SCHEDULED, SENT, TRAINING, asking_for
from service.store.engine import insert_or
from service.store.run_rows import of
from service.store.tables import experiments, runs, turns


def mark_turn(connection: Connection, run_ids: Collection[str]) -> None:
    """The owners of these runs have them in training now, or had until now."""
    if not run_ids:
        return
    owners = (
        select(experiments.c.owner, db_now())
        .join(runs, runs.c.experiment_id == experiments.c.id)
        .where(of(run_ids))
        .distinct()
    )
    statement = insert_or(connection.dialect.name, turns).from_select(["owner", "at"], owners)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["owner"], set_={"at": statement.excluded.at})
    )


def more_urgent_experiment(
    connection: Connection, run_ids: Collection[str], routes: Collection[Route]
) -> str | None:
    """The experiment to train before `run_ids`, the runs of one message: of a higher priority; or, of the same priority,
    of another owner who has nothing in training and whose last turn is longer ago. Runs that a worker claimed before
    give way to a higher priority only.

    Args:
        routes: the pairs of device and backend that a run may ask for here.

    Returns:
        Its id. None where nothing goes before, or none of `run_ids` waits.
    """
    own = connection.execute(
        select(experiments.c.owner, experiments.c.priority, BEGUN.label("begun"))
        .join(runs, runs.c.experiment_id == experiments.c.id)
        .where(of(run_ids), SCHEDULED)
        .order_by(experiments.c.priority.desc(), BEGUN.desc())
        .limit(1)
    ).first()
    if own is None:
        return None
    last_turn = func.coalesce(
        select(turns.c.at).where(turns.c.owner == experiments.c.owner).scalar_subquery(), 0.0
    )
    goes_before = experiments.c.priority > own.priority
    if not own.begun:
        training = _owners_in_training(connection)
        own_turn = select(turns.c.at).where(turns.c.owner == own.owner).scalar_subquery()
        in_turn = and_(
            experiments.c.priority == own.priority,
            experiments.c.owner.not_in({own.owner, *training}),
            true() if own.owner in training else last_turn < own_turn,
        )
        goes_before = or_(goes_before, in_turn)
    unsent, sent = (
        exists().where(runs.c.experiment_id == experiments.c.id, state, asking_for(routes))
        for state in (NOT_SENT, SENT)
    )
    statement = (
        select(experiments.c.id)
        .where(goes_before, experiments.c.deleted_at.is_(None), or_(unsent, sent))
        .order_by(experiments.c.priority.desc(), last_turn, experiments.c.created_at, experiments.c.id)
        .limit(1)
    )
    return connection.scalar(statement)


def _owners_in_training(connection: Connection) -> set[str]:
    statement = select(experiments.c.owner).join(runs, runs.c.experiment_id == experiments.c.id)
    return set(connection.scalars(statement.where(TRAINING).distinct()))
