"""The database's clock, and the workers."""

from __future__ import annotations

from sqlalchemy import Connection, select

from service.entities import RETIRED, Worker
from service.store import mapper
from service.store.clock import db_now
from service.store.engine import Store
from service.store.tables import workers as workers_table

ALIVE_SECONDS = 15.0
_NOW = select(db_now())
_LISTED = select(workers_table).where(workers_table.c.state != RETIRED).order_by(workers_table.c.name)


def ping(store: Store) -> float:
    """The database's clock, seconds since 1970. Raises StoreUnavailable."""
    return store.read(lambda connection: float(connection.scalar(_NOW) or 0.0))


def read_workers(connection: Connection, alive_seconds: float = ALIVE_SECONDS) -> list[Worker]:
    now = float(connection.scalar(_NOW) or 0.0)
    rows = connection.execute(_LISTED)
    return [mapper.to_worker(row, now=now, alive_seconds=alive_seconds) for row in rows]


def workers(store: Store, *, alive_seconds: float = ALIVE_SECONDS) -> list[Worker]:
    """Every worker that reported within the last day; `alive` says whether it did lately."""
    return store.read(lambda connection: read_workers(connection, alive_seconds))
