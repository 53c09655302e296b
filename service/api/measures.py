"""What one API process has counted since it started: HTTP requests, and what became of runs.

Runs are followed through their status events, which every process reads for itself at each scrape. So with several
replicas each counts every run: alerts and dashboards take one replica, or the maximum.
"""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.lifecycle import TERMINAL
from service.store import Store, queries

SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 14400)
HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
EDGES = (
    "claimed", "reclaimed", "released", "lost", "worker_lost", "spool_lost", "finished", "failed", "killed", "retried",
)  # fmt: skip


class Measures:
    """Counters and histograms of this process. Threads may share it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        build = Gauge("gradus_build_info", "Version of the software", ["version"], registry=self.registry)
        build.labels(importlib.metadata.version("gradus")).set(1)
        self._http = Histogram(
            "gradus_http_request_seconds",
            "HTTP requests by route and status",
            ["method", "route", "code"],
            buckets=HTTP_SECONDS,
            registry=self.registry,
        )
        self._edges = Counter(
            "gradus_run_changes", "Changes of a run's status, by name", ["edge"], registry=self.registry
        )
        for edge in EDGES:  # a counter that is missing until its first event hides that event from a rate
            self._edges.labels(edge)
        self._training = Histogram(
            "gradus_claim_to_commit_seconds",
            "From a run's first claim to its committed outcome",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._shipping = Histogram(
            "gradus_commit_to_mlflow_seconds",
            "From a run's committed outcome to its final status, which MLflow has",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._lock = threading.Lock()
        self._cursor: str | None = None
        self._began = False

    def request(self, method: str, route: str, code: int, seconds: float) -> None:
        """Count an HTTP request. `route` is the template of its path, so that ids make no labels."""
        self._http.labels(method, route, str(code)).observe(seconds)

    def follow(self, store: Store) -> None:
        """Count the status events since the last call; the first call begins at the newest event.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with self._lock:
            if not self._began:
                self._cursor, self._began = queries.newest_status_event(store), True
                return
            while events := queries.status_events_after(store, self._cursor):
                self._cursor = events[-1].id
                for event in events:
                    self._edges.labels(event.data["edge"]).inc()
                over = {e.run_id: e.at for e in events if e.data["status"] in TERMINAL and e.run_id}
                self._durations(store, over.keys())

    def _durations(self, store: Store, run_ids: Iterable[str]) -> None:
        for seconds in queries.run_durations(store, list(run_ids)):
            self._training.observe(seconds.training)
            self._shipping.observe(seconds.shipping)
