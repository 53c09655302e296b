"""What is read: experiments, runs, metrics, events, workers, and the figures of `/metrics`.

Functions named `read_…` take a connection and are parts of transactions; the others take the store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from service.errors import AmbiguousId, BadCursor, NotFound
from service.lifecycle import (
    ENDED_STAGES,
    Certificate,
    Event,
    Experiment,
    Request,
    Run,
    RunStatus,
    StoredMetric,
    Worker,
)
from service.store import mapper
from service.store.clock import db_horizon, db_now, later
from service.store.engine import Store
from service.store.ids import ID_LENGTH
from service.store.tables import certificates, events, experiments, metrics, requests, runs
from service.store.tables import workers as workers_table

ALIVE_SECONDS = 15.0
CHUNK = 1000
Filters = Mapping[str, Sequence[str]]


def ping(store: Store) -> float:
    """The database's clock, seconds since 1970. Raises StoreUnavailable."""
    return store.read(lambda connection: float(connection.scalar(select(db_now())) or 0.0))


# ---- experiments


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


def get_experiment(store: Store, id: str) -> Experiment:
    """An experiment by its id or the beginning of it. Raises NotFound, AmbiguousId."""

    def work(connection: Connection) -> Experiment:
        return read_experiment(connection, resolve(connection, "experiment", id))

    return store.read(work)


def counts(store: Store, id: str) -> dict[str, int]:
    """Status -> number of runs of an experiment, every status named."""
    return get_experiment(store, id).counts


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
            if name in ("name", "owner", "stage", "id"):
                statement = statement.where(experiments.c[name].in_(list(values)))
            else:
                inner.append(_filter(name, values))
        if inner:
            statement = statement.where(exists().where(runs.c.experiment_id == experiments.c.id, *inner))
        if owner is not None:
            statement = statement.where(experiments.c.owner == owner)
        if cursor is not None:
            at, id = _two_parts(cursor)
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


# ---- runs


def read_runs(connection: Connection, ids: Collection[str]) -> list[Run]:
    wanted, found = list(ids), []
    for start in range(0, len(wanted), CHUNK):
        chosen = mapper.select_runs().where(runs.c.id.in_(wanted[start : start + CHUNK]))
        found += [mapper.to_run(row) for row in connection.execute(chosen)]
    return found


def read_cancelled(connection: Connection, ids: Collection[str]) -> set[str]:
    asked = runs.c.cancel_requested_at.is_not(None)
    return set(connection.scalars(select(runs.c.id).where(runs.c.id.in_(list(ids)), asked)))


def get_run(store: Store, id: str) -> Run:
    """A run by its id or the beginning of it. Raises NotFound, AmbiguousId."""

    def work(connection: Connection) -> Run:
        found = explained(connection, read_runs(connection, [resolve(connection, "run", id)]))
        if not found:
            raise NotFound("run", id)
        return found[0]

    return store.read(work)


def get_runs(store: Store, ids: Collection[str]) -> dict[str, Run]:
    """Runs by their whole ids, those that exist."""
    return {run.id: run for run in store.read(lambda connection: read_runs(connection, ids))}


def list_runs(
    store: Store,
    experiment_id: str,
    *,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[Run], str | None]:
    """A page of an experiment's runs in the order of the sweep, and the cursor of the next one.

    Args:
        filters: name -> values, any of which will do. `status`, `stage`, `reason`, `fingerprint`, `worker` are the
            run's own; any other name is a factor's level or a parameter.
    """

    def work(connection: Connection) -> tuple[list[Run], str | None]:
        statement = mapper.select_runs().where(runs.c.experiment_id == experiment_id)
        for name, values in (filters or {}).items():
            statement = statement.where(_filter(name, values))
        if cursor is not None:
            statement = statement.where(runs.c.index > _number(cursor))
        rows = connection.execute(statement.order_by(runs.c.index).limit(limit + 1)).all()
        more = str(rows[limit - 1].index) if len(rows) > limit else None
        return explained(connection, [mapper.to_run(row) for row in rows[:limit]]), more

    return store.read(work)


