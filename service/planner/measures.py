"""How long planning takes, for the process that plans: maintenance, which answers no requests of people."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from service.queue import TileMessage

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class PlanningMeasures:
    """Histogram and counters of one process that plans."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._planning = Histogram(
            "gradus_planning_seconds",
            "One look for runs that can be sent, with the sending",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._tiles = Counter(
            "gradus_tiles_sent", "Messages sent to workers, by queue", ["queue"], registry=self.registry
        )
        self._runs = Counter(
            "gradus_runs_sent", "Runs in these messages, by queue", ["queue"], registry=self.registry
        )

    def planned(self, seconds: float, tiles: Sequence[TileMessage]) -> None:
        """Count one look. tiles: those whose messages were sent"""
        self._planning.observe(seconds)
        for tile in tiles:
            self._tiles.labels(tile.queue).inc()
            self._runs.labels(tile.queue).inc(len(tile.run_ids))

    def serve(self, host: str, port: int) -> None:
        """Answer `/metrics` at this address, from a thread of its own, for as long as the process lives.

        Raises:
            OSError: the port is taken.
        """
        start_http_server(port, host, self.registry)
