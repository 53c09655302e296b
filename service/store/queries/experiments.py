"""Experiments with the counts of their runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from service.entities import SHIPPING, Experiment
from service.errors import AmbiguousId, NotFound
from service.lifecycle import RunStatus
from service.store import mapper
from service.store.engine import Store
from service.store.ids import ID_LENGTH
from service.store.queries.cursors import float_and_id, text_and_id
from service.store.queries.filters import EXPERIMENTS_OWN, SEARCH, TAG, Filters, matching
from service.store.tables import experiments, runs

Sort = Literal["-created", "created", "name", "-name"]
SORTS: dict[Sort, tuple[ColumnElement[Any], bool]] = {
    "-created": (experiments.c.created_at, True),
    "created": (experiments.c.created_at, False),
    "name": (experiments.c.name, False),
    "-name": (experiments.c.name, True),
}
"""Order of a list -> the column, and whether the largest comes first. Equal values are ordered by id."""


def read_experiment(connection: Connection, id: str, *, replayed: bool = False) -> Experiment:
    row = connection.execute(select(experiments).where(experiments.c.id == id)).first()
    if row is None:
        raise NotFound("experiment", id)
    return mapper.to_experiment(row, read_counts(connection, [id]).get(id, {}), replayed=replayed)


def read_counts(connection: Connection, ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Experiment id -> status -> number of runs; `shipping` -> how many of the running ones wait for MLflow alone."""
    statement = (
        select(runs.c.experiment_id, runs.c.status, func.count(), func.count(runs.c.committed_at))
        .where(runs.c.experiment_id.in_(list(ids)))
        .group_by(runs.c.experiment_id, runs.c.status)
    )
    counts: dict[str, dict[str, int]] = {}
    for id, status, number, committed in connection.execute(statement):
        counts.setdefault(id, {})[status] = number
        if status == RunStatus.RUNNING:
            counts[id][SHIPPING] = committed
    return counts


def counted(store: Store, statement: Select[Any]) -> list[Experiment]:
    """The experiments that a statement chooses, with the counts of their runs."""

    def work(connection: Connection) -> list[Experiment]:
        rows = connection.execute(statement).all()
        numbers = read_counts(connection, [row.id for row in rows])
        return [mapper.to_experiment(row, numbers.get(row.id, {})) for row in rows]

    return store.read(work)


def get_experiment(store: Store, id: str, *, owner: str | None = None) -> Experiment:
    """An experiment that is not deleted.

    Args:
        id: its id or the beginning of it.
        owner: only of this owner; None: of everybody.

    Raises:
        NotFound: none has an id that begins so.
        AmbiguousId: several have.
    """

    def work(connection: Connection) -> Experiment:
        return read_experiment(connection, resolve(connection, "experiment", id, owner))

    return store.read(work)


def list_experiments(
    store: Store,
    *,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int = 100,
    owner: str | None = None,
    sort: Sort = "-created",
) -> tuple[list[Experiment], str | None]:
    """A page of experiments.

    Args:
        filters: name -> values, any of which will do. `name`, `owner`, `stage` and `id` are the experiment's own;
            `q`: words that its name, description, owner or tags hold; `tag.NAME`: the value of a tag; any other name
            chooses experiments with such a run (see `list_runs`).
        cursor: of the page, as the page before gave it; None: the first.
        limit: most experiments on the page.
        owner: only this owner's; None: everybody's.
        sort: the order; the cursor belongs to it.

    Returns:
        The experiments, and the cursor of the next page (None: there is none).

    Raises:
        BadCursor: this service did not make the cursor.
    """

    def work(connection: Connection) -> tuple[list[Experiment], str | None]:
        statement = select(experiments).where(experiments.c.deleted_at.is_(None))
        inner: list[ColumnElement[bool]] = []
        for name, values in (filters or {}).items():
            if name == SEARCH:
                statement = statement.where(*(_contains(word) for text in values for word in text.split()))
            elif name.startswith(TAG):
                statement = statement.where(
                    experiments.c.tags[name.removeprefix(TAG)].as_string().in_(list(values))
                )
            elif name in EXPERIMENTS_OWN:
                statement = statement.where(experiments.c[name].in_(list(values)))
            else:
                inner.append(matching(name, values))
        if inner:
            statement = statement.where(exists().where(runs.c.experiment_id == experiments.c.id, *inner))
        if owner is not None:
            statement = statement.where(experiments.c.owner == owner)
        column, falling = SORTS[sort]
        order = [key.desc() if falling else key.asc() for key in (column, experiments.c.id)]
        if cursor is not None:
            at, id = (float_and_id if column is experiments.c.created_at else text_and_id)(cursor)
            key, last = tuple_(column, experiments.c.id), tuple_(literal(at), literal(id))
            statement = statement.where(key < last if falling else key > last)
        rows = connection.execute(statement.order_by(*order).limit(limit + 1)).all()
        shown = rows[:limit]
        numbers = read_counts(connection, [row.id for row in shown])
        page = [mapper.to_experiment(row, numbers.get(row.id, {})) for row in shown]
        if len(rows) <= limit:
            return page, None
        value = getattr(shown[-1], str(column.key))
        return page, f"{value!r}_{shown[-1].id}" if isinstance(value, float) else f"{value}_{shown[-1].id}"

    return store.read(work)


def _contains(word: str) -> ColumnElement[bool]:
    """The experiments that have a word somewhere in what people wrote about them."""
    columns = (
        experiments.c.name,
        experiments.c.description,
        experiments.c.owner,
        cast(experiments.c.tags, Text),
    )
    return or_(*(column.icontains(word, autoescape=True) for column in columns))


def resolve(connection: Connection, kind: str, id: str, owner: str | None = None) -> str:
    """The whole id of an experiment or run of which the beginning is given.

    Args:
        kind: experiment or run.
        id: at least one character.
        owner: only of this owner; None: of everybody.

    Raises:
        NotFound: none has an id that begins so.
        AmbiguousId: several have.
    """
    table = experiments if kind == "experiment" else runs
    alive = select(table.c.id).where(experiments.c.deleted_at.is_(None))
    if kind != "experiment":
        alive = alive.join(experiments, experiments.c.id == runs.c.experiment_id)
    if owner is not None:
        alive = alive.where(experiments.c.owner == owner)
    if len(id) >= ID_LENGTH:
        ids = list(connection.scalars(alive.where(table.c.id == id)))
    elif id and id.isalnum() and id.isascii():
        # A range instead of LIKE: the index serves it under every collation.
        ids = list(connection.scalars(alive.where(table.c.id >= id, table.c.id < id + "g").limit(2)))
        ids = [candidate for candidate in ids if candidate.startswith(id)]
    else:
        ids = []
    if len(ids) > 1:
        raise AmbiguousId(kind, id)
    if not ids:
        raise NotFound(kind, id)
    return str(ids[0])