def explained(connection: Connection, found: list[Run]) -> list[Run]:
    """The runs, those that wait for a device that no living worker has with that as their reason."""
    if not any(run.status == RunStatus.SCHEDULED and not run.reason for run in found):
        return found
    hands = [one for one in read_workers(connection) if one.alive and one.kind == "train"]
    served = {device for one in hands for device in ("auto", one.device)}
    return [
        replace(
            run, reason=f"waits for a {'' if run.device == 'auto' else run.device + ' '}worker: none is up"
        )
        if run.status == RunStatus.SCHEDULED and not run.reason and run.device not in served
        else run
        for run in found
    ]


def all_runs(store: Store, experiment_id: str, *, filters: Filters | None = None) -> list[Run]:
    """Every run of an experiment in the order of the sweep."""
    found, cursor = list_runs(store, experiment_id, filters=filters, limit=CHUNK)
    while cursor is not None:
        page, cursor = list_runs(store, experiment_id, filters=filters, cursor=cursor, limit=CHUNK)
        found += page
    return found


def _filter(name: str, values: Sequence[str]) -> ColumnElement[bool]:
    if name in ("status", "stage", "reason", "fingerprint", "worker", "id", "device"):
        return runs.c[name].in_(list(values))
    texts: list[ColumnElement[bool]] = []
    for value in values:
        for column in (runs.c.levels, runs.c.params):
            texts.append(column[name].as_string() == value)
        number = _as_number(value)
        if number is not None:  # 0.001, 1e-3 and .001 are the same learning rate
            texts.append(and_(_is_number(name), runs.c.params[name].as_float() == number))
    return or_(*texts)


def _is_number(name: str) -> ColumnElement[bool]:
    """Whether a parameter's text is a number, so that it can be compared as one."""
    text: ColumnElement[str] = runs.c.params[name].as_string()
    return text.regexp_match(r"^-?[0-9.]+([eE][-+]?[0-9]+)?$")


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# ---- metrics


def metric_history(
    store: Store,
    run_id: str,
    *,
    keys: Sequence[str] | None = None,
    cursor: str | None = None,
    limit: int = 10_000,
) -> tuple[list[StoredMetric], str | None]:
    """A run's measured values in the order of step and name, and the cursor of the next page."""

    def work(connection: Connection) -> tuple[list[StoredMetric], str | None]:
        statement = select(metrics).where(metrics.c.run_id == run_id)
        if keys:
            statement = statement.where(metrics.c.key.in_(list(keys)))
        if cursor is not None:
            step, key = _number(cursor.split("_", 1)[0]), cursor.split("_", 1)[-1]
            later = or_(metrics.c.step > step, and_(metrics.c.step == step, metrics.c.key > key))
            statement = statement.where(later)
        rows = connection.execute(statement.order_by(metrics.c.step, metrics.c.key).limit(limit + 1)).all()
        more = f"{rows[limit - 1].step}_{rows[limit - 1].key}" if len(rows) > limit else None
        return [mapper.to_metric(row) for row in rows[:limit]], more

    return store.read(work)


def metrics_after(store: Store, run_id: str, metric_id: int, limit: int = 10_000) -> list[StoredMetric]:
    """A run's values that were stored after the one of that id, in that order: what MLflow does not have yet."""
    statement = (
        select(metrics)
        .where(metrics.c.run_id == run_id, metrics.c.id > metric_id)
        .order_by(metrics.c.id)
        .limit(limit)
    )
    return store.read(lambda connection: [mapper.to_metric(row) for row in connection.execute(statement)])


