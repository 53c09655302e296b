"""The numbers behind `/metrics`, read in one transaction: queues, runs, durations and lags."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, cast, func, literal_column, select

from service.lifecycle import TERMINAL, RunStatus
from service.store.clock import db_now
from service.store.dispatch_rows import NOT_SENT, SENT, TRAINING
from service.store.engine import Store
from service.store.request_rows import OPEN_REQUEST
from service.store.tables import events, experiments, metrics, runs

RECENT_SECONDS = 3600.0


@dataclass(frozen=True)
class MetricsSnapshot:
    """Counts, and durations in seconds.

    queued: (device, priority) -> runs. widths: tile width -> runs in training. lease_left: seconds until the first lease
    runs out, negative where it did. mlflow_lag: age of the oldest outcome that MLflow does not have. train_seconds,
    tracking_seconds: number of runs of the last hour, and their mean duration.
    """

    statuses: dict[str, int]
    queued: dict[tuple[str, int], int]
    widths: dict[int, int]
    lease_left: float | None
    unshipped: int
    mlflow_lag: float
    train_seconds: tuple[int, float]
    tracking_seconds: tuple[int, float]
    open_requests: int
    oldest_queued: float
    metric_points: int


def metrics_snapshot(store: Store) -> MetricsSnapshot:
    """Read them all. Raises StoreUnavailable."""
    return store.read(_read)


def _read(connection: Connection) -> MetricsSnapshot:
    queued: Counter[tuple[str, int]] = Counter()
    since: list[float] = []
    for waiting in (NOT_SENT, SENT):  # an index each
        statement = (
            select(runs.c.device, experiments.c.priority, func.count(), func.min(runs.c.created_at))
            .select_from(runs.join(experiments))
            .where(waiting, experiments.c.deleted_at.is_(None))
            .group_by(runs.c.device, experiments.c.priority)
        )
        for device, priority, number, oldest in connection.execute(statement):
            queued[device, priority] += number
            since.append(oldest)
    widths = connection.execute(
        select(runs.c.width, func.count()).where(TRAINING).group_by(runs.c.width)
    ).all()
    committed = runs.c.committed_at.is_not(None)
    unshipped = connection.execute(
        select(func.count(), func.min(runs.c.committed_at)).where(
            runs.c.status == literal_column("'RUNNING'"), committed
        )
    ).one()
    now = float(connection.scalar(select(db_now())) or 0.0)
    recent = (runs.c.ended_at > now - RECENT_SECONDS) & committed
    trained = _count_and_mean(connection, runs.c.committed_at - runs.c.started_at, recent)
    # A run's `ended_at` is when its outcome was committed. Its last status event is when MLflow had it.
    shipped_at = (
        select(func.max(events.c.at))
        .where(events.c.run_id == runs.c.id, events.c.kind == "status")
        .scalar_subquery()
    )
    tracked = _count_and_mean(
        connection, shipped_at - runs.c.committed_at, recent & runs.c.status.in_(list(TERMINAL))
    )
    lease = connection.scalar(select(func.min(runs.c.lease_expires_at)).where(TRAINING))
    return MetricsSnapshot(
        statuses=status_counts(connection),
        queued=dict(queued),
        widths={row[0] or 1: row[1] for row in widths},
        lease_left=None if lease is None else float(lease) - now,
        unshipped=unshipped[0],
        mlflow_lag=now - float(unshipped[1]) if unshipped[1] is not None else 0.0,
        train_seconds=trained,
        tracking_seconds=tracked,
        open_requests=connection.scalar(select(func.count()).where(OPEN_REQUEST)) or 0,
        oldest_queued=max(0.0, now - min(since, default=now)),
        metric_points=connection.scalar(select(func.max(metrics.c.id))) or 0,
    )


def _count_and_mean(connection: Connection, seconds: Any, where: Any) -> tuple[int, float]:
    number, mean = connection.execute(select(func.count(), func.avg(seconds)).where(where)).one()
    return int(number), float(mean or 0.0)


def status_counts(connection: Connection) -> dict[str, int]:
    """Status -> number of runs of all experiments that are not deleted."""
    # Grouped by experiment first: an index has that order, and each experiment is looked up once instead of per run.
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
    numbers = {row[0]: row[1] for row in connection.execute(statement)}
    return {status.value: numbers.get(status.value, 0) for status in RunStatus}
