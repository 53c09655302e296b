"""`/metrics` for Prometheus: the state is read from the database at each scrape, so every process tells the same; requests
and changes are counted by each process (`measures`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CollectorRegistry, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from service import health
from service.api.measures import Measures
from service.entities import Worker
from service.http.auth import Principal, allowed
from service.http.dependencies import SettingsDep, StoreDep
from service.http.problems import documented
from service.settings import Settings
from service.store import Store, queries
from service.store.metrics_snapshot import MetricsSnapshot, metrics_snapshot

router = APIRouter(tags=["health"])


class _SnapshotCollector(Collector):
    """The numbers of one scrape as Prometheus metrics."""

    def __init__(self, snapshot: MetricsSnapshot, workers: Iterable[Worker]) -> None:
        self.snapshot, self.workers = snapshot, list(workers)

    def collect(self) -> Iterator[Metric]:
        f = self.snapshot
        yield _gauge("gradus_runs", "Runs by status", ("status",), {(k,): v for k, v in f.statuses.items()})
        queued = {("auto", "0"): 0} | {
            (device, str(priority)): number for (device, priority), number in f.queued.items()
        }
        yield _gauge(
            "gradus_queued_runs", "Runs that wait, by device and priority", ("device", "priority"), queued
        )
        widths = {(str(width),): number for width, number in f.widths.items()}
        yield _gauge(
            "gradus_training_runs", "Runs in training, by the width of their tile", ("width",), widths
        )
        single = {
            "gradus_queue_age_seconds": ("Age of the oldest run that waits", f.oldest_queued),
            "gradus_lease_left_seconds": ("Least time left of any lease; negative: run out", f.lease_left),
            "gradus_unshipped_runs": ("Runs with an outcome that MLflow does not have yet", f.unshipped),
            "gradus_mlflow_lag_seconds": (
                "Age of the oldest outcome that MLflow does not have",
                f.mlflow_lag,
            ),
            "gradus_training_seconds_mean": (
                "Mean training time of runs of the last hour",
                f.train_seconds[1],
            ),
            "gradus_tracking_seconds_mean": (
                "Mean time from outcome to MLflow, last hour",
                f.tracking_seconds[1],
            ),
            "gradus_ended_runs_last_hour": ("Runs that ended within the last hour", f.train_seconds[0]),
            "gradus_open_requests": ("Predictions and pictures that people wait for", f.open_requests),
        }
        for name, (text, value) in single.items():
            # NaN where there is nothing to measure: an absent gauge looks like a scrape that failed.
            yield GaugeMetricFamily(name, text, math.nan if value is None else value)
        points = CounterMetricFamily("gradus_metric_points", "Metric points stored since the beginning")
        points.add_metric((), f.metric_points)
        yield points
        # Shown at 0 too: an alert on a gauge that vanishes never fires.
        states: dict[tuple[str, ...], float] = {
            ("train", "cpu", state): 0 for state in ("idle", "busy", "draining", "lost")
        }
        for worker in self.workers:
            labels = (worker.kind, worker.device, worker.state if worker.alive else "lost")
            states[labels] = states.get(labels, 0) + 1
        yield _gauge(
            "gradus_workers", "Workers by kind, device and state", ("kind", "device", "state"), states
        )


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def render(store: Store, measures: Measures, settings: Settings) -> bytes:
    """The page of one scrape. Raises StoreUnavailable."""
    measures.follow(store)
    registry = CollectorRegistry()
    needed = Gauge("gradus_dependency_up", "As /readyz has it: 1 or 0", ["dependency"], registry=registry)
    for name, finding in health.examine(store, settings).items():
        needed.labels(name).set(finding.ok)
    registry.register(_SnapshotCollector(metrics_snapshot(store), queries.workers(store)))
    return generate_latest(registry) + generate_latest(measures.registry)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **documented(),
        200: {"description": "Prometheus' text format", "content": {"text/plain": {}}},
    },
)
def scrape(
    who: Annotated[Principal, Depends(allowed("read"))],
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
) -> Response:
    """Queue depth, runs by status, leases, tile widths, training and tracking time, MLflow lag, workers, requests."""
    return Response(render(store, request.app.state.measures, settings), media_type=CONTENT_TYPE_LATEST)
