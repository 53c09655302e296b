"""SQL of the planner on the runs table: which runs wait, which were sent, and marking them as sent.

The planner asks twice a second. Its statements are made once, because making one costs ten times what SQLite spends on it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from experiments.sections import DEFAULT_BACKEND
from service.routes import Route
from service.store.clock import db_now
from service.store.queries import read_workers
from service.store.run_rows import in_order, of
from service.store.tables import experiments, runs

# Literal values: SQLite and PostgreSQL use a partial index only where its condition is in the statement itself.
SCHEDULED = runs.c.status == literal_column("'SCHEDULED'")
BEGUN = runs.c.attempt > literal_column("0")
NOT_SENT = SCHEDULED & runs.c.dispatched_at.is_(None)
SENT = SCHEDULED & runs.c.dispatched_at.is_not(None)
TRAINING = (runs.c.status == literal_column("'RUNNING'")) & runs.c.committed_at.is_(None)


def some_run_waits() -> ColumnElement[bool]:
    """Whether a run is SCHEDULED, sent or not."""
    return or_(exists().where(NOT_SENT), exists().where(SENT))


_SOME_RUN_WAITS = select(some_run_waits())


def is_any_waiting(connection: Connection) -> bool:
    """Whether a run is SCHEDULED, sent or not: without one the planner has nothing to send and misses no message."""
    return bool(connection.scalar(_SOME_RUN_WAITS))


@dataclass(frozen=True)
class Waiting:
    """A run that waits to be sent, with the columns that the planner needs."""

    id: str
    index: int
    program: str
    max_width: int
    device: str
    seed: int
    epochs: int
    resume_key: str | None
    resume_width: int | None
    single_lane: bool
    width: int | None
    backend: str = DEFAULT_BACKEND
    begun: bool = False  # a worker claimed it before: it is planned before any fresh run

    @property
    def route(self) -> tuple[str, str]:
        """(device, backend) that the run asks for."""
        return self.device, self.backend


@dataclass(frozen=True)
class SentTile:
    """A tile whose message was sent and of which at least one run still waits. `age` is in seconds; `begun` as in
    TileMessage."""

    tile: str
    queue: str
    age: float
    begun: bool


def asking_for(routes: Collection[Route]) -> ColumnElement[bool]:
    """Whether a run asks for one of these pairs of device and backend."""
    return tuple_(runs.c.device, runs.c.backend).in_(list(routes))


_WAITS_THERE = NOT_SENT & tuple_(runs.c.device, runs.c.backend).in_(bindparam("routes", expanding=True))
_WAITING_EXPERIMENTS = select(
    experiments.c.id,
    experiments.c.owner,
    experiments.c.priority,
    experiments.c.created_at,
    experiments.c.id.in_(select(runs.c.experiment_id).where(_WAITS_THERE, BEGUN)).label("begun"),
).where(
    experiments.c.deleted_at.is_(None),
    exists().where(runs.c.experiment_id == experiments.c.id, _WAITS_THERE),
)


def waiting_experiments(connection: Connection, routes: Collection[Route]) -> list[Row[Any]]:
    """Experiments with runs to be sent that ask for one of these pairs of device and backend, as rows of id, owner,
    priority, created_at, and `begun`: whether a worker claimed one of the runs before."""
    return list(connection.execute(_WAITING_EXPERIMENTS, {"routes": list(routes)}))


_WAITS = (
    select(runs.c.device, runs.c.backend, func.count().label("number"))
    .where(NOT_SENT)
    .group_by(runs.c.device, runs.c.backend)
)


def waits(connection: Connection) -> dict[tuple[str, str], int]:
    """(device, backend) -> number of runs that wait to be sent."""
    return {(row.device, row.backend): row.number for row in connection.execute(_WAITS)}


_WAITING_RUNS = [
    (
        begun,
        select(
            *(
                runs.c[name]
                for name in (
                    "id", "index", "program", "max_width", "device", "backend", "seed", "epochs", "resume_key",
                    "single_lane", "width", "checkpoint",
                )
            )
        )
        .where(runs.c.experiment_id == bindparam("experiment"), _WAITS_THERE, BEGUN if begun else not_(BEGUN))
        .order_by(runs.c.index)
        .limit(bindparam("most")),
    )
    for begun in (True, False)
]  # fmt: skip


def waiting_runs(
    connection: Connection, experiment_id: str, routes: Collection[Route], limit: int
) -> list[Waiting]:
    """The first runs of an experiment that wait to be sent and ask for one of these pairs of device and backend. Those
    that a worker claimed before come first, then the order of the sweep."""
    waiting: list[Waiting] = []
    for begun, statement in _WAITING_RUNS:
        wanted = {"experiment": experiment_id, "routes": list(routes), "most": limit - len(waiting)}
        for row in connection.execute(statement, wanted):
            fields = dict(row._mapping)
            checkpoint = fields.pop("checkpoint")
            width = checkpoint.get("width") if checkpoint else None
            waiting.append(Waiting(**fields, resume_width=width, begun=begun))
    return waiting


_ACTIVE = [
    select(runs.c.experiment_id, experiments.c.owner, func.count().label("number"))
    .join(experiments, experiments.c.id == runs.c.experiment_id)
    .where(condition)
    .group_by(runs.c.experiment_id, experiments.c.owner)
    for condition in (SENT, TRAINING)
]


def active(connection: Connection) -> list[Row[Any]]:
    """experiment_id, owner and number of runs that were sent or are being trained."""
    return [row for statement in _ACTIVE for row in connection.execute(statement)]


def _sent_tiles() -> Select[Any]:
    begun, held_here = (
        func.max(case((condition, 1), else_=0))
        for condition in (BEGUN, runs.c.id.in_(bindparam("held", expanding=True)))
    )
    sent_at = func.min(runs.c.dispatched_at)
    return (
        select(runs.c.tile, runs.c.queue, (db_now() - sent_at).label("age"), begun.label("begun"))
        .where(SENT)
        .group_by(runs.c.tile, runs.c.queue)
        .having(held_here == 0)
        # Tiles that were planned together have the same time, so the order of the sweep decides.
        .order_by(begun.desc(), sent_at, func.min(runs.c.index))
    )


_SENT_TILES = _sent_tiles()


def sent_tiles(connection: Connection, held: Collection[str]) -> list[SentTile]:
    """Tiles that were sent and of which at least one run still waits, in the order in which workers read their messages.

    Args:
        held: runs that living workers report to have; their tiles are left out.
    """
    rows = connection.execute(_SENT_TILES, {"held": list(held)})
    return [SentTile(row.tile, row.queue, row.age, bool(row.begun)) for row in rows]


_IDS = runs.c.id.in_(bindparam("ids", expanding=True))
_LOCK = select(runs.c.id).where(_IDS).order_by(runs.c.id).with_for_update()


def lock_waiting(connection: Connection, run_ids: Collection[str]) -> None:
    """Lock the runs of all tiles that are about to be marked, in the order of their ids. Locked tile by tile, two planners
    could deadlock."""
    connection.execute(_LOCK, {"ids": list(run_ids)}).all()


_MARK = update(runs).where(_IDS, NOT_SENT).values(dispatched_at=db_now())


def mark_sent(connection: Connection, run_ids: Collection[str], *, tile: str, width: int, queue: str) -> None:
    """Mark the runs of a tile as sent. The caller holds their locks (`lock_waiting`)."""
    connection.execute(_MARK, {"ids": list(run_ids), "tile": tile, "width": width, "queue": queue})


def unmark(connection: Connection, tiles: Collection[str]) -> None:
    """The messages of these tiles are lost: their waiting runs are planned again."""
    if tiles:
        waiting = in_order(SENT, runs.c.tile.in_(list(tiles)))
        connection.execute(update(runs).where(waiting).values(dispatched_at=None))


def unmark_runs(connection: Connection, run_ids: Collection[str]) -> None:
    """The message with these runs is lost: those that still wait are planned again."""
    if run_ids:
        connection.execute(update(runs).where(in_order(SENT, of(run_ids))).values(dispatched_at=None))


def oldest_sent_tile(
    connection: Connection, experiment_id: str, routes: Collection[Route]
) -> tuple[list[str], int] | None:
    """The runs and the width of the experiment's tile that was sent first and of which a run still waits."""
    first = (
        select(runs.c.tile)
        .where(SENT, runs.c.experiment_id == experiment_id, asking_for(routes))
        .order_by(runs.c.dispatched_at, runs.c.index)
        .limit(1)
        .scalar_subquery()
    )
    statement = select(runs.c.id, runs.c.width).where(SENT, runs.c.tile == first).order_by(runs.c.index)
    rows = connection.execute(statement).all()
    return ([row.id for row in rows], rows[0].width) if rows else None


def training_workers(connection: Connection, queue: str) -> int:
    """How many living workers serve a queue."""
    return sum(
        worker.alive and worker.kind == "train" and queue in worker.queues
        for worker in read_workers(connection)
    )
