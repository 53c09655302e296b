"""SQL on the metrics table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, bindparam, column, func, insert, select
from sqlalchemy.dialects import postgresql

from service.store.clock import NOW_SQLITE, db_now
from service.store.engine import insert_at_once
from service.store.tables import metrics

_POINT = ("run_id", "key", "step", "value", "at", "attempt")


def insert_metrics(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write metric rows of run_id, key, step, value, at (None: now) and attempt. A point whose run, key
    and step are there stays as it is."""
    if not rows:
        return
    same = ["run_id", "key", "step"]
    if connection.dialect.name == "sqlite":
        points = [tuple(row[name] for name in _POINT) for row in rows]
        place = f"(?, ?, ?, ?, coalesce(?, {NOW_SQLITE}), ?)"
        insert_at_once(
            connection,
            metrics,
            _POINT,
            points,
            place=place,
            then="ON CONFLICT (run_id, key, step) DO NOTHING",
        )
        return
    # Arrays per column: one short statement, prepared once, whatever the number of rows.
    arrays = [bindparam(name, type_=ARRAY(metrics.c[name].type)) for name in _POINT]
    names = (column(name, metrics.c[name].type) for name in _POINT)
    new = func.unnest(*arrays).table_valued(*names).render_derived()
    values = select(*(func.coalesce(new.c.at, db_now()) if name == "at" else new.c[name] for name in _POINT))
    many = postgresql.insert(metrics).from_select(_POINT, values).on_conflict_do_nothing(index_elements=same)
    connection.execute(many, {name: [row[name] for row in rows] for name in _POINT})


def copy(connection: Connection, source: str, target: str) -> None:
    """Give a run without metrics those of another one, with the times at which they were measured."""
    same = [metrics.c[name] for name in _POINT if name != "run_id"]
    values = select(bindparam("target", target, type_=metrics.c.run_id.type), *same)
    values = values.where(metrics.c.run_id == source).order_by(metrics.c.id)
    connection.execute(insert(metrics).from_select(_POINT, values))