def metric_values(
    store: Store, run_ids: Collection[str], keys: Sequence[str]
) -> dict[str, dict[str, list[tuple[int, float | None]]]]:
    """Run id -> key -> (step, value) in the order of steps, for several runs at once."""

    def work(connection: Connection) -> dict[str, dict[str, list[tuple[int, float | None]]]]:
        found: dict[str, dict[str, list[tuple[int, float | None]]]] = {}
        wanted = list(run_ids)
        for start in range(0, len(wanted), CHUNK):
            statement = (
                select(metrics.c.run_id, metrics.c.key, metrics.c.step, metrics.c.value)
                .where(metrics.c.run_id.in_(wanted[start : start + CHUNK]), metrics.c.key.in_(list(keys)))
                .order_by(metrics.c.run_id, metrics.c.key, metrics.c.step)
            )
            for run_id, key, step, value in connection.execute(statement):
                found.setdefault(run_id, {}).setdefault(key, []).append((step, value))
        return found

    return store.read(work)


def latest_metrics(store: Store, run_ids: Collection[str]) -> dict[str, dict[str, float | None]]:
    """Run id -> name -> latest value."""
    return {id: run.metrics for id, run in get_runs(store, run_ids).items()}


# ---- events


def events_after(
    store: Store,
    *,
    experiment_id: str | None = None,
    run_id: str | None = None,
    after: str | None = None,
    limit: int = 500,
) -> list[Event]:
    """Events of an experiment or a run after a cursor (an event's id), in an order in which none appears late.

    Raises:
        BadCursor: the cursor is not one of ours.
    """
    statement = select(events).where(events.c.transaction < db_horizon())
    if experiment_id is not None:
        statement = statement.where(events.c.experiment_id == experiment_id)
    if run_id is not None:
        statement = statement.where(events.c.run_id == run_id)
    if after:
        transaction, id = _event_cursor(after)
        newer = and_(events.c.transaction == transaction, events.c.id > id)
        statement = statement.where(or_(events.c.transaction > transaction, newer))
    statement = statement.order_by(events.c.transaction, events.c.id).limit(limit)
    return store.read(lambda connection: [mapper.to_event(row) for row in connection.execute(statement)])


