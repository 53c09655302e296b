"""Experiments with the counts of their runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from service.entities import Experiment
from service.errors import AmbiguousId, NotFound
from service.store import mapper
from service.store.engine import Store
from service.store.ids import ID_LENGTH
from service.store.queries.cursors import float_and_id
from service.store.queries.filters import EXPERIMENTS_OWN, Filters, matching
from service.store.tables import experiments, runs


def read_experiment(connection: Connection, id: str, *, replayed: bool = False) -> Experiment:
    row = connection.execute(select(experiments).where(experiments.c.id == id)).first()
    if row is None:
        raise NotFound("experiment", id)
    return mapper.to_experiment(row, read_counts(connection, [id]).get(id, {}), replayed=replayed)


def read_counts(connection: Connection, ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Experiment id -> status -> number of runs."""
    statement = (
        select(runs.c.experiment_id, runs.c.status, func.count())
        .where(runs.c.experiment_id.in_(list(ids)))
        .group_by(runs.c.experiment_id, runs.c.status)
    )
    found: dict[str, dict[str, int]] = {}
    for id, status, number in connection.execute(statement):
        found.setdefault(id, {})[status] = number
    return found


def counted(store: Store, statement: Select[Any]) -> list[Experiment]:
    """The experiments that a statement chooses, with the counts of their runs."""

    def work(connection: Connection) -> list[Experiment]:
        rows = connection.execute(statement).all()
        numbers = read_counts(connection, [row.id for row in rows])
        return [mapper.to_experiment(row, numbers.get(row.id, {})) for row in rows]

    return store.read(work)


def get_experiment(store: Store, id: str) -> Experiment:
    """An experiment by its id or the beginning of it. Raises NotFound, AmbiguousId."""

    def work(connection: Connection) -> Experiment:
        return read_experiment(connection, resolve(connection, "experiment", id))

    return store.read(work)


def list_experiments(
    store: Store,
    *,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int = 100,
    owner: str | None = None,
) -> tuple[list[Experiment], str | None]:
    """A page of experiments, the newest first, and the cursor of the next one.

    Args:
        filters: `name`, `owner`, `stage` of the experiment; any other name filters its runs (see `list_runs`): an
            experiment is shown that has such a run.
    """

    def work(connection: Connection) -> tuple[list[Experiment], str | None]:
        statement = select(experiments).where(experiments.c.deleted_at.is_(None))
        inner: list[ColumnElement[bool]] = []
        for name, values in (filters or {}).items():
            if name in EXPERIMENTS_OWN:
                statement = statement.where(experiments.c[name].in_(list(values)))
            else:
                inner.append(matching(name, values))
        if inner:
            statement = statement.where(exists().where(runs.c.experiment_id == experiments.c.id, *inner))
        if owner is not None:
            statement = statement.where(experiments.c.owner == owner)
        if cursor is not None:
            at, id = float_and_id(cursor)
            older = or_(
                experiments.c.created_at < at, and_(experiments.c.created_at == at, experiments.c.id < id)
            )
            statement = statement.where(older)
        order = (experiments.c.created_at.desc(), experiments.c.id.desc())
        rows = connection.execute(statement.order_by(*order).limit(limit + 1)).all()
        shown = rows[:limit]
        numbers = read_counts(connection, [row.id for row in shown])
        found = [mapper.to_experiment(row, numbers.get(row.id, {})) for row in shown]
        more = f"{shown[-1].created_at!r}_{shown[-1].id}" if len(rows) > limit else None
        return found, more

    return store.read(work)


def resolve(connection: Connection, kind: str, id: str) -> str:
    """The whole id of an experiment or run of which the beginning is given. Raises NotFound, AmbiguousId."""
    table = experiments if kind == "experiment" else runs
    alive = select(table.c.id).where(experiments.c.deleted_at.is_(None))
    if kind != "experiment":
        alive = alive.join(experiments, experiments.c.id == runs.c.experiment_id)
    if len(id) >= ID_LENGTH:
        found = list(connection.scalars(alive.where(table.c.id == id)))
    elif id and id.isalnum() and id.isascii():
        # A range and not LIKE, so that the index serves under every collation.
        found = list(connection.scalars(alive.where(table.c.id >= id, table.c.id < id + "g").limit(2)))
        found = [one for one in found if one.startswith(id)]
    else:
        found = []
    if len(found) > 1:
        raise AmbiguousId(kind, id)
    if not found:
        raise NotFound(kind, id)
    return str(found[0])
