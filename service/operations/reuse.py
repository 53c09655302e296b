"""Runs that an experiment takes over from others: equal ones, by their fingerprints, so that none is trained twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.lifecycle import RunStatus
from service.store import Connection, Row, experiment_rows, metric_rows
from service.store.clock import db_now

REUSED_FROM = "gradus.reused_from"
"""The tag of a run that was taken over: the run that was trained."""


@dataclass(frozen=True)
class NewRuns:
    """The rows of new runs.

    waiting: those to be trained
    taken: (source run's id, row of the run that takes over its results)
    """

    waiting: list[dict[str, Any]]
    taken: list[tuple[str, dict[str, Any]]]

    @property
    def number(self) -> int:
        return len(self.waiting) + len(self.taken)

    def insert(self, connection: Connection) -> None:
        """Insert them all, with the metrics of those that were taken over."""
        experiment_rows.insert_runs(connection, self.waiting)
        experiment_rows.insert_runs(connection, [row for _, row in self.taken], committed_at=db_now())
        for source, row in self.taken:
            metric_rows.copy(connection, source, row["id"])


def take_over(
    connection: Connection, reuse: Sequence[str], rows: Sequence[dict[str, Any]], tags: Mapping[str, str]
) -> NewRuns:
    """Which new runs need no training, because a run of one of these experiments was trained from the same spec.

    A run that is taken over is a run of its own, with the results of the other, and MLflow gets a copy of its files. So
    nothing is lost where the other experiment is deleted. It is inserted with its outcome, and is FINISHED once MLflow has
    it.

    Args:
        reuse: ids of experiments; the earlier ones come first where several have an equal run.
        rows: new runs as `run_row` made them.
        tags: of the experiment, which its runs bear too.
    """
    fingerprints = [row["fingerprint"] for row in rows]
    sources = experiment_rows.finished_in(connection, reuse, fingerprints) if reuse else {}
    new = NewRuns([], [])
    for row in rows:
        if (source := sources.get(row["fingerprint"])) is None:
            new.waiting.append(row)
        else:
            new.taken.append((source.id, {**row, **experiment_rows.encoded(_results(source, tags))}))
    return new


def to_train(connection: Connection, reuse: Sequence[str], fingerprints: Sequence[str]) -> int:
    """How many of the runs with these fingerprints need training, because no run of these experiments is equal."""
    if not reuse:
        return len(fingerprints)
    known = experiment_rows.finished_in(connection, reuse, fingerprints)
    return sum(fingerprint not in known for fingerprint in fingerprints)


def _results(source: Row[Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """The columns that a run takes over."""
    recorded = {name: text for name, text in source.tags.items() if name.startswith("gradus.")}
    origin = {"run": source.id, "mlflow_run_id": source.mlflow_run_id}
    return {
        "status": RunStatus.RUNNING.value,  # a committed outcome on its way to MLflow
        "reason": source.reason,
        "attempt": source.attempt,
        "width": source.width,
        "started_at": source.started_at,
        "outcome": {**source.outcome, "reused": origin},
        "metrics": source.metrics,
        "tags": {**tags, **recorded, REUSED_FROM: recorded.get(REUSED_FROM, source.id)},
    }