def _event_cursor(cursor: str) -> tuple[int, int]:
    first, _, second = cursor.partition("-")
    if not (first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
        raise BadCursor(cursor)
    if max(len(first), len(second)) > 18:
        raise BadCursor(cursor)
    return int(first), int(second)


# ---- the rest


def read_workers(connection: Connection, alive_seconds: float = ALIVE_SECONDS) -> list[Worker]:
    now = float(connection.scalar(select(db_now())) or 0.0)
    rows = connection.execute(select(workers_table).order_by(workers_table.c.name))
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


def to_ship(store: Store, spool: str, *, limit: int = 100) -> list[Run]:
    """Runs of which MLflow does not know everything and that the shipper of this spool may carry there.

    A RUNNING run's files are in its own spool only. What MLflow does not know of a deleted experiment it never
    needs to learn.
    """

    def work(connection: Connection) -> list[Run]:
        statement = mapper.select_runs().where(shippable(spool)).order_by(*SHIP_ORDER).limit(limit)
        return [mapper.to_run(row) for row in connection.execute(statement)]

    return store.read(work)


def shippable(spool: str) -> ColumnElement[bool]:
    """See `to_ship`. Needs the join with experiments."""
    here = or_(runs.c.spool == spool, runs.c.spool.is_(None), runs.c.status != "RUNNING")
    return and_(
        runs.c.dirty, here, or_(experiments.c.deleted_at.is_(None), runs.c.mlflow_run_id.is_not(None))
    )


# What is over first, then what runs, then what waits.
SHIP_ORDER = (
    (runs.c.committed_at.is_(None) & (runs.c.status == "RUNNING")),
    (runs.c.status == "SCHEDULED"),
    runs.c.created_at,
    runs.c.id,
)


def experiments_to_ship(store: Store, *, limit: int = 50) -> list[Experiment]:
    """Experiments of which MLflow does not know name, description or tags as they are now."""
    behind = experiments.c.shipped_change < experiments.c.change
    statement = select(experiments).where(behind, experiments.c.deleted_at.is_(None))
    return _experiments(store, statement.order_by(experiments.c.created_at).limit(limit))


def experiments_to_purge(store: Store, *, limit: int = 50) -> list[Experiment]:
    """Deleted experiments whose runs are over, here and as far as MLflow knows them: ready to be removed there too,
    and then for good (`operations.purge_experiment`)."""
    open_ = exists().where(
        runs.c.experiment_id == experiments.c.id,
        or_(
            runs.c.status.in_(["SCHEDULED", "RUNNING"]),
            and_(runs.c.mlflow_run_id.is_not(None), runs.c.dirty),
        ),
    )
    statement = select(experiments).where(experiments.c.deleted_at.is_not(None), ~open_)
    return _experiments(store, statement.order_by(experiments.c.deleted_at).limit(limit))


def staged_experiments(store: Store, *, limit: int = 200) -> list[Experiment]:
    """Experiments with a plan and no open run: perhaps their question can go on."""
    open_ = exists().where(
        runs.c.experiment_id == experiments.c.id, runs.c.status.in_(["SCHEDULED", "RUNNING"])
    )
    statement = select(experiments).where(
        experiments.c.deleted_at.is_(None),
        experiments.c.cancel_requested_at.is_(None),
        experiments.c.plan.is_not(None),
        experiments.c.stage.not_in(ENDED_STAGES),
        ~open_,
    )
    return _experiments(store, statement.order_by(experiments.c.created_at).limit(limit))


def experiments_to_keep(store: Store, *, limit: int = 20) -> list[Experiment]:
    """Experiments whose runs are over, and which were not asked for keepsakes since the last of them finished."""
    open_ = exists().where(
        runs.c.experiment_id == experiments.c.id, runs.c.status.in_(["SCHEDULED", "RUNNING"])
    )
    statement = select(experiments).where(
        experiments.c.deleted_at.is_(None), experiments.c.keepsakes_due, ~open_
    )
    return _experiments(store, statement.order_by(experiments.c.created_at.desc()).limit(limit))


def experiments_ended_before(store: Store, seconds: float, *, limit: int = 1000) -> list[Experiment]:
    """Experiments in MLflow whose last run was over so many seconds ago."""
    mine = runs.c.experiment_id == experiments.c.id
    lately = or_(runs.c.ended_at.is_(None), runs.c.ended_at > later(-seconds))
    statement = select(experiments).where(
        experiments.c.deleted_at.is_(None),
        experiments.c.mlflow_experiment_id.is_not(None),
        exists().where(mine),
        ~exists().where(mine, lately),
    )
    return _experiments(store, statement.order_by(experiments.c.created_at).limit(limit))


def _experiments(store: Store, statement: Select[Any]) -> list[Experiment]:
    def work(connection: Connection) -> list[Experiment]:
        rows = connection.execute(statement).all()
        numbers = read_counts(connection, [row.id for row in rows])
        return [mapper.to_experiment(row, numbers.get(row.id, {})) for row in rows]

    return store.read(work)


def status_counts(connection: Connection) -> dict[str, int]:
    """Status -> number of runs of all experiments that are not deleted."""
    statement = (
        select(runs.c.status, func.count())
        .select_from(runs.join(experiments))
        .where(experiments.c.deleted_at.is_(None))
        .group_by(runs.c.status)
    )
    found = {row[0]: row[1] for row in connection.execute(statement)}
    return {status.value: found.get(status.value, 0) for status in RunStatus}


def _two_parts(cursor: str) -> tuple[float, str]:
    first, _, second = cursor.partition("_")
    number = _as_number(first)
    if number is None or not second:
        raise BadCursor(cursor)
    return number, second


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        raise BadCursor(cursor)
    return int(cursor)
