"""Record what an attempt measured, and where its checkpoint lies. Fenced by the attempt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from service.entities import Measured
from service.store import Connection, event_rows, metric_rows, run_rows
from service.store.engine import Store
from service.store.mapper import finite


def record(store: Store, batch: Mapping[str, Measured]) -> set[str]:
    """Store measurements of several runs. A point whose key and step are there stays as it is, so replay is safe.

    Args:
        batch: run id -> points and tags. NaN and infinite values become null.

    Returns:
        The runs that were refused, because the attempt no longer holds them. Nothing of theirs was stored.
    """

    def work(connection: Connection) -> set[str]:
        attempts = {id: measured.attempt for id, measured in batch.items()}
        rows = run_rows.fenced(run_rows.lock(connection, run_rows.held(batch), measured=True), attempts)
        points: list[dict[str, Any]] = []
        events: list[dict[str, Any]] = []
        columns: dict[str, dict[str, Any]] = {}
        for row in rows:
            measured, latest = batch[row.id], dict(row.metrics)
            steps: dict[int, dict[str, float | None]] = {}
            for point in measured.points:
                value = finite(point.value)
                points.append(
                    {
                        "run_id": row.id,
                        "key": point.key,
                        "step": point.step,
                        "value": value,
                        "at": point.at,
                        "attempt": row.attempt,
                    }
                )
                if point.key not in latest or latest[point.key][0] < point.step:
                    latest[point.key] = [point.step, value]
                steps.setdefault(point.step, {})[point.key] = value
            columns[row.id] = {"metrics": latest, "tags": {**row.tags, **measured.tags}}
            events += [
                {
                    "experiment_id": row.experiment_id,
                    "run_id": row.id,
                    "kind": "metrics",
                    "data": {"step": step, "metrics": values},
                }
                for step, values in steps.items()
            ]
        metric_rows.insert_metrics(connection, points)
        run_rows.touch(connection, rows, {}, each=columns)
        event_rows.record_events(connection, events)
        return set(batch) - {row.id for row in rows}

    return store.write(work) if batch else set()


def record_checkpoints(
    store: Store, claims: Mapping[str, int], checkpoints: Mapping[str, Mapping[str, Any]]
) -> set[str]:
    """Note where the checkpoints of a tile's runs lie. A checkpoint is progress: the count of lease expirations starts again.

    Args:
        claims: run id -> attempt.
        checkpoints: run id -> spool, epoch, width, and what the worker needs to read it. No other runs than in `claims`.

    Returns:
        The runs that their attempts still hold. Of the others nothing was stored.
    """

    def work(connection: Connection) -> set[str]:
        held = run_rows.lock(connection, run_rows.held(list(checkpoints)))
        rows = run_rows.fenced(held, claims)
        together: dict[tuple[Any, ...], list[run_rows.Locked]] = defaultdict(list)
        for row in rows:
            together[run_rows.resumes_with(checkpoints[row.id])].append(row)
        for group in together.values():
            values = {
                "lease_expirations": 0,
                "resume_key": run_rows.resume_key(checkpoints[group[0].id]),
            }
            own = {row.id: {"checkpoint": finite(checkpoints[row.id])} for row in group}
            run_rows.touch(connection, group, values, each=own, mark_dirty=False)
        return {row.id for row in rows}

    return store.write(work) if checkpoints else set()
