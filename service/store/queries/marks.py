"""Runs as dots on a page: little of each, of many at once."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, case, func, or_, select

from service.entities import RunMark, shown_state
from service.store.engine import Store
from service.store.tables import events, experiments, runs

_DIVERGED = or_(
    runs.c.reason == "diverged", runs.c.tags["gradus.diagnosis.diverged"].as_string().is_not(None)
)
"""Whether a run's loss is no number, or grew so much that its diagnosis says so."""


def run_marks(
    store: Store, experiment_ids: Collection[str], *, most: int, metrics: bool = False
) -> dict[str, list[RunMark]]:
    """Experiment id -> its runs in the order of the sweep, the first `most` of each; with their metrics if wanted."""
    columns = ("id", "experiment_id", "index", "stage", "status", "committed_at", "levels")
    verdict = runs.c.tags["gradus.certificate"].as_string()
    reason = case((_DIVERGED, "diverged"), else_=runs.c.reason)
    measured = (runs.c.metrics,) if metrics else ()
    statement = (
        select(
            *(runs.c[name] for name in columns),
            *measured,
            reason.label("reason"),
            verdict.label("certificate"),
        )
        .where(runs.c.experiment_id.in_(list(experiment_ids)), runs.c.index < most)
        .order_by(runs.c.experiment_id, runs.c.index)
    )

    def work(connection: Connection) -> dict[str, list[RunMark]]:
        marks: dict[str, list[RunMark]] = {}
        for row in connection.execute(statement):
            values = dict(row._mapping)
            committed = values.pop("committed_at") is not None
            experiment_id, certificate = values.pop("experiment_id"), values.pop("certificate") or ""
            latest = {name: value for name, (_, value) in values.pop("metrics", {}).items()}
            mark = RunMark(**values, committed=committed, certificate=certificate, metrics=latest)
            marks.setdefault(experiment_id, []).append(mark)
        return marks

    return store.read(work)


def state_counts(store: Store, experiment_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Experiment id -> state of a dot (`RunMark.state`) -> number of its runs."""
    columns = (
        runs.c.experiment_id,
        runs.c.status,
        runs.c.committed_at.is_not(None).label("committed"),
        _DIVERGED.label("diverged"),
        (runs.c.tags["gradus.certificate"].as_string() == "failed").label("wrong"),
    )
    statement = (
        select(*columns, func.count().label("number"))
        .where(runs.c.experiment_id.in_(list(experiment_ids)))
        .group_by(*(column.name for column in columns))
    )

    def work(connection: Connection) -> dict[str, dict[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        for row in connection.execute(statement):
            state = shown_state(
                row.status,
                "diverged" if row.diverged else "",
                committed=bool(row.committed),
                certificate="failed" if row.wrong else "",
            )
            own = counts.setdefault(row.experiment_id, {})
            own[state] = own.get(state, 0) + row.number
        return counts

    return store.read(work)


def latest_event(store: Store, *, experiment_id: str | None = None, run_id: str | None = None) -> int:
    """The number of the last thing that happened to an experiment or a run; 0 before the first. While it stays the
    same, nothing that a page shows has changed."""
    column, id = (events.c.experiment_id, experiment_id) if run_id is None else (events.c.run_id, run_id)
    # Not the maximum of the numbers: the index has them in this order, so that one row is read and not all.
    order = (events.c.transaction.desc(), events.c.id.desc())
    statement = select(events.c.id).where(column == id).order_by(*order).limit(1)
    return int(store.read(lambda connection: connection.scalar(statement)) or 0)


def latest_events(store: Store, experiment_ids: Collection[str]) -> dict[str, int]:
    """Experiment id -> the same number, of many experiments at once."""
    order = (events.c.transaction.desc(), events.c.id.desc())
    last = select(events.c.id).where(events.c.experiment_id == experiments.c.id).order_by(*order).limit(1)
    statement = select(experiments.c.id, last.scalar_subquery()).where(
        experiments.c.id.in_(list(experiment_ids))
    )
    return {
        id: int(last or 0) for id, last in store.read(lambda connection: connection.execute(statement).all())
    }
