"""Runs, with their parameters and latest metrics."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection, bindparam, exists, select

from experiments.sections import DEFAULT_BACKEND
from service.entities import Run
from service.errors import NotFound
from service.lifecycle import RunStatus
from service.routes import routes
from service.store import mapper
from service.store.engine import Store
from service.store.queries.cursors import whole_number
from service.store.queries.experiments import resolve
from service.store.queries.filters import Filters, matching
from service.store.queries.workers import read_workers
from service.store.tables import runs

CHUNK = 1000
_OF_IDS = mapper.SELECT_RUNS.where(runs.c.id.in_(bindparam("ids", expanding=True)))


def read_runs(connection: Connection, ids: Collection[str]) -> list[Run]:
    wanted = list(ids)
    rows: list[Run] = []
    for start in range(0, len(wanted), CHUNK):
        chosen = connection.execute(_OF_IDS, {"ids": wanted[start : start + CHUNK]})
        rows += [mapper.to_run(row) for row in chosen]
    return rows


def read_run(connection: Connection, id: str) -> Run:
    """A run by its whole id. Raises NotFound."""
    runs_of_id = read_runs(connection, [id])
    if not runs_of_id:
        raise NotFound("run", id)
    return runs_of_id[0]


def read_cancelled(connection: Connection, ids: Collection[str]) -> set[str]:
    asked = runs.c.cancel_requested_at.is_not(None)
    return set(connection.scalars(select(runs.c.id).where(runs.c.id.in_(list(ids)), asked)))


def get_run(store: Store, id: str, *, owner: str | None = None) -> Run:
    """A run of an experiment that is not deleted.

    Args:
        id: its id or the beginning of it.
        owner: only of this owner; None: of everybody.

    Raises:
        NotFound: none has an id that begins so.
        AmbiguousId: several have.
    """

    def work(connection: Connection) -> Run:
        runs_of_id = explained(connection, read_runs(connection, [resolve(connection, "run", id, owner)]))
        if not runs_of_id:
            raise NotFound("run", id)
        return runs_of_id[0]

    return store.read(work)


def get_runs(store: Store, ids: Collection[str]) -> dict[str, Run]:
    """Id -> run of those of the whole ids that exist, also of deleted experiments."""
    return {run.id: run for run in store.read(lambda connection: read_runs(connection, ids))}


def is_anything_accepted(store: Store) -> bool:
    """Whether there is any run."""
    accepted = select(exists().where(runs.c.id.is_not(None)))
    return bool(store.read(lambda connection: connection.scalar(accepted)))


def list_runs(
    store: Store,
    experiment_id: str,
    *,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[Run], str | None]:
    """A page of an experiment's runs in the order of the sweep.

    Args:
        filters: name -> values, any of which will do. `status`, `stage`, `reason`, `fingerprint`, `worker` are the
            run's own; any other name is a factor's level or a parameter.
        cursor: of the page; None: the first.
        limit: most runs on the page.

    Returns:
        The runs, and the cursor of the next page (None: there is none).

    Raises:
        BadCursor: this service did not make the cursor.
    """

    def work(connection: Connection) -> tuple[list[Run], str | None]:
        statement = mapper.SELECT_RUNS.where(runs.c.experiment_id == experiment_id)
        for name, values in (filters or {}).items():
            statement = statement.where(matching(name, values))
        if cursor is not None:
            statement = statement.where(runs.c.index > whole_number(cursor))
        rows = connection.execute(statement.order_by(runs.c.index).limit(limit + 1)).all()
        more = str(rows[limit - 1].index) if len(rows) > limit else None
        return explained(connection, [mapper.to_run(row) for row in rows[:limit]]), more

    return store.read(work)


def explained(connection: Connection, waiting_runs: list[Run]) -> list[Run]:
    """The runs. Those that wait for a device and backend that no living worker has get that as their reason."""
    if not any(run.status == RunStatus.SCHEDULED and not run.reason for run in waiting_runs):
        return waiting_runs
    workers = [worker for worker in read_workers(connection) if worker.alive and worker.kind == "train"]
    served = {route for worker in workers for route in routes(worker.device, worker.backend)}
    return [
        replace(run, reason=f"waits for a {_worker_for(run, bool(served))}: none is up")
        if run.status == RunStatus.SCHEDULED and not run.reason and (run.device, run.backend) not in served
        else run
        for run in waiting_runs
    ]


def _worker_for(run: Run, others: bool) -> str:
    """What worker the run waits for, in words: `worker`, `gpu worker`, `jax worker`, `cpu jax worker`. The usual backend
    is named where there are `others`, which have another one or another device."""
    words = [] if run.device == "auto" else [run.device]
    if run.backend not in ("auto", DEFAULT_BACKEND) or (others and not words and run.backend != "auto"):
        words.append(run.backend)
    return " ".join([*words, "worker"])


def all_runs(store: Store, experiment_id: str, *, filters: Filters | None = None) -> list[Run]:
    """Every run of an experiment in the order of the sweep."""
    every_run, cursor = list_runs(store, experiment_id, filters=filters, limit=CHUNK)
    while cursor is not None:
        page, cursor = list_runs(store, experiment_id, filters=filters, cursor=cursor, limit=CHUNK)
        every_run += page
    return every_run
