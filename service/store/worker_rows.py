"""SQL on the workers table."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, update

from service.entities import RETIRED, Worker
from service.store.clock import db_now, later
from service.store.engine import insert_or
from service.store.tables import workers


def save_worker(connection: Connection, worker: Worker) -> None:
    """Store what a worker says of itself, and that it is alive now."""
    values = {
        "kind": worker.kind,
        "host": worker.host,
        "pid": worker.pid,
        "device": worker.device,
        "backend": worker.backend,
        "device_name": worker.device_name,
        "queues": list(worker.queues),
        "threads": worker.threads,
        "spool": worker.spool,
        "versions": dict(worker.versions),
        "state": worker.state,
        "run_ids": list(worker.run_ids),
        "width": worker.width,
        "memory_bytes": worker.memory_bytes,
    }
    connection.execute(_save(connection.dialect.name, tuple(values)), {"name": worker.name, **values})
    connection.execute(_DELETE_RETIRED, {"of_spool": worker.spool, "but": worker.name})


@cache
def _save(dialect: str, names: tuple[str, ...]) -> Any:
    """The INSERT of a worker with these columns, or their UPDATE where its name is known. Made once: workers report every few seconds."""
    statement = insert_or(dialect, workers).values(started_at=db_now(), last_seen=db_now())
    changed = {name: statement.excluded[name] for name in (*names, "last_seen")}
    return statement.on_conflict_do_update(index_elements=["name"], set_=changed)


_DELETE_RETIRED = delete(workers).where(
    workers.c.spool == bindparam("of_spool"),
    workers.c.state == RETIRED,
    workers.c.name != bindparam("but"),
)


def retire_worker(connection: Connection, name: str) -> None:
    """Delete a worker that has ended. The last one of a spool keeps its row, which says when that spool was served."""
    others = workers.alias()
    shares_spool = exists().where(others.c.spool == workers.c.spool, others.c.name != name)
    last = workers.c.spool.is_not(None) & ~shares_spool
    this = workers.c.name == name
    retired = connection.execute(update(workers).where(this, last).values(state=RETIRED, run_ids=[])).rowcount
    if not retired:
        connection.execute(delete(workers).where(this))


def delete_old_workers(connection: Connection, seconds: float) -> None:
    """Delete workers that were last seen more than that many seconds ago."""
    connection.execute(delete(workers).where(workers.c.last_seen < later(-seconds)))
