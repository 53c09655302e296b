"""What was measured and what happened: metrics and events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, or_, select

from service.entities import Event, StoredMetric
from service.store import mapper
from service.store.clock import db_horizon
from service.store.engine import Store
from service.store.queries.cursors import event_cursor, whole_number
from service.store.queries.runs import CHUNK
from service.store.tables import events, metrics, runs


def metric_history(
    store: Store,
    run_id: str,
    *,
    keys: Sequence[str] | None = None,
    cursor: str | None = None,
    limit: int = 10_000,
) -> tuple[list[StoredMetric], str | None]:
    """A page of a run's measured values, in the order of step and name.

    Args:
        keys: names of metrics; None: all.
        cursor: of the page; None: the first.
        limit: most values on the page.

    Returns:
        The values, and the cursor of the next page (None: there is none).

    Raises:
        BadCursor: this service did not make the cursor.
    """

    def work(connection: Connection) -> tuple[list[StoredMetric], str | None]:
        statement = select(metrics).where(metrics.c.run_id == run_id)
        if keys:
            statement = statement.where(metrics.c.key.in_(list(keys)))
        if cursor is not None:
            step, key = whole_number(cursor.split("_", 1)[0]), cursor.split("_", 1)[-1]
            later = or_(metrics.c.step > step, and_(metrics.c.step == step, metrics.c.key > key))
            statement = statement.where(later)
        rows = connection.execute(statement.order_by(metrics.c.step, metrics.c.key).limit(limit + 1)).all()
        more = f"{rows[limit - 1].step}_{rows[limit - 1].key}" if len(rows) > limit else None
        return [mapper.to_metric(row) for row in rows[:limit]], more

    return store.read(work)


def metrics_after(store: Store, run_id: str, metric_id: int, limit: int) -> list[StoredMetric]:
    """A run's values that were stored after the one of that id, in that order: what MLflow does not have yet."""
    # Sorted by an expression: for the sake of an order that an index has, PostgreSQL may read the whole table instead
    # of the rows of one run (*measured*, where a new table has no statistics yet: a tenth of a second each).
    order = metrics.c.id + 0
    statement = select(metrics).where(metrics.c.run_id == run_id, metrics.c.id > metric_id)
    statement = statement.order_by(order).limit(limit)
    return store.read(lambda connection: [mapper.to_metric(row) for row in connection.execute(statement)])


def metric_values(
    store: Store, run_ids: Collection[str], keys: Sequence[str]
) -> dict[str, dict[str, list[tuple[int, float | None]]]]:
    """Run id -> key -> (step, value) in the order of steps, for several runs at once."""

    def work(connection: Connection) -> dict[str, dict[str, list[tuple[int, float | None]]]]:
        histories: dict[str, dict[str, list[tuple[int, float | None]]]] = {}
        ids = list(run_ids)
        for start in range(0, len(ids), CHUNK):
            statement = (
                select(metrics.c.run_id, metrics.c.key, metrics.c.step, metrics.c.value)
                .where(metrics.c.run_id.in_(ids[start : start + CHUNK]), metrics.c.key.in_(list(keys)))
                .order_by(metrics.c.run_id, metrics.c.key, metrics.c.step)
            )
            for run_id, key, step, value in connection.execute(statement):
                histories.setdefault(run_id, {}).setdefault(key, []).append((step, value))
        return histories

    return store.read(work)


def events_after(
    store: Store,
    *,
    experiment_id: str | None = None,
    run_id: str | None = None,
    after: str | None = None,
    limit: int = 500,
) -> list[Event]:
    """Events of an experiment or a run, in an order in which no event appears behind a reader.

    Args:
        experiment_id: only this experiment's.
        run_id: only this run's.
        after: id of the last event that was read; None: from the first.
        limit: most events.

    Raises:
        BadCursor: this service did not make the cursor.
    """
    statement = select(events).where(events.c.transaction < db_horizon())
    if experiment_id is not None:
        statement = statement.where(events.c.experiment_id == experiment_id)
    if run_id is not None:
        statement = statement.where(events.c.run_id == run_id)
    if after:
        statement = statement.where(_behind(after))
    statement = statement.order_by(events.c.transaction, events.c.id).limit(limit)
    return store.read(lambda connection: [mapper.to_event(row) for row in connection.execute(statement)])


def _behind(cursor: str) -> ColumnElement[bool]:
    transaction, id = event_cursor(cursor)
    newer = and_(events.c.transaction == transaction, events.c.id > id)
    return or_(events.c.transaction > transaction, newer)


_is_status = events.c.kind == literal_column("'status'")  # literal, for the partial index


def newest_status_event(store: Store) -> str | None:
    """The id of the newest status event of any run; None where there is none."""
    newest = (
        select(events.c.transaction, events.c.id)
        .where(_is_status, events.c.transaction < db_horizon())
        .order_by(events.c.transaction.desc(), events.c.id.desc())
        .limit(1)
    )
    row = store.read(lambda connection: connection.execute(newest).first())
    return None if row is None else f"{row.transaction}-{row.id}"


def status_events_after(store: Store, after: str | None, limit: int = 1000) -> list[Event]:
    """Status events of all runs after an event's id (None: from the first), in an order in which none appears late."""
    statement = select(events).where(_is_status, events.c.transaction < db_horizon())
    if after:
        statement = statement.where(_behind(after))
    statement = statement.order_by(events.c.transaction, events.c.id).limit(limit)
    return store.read(lambda connection: [mapper.to_event(row) for row in connection.execute(statement)])


@dataclass(frozen=True)
class Durations:
    """Seconds from a run's first claim to its committed outcome, and from there to its final status."""

    training: float
    shipping: float


def run_durations(store: Store, run_ids: Collection[str]) -> list[Durations]:
    """The durations of those of the runs that are over and have a committed outcome."""
    last = (
        select(func.max(events.c.at))
        .where(events.c.run_id == runs.c.id, events.c.kind == "status")
        .scalar_subquery()
    )
    statement = select(runs.c.committed_at - runs.c.started_at, last - runs.c.committed_at).where(
        runs.c.id.in_(list(run_ids)), runs.c.committed_at.is_not(None), runs.c.started_at.is_not(None)
    )
    rows = store.read(lambda connection: connection.execute(statement).all())
    return [Durations(max(0.0, training), max(0.0, shipping)) for training, shipping in rows]
