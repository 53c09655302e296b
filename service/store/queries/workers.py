"""The clock, workers, certificates, requests, and how many runs have which status."""

from __future__ import annotations

from sqlalchemy import Connection, Integer, cast, func, select

from service.entities import RETIRED, Certificate, Request, Worker
from service.errors import NotFound
from service.lifecycle import RunStatus
from service.store import mapper
from service.store.clock import db_now
from service.store.engine import Store
from service.store.tables import certificates, experiments, requests, runs
from service.store.tables import workers as workers_table

ALIVE_SECONDS = 15.0


def ping(store: Store) -> float:
    """The database's clock, seconds since 1970. Raises StoreUnavailable."""
    return store.read(lambda connection: float(connection.scalar(select(db_now())) or 0.0))


def read_workers(connection: Connection, alive_seconds: float = ALIVE_SECONDS) -> list[Worker]:
    now = float(connection.scalar(select(db_now())) or 0.0)
    there = workers_table.c.state != RETIRED
    rows = connection.execute(select(workers_table).where(there).order_by(workers_table.c.name))
    return [mapper.to_worker(row, now=now, alive_seconds=alive_seconds) for row in rows]


def workers(store: Store, *, alive_seconds: float = ALIVE_SECONDS) -> list[Worker]:
    """Every worker that reported within the last day; `alive` says whether it did lately."""
    return store.read(lambda connection: read_workers(connection, alive_seconds))


def get_certificate(store: Store, key: str) -> Certificate | None:
    statement = select(certificates).where(certificates.c.key == key)

    def work(connection: Connection) -> Certificate | None:
        row = connection.execute(statement).first()
        return None if row is None else mapper.to_certificate(row)

    return store.read(work)


def get_request(store: Store, id: str) -> Request:
    """Raises NotFound."""

    def work(connection: Connection) -> Request:
        row = connection.execute(select(requests).where(requests.c.id == id)).first()
        if row is None:
            raise NotFound("request", id)
        return mapper.to_request(row)

    return store.read(work)


def status_counts(connection: Connection) -> dict[str, int]:
    """Status -> number of runs of all experiments that are not deleted."""
    # By experiment first: in the order of an index, and an experiment is looked up once and not for each run.
    each = (
        select(runs.c.experiment_id, runs.c.status, func.count().label("number"))
        .group_by(runs.c.experiment_id, runs.c.status)
        .subquery()
    )
    statement = (
        select(each.c.status, cast(func.sum(each.c.number), Integer))
        .join(experiments, experiments.c.id == each.c.experiment_id)
        .where(experiments.c.deleted_at.is_(None))
        .group_by(each.c.status)
    )
    found = {row[0]: row[1] for row in connection.execute(statement)}
    return {status.value: found.get(status.value, 0) for status in RunStatus}
