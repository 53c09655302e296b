"""Submit an experiment: its row, its runs and its idempotency key in one transaction.

The rows are the outbox. The planner sends the messages after the commit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.entities import Experiment, Json, documents
from service.errors import KeyInFlight, KeyReused, LockTaken
from service.lifecycle import RunStatus
from service.operations.quota import check_quota
from service.operations.reuse import REUSED_FROM, take_over
from service.store import Connection, audit_rows, event_rows, experiment_rows, idempotency_rows, queries
from service.store.engine import Store
from service.store.ids import new_id

if TYPE_CHECKING:
    from experiments.runs import Point
    from experiments.spec import ExperimentSpec


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's name for one request, and the SHA-256 of its body."""

    key: str
    body_hash: str


def submit(
    store: Store,
    spec: ExperimentSpec,
    points: Sequence[Point],
    *,
    owner: str = "",
    stage: str = "grid",
    idempotency: IdempotencyKey | None = None,
    design: Json | None = None,
    quota: int | None = None,
) -> Experiment:
    """Store an experiment and the runs of its first stage, all SCHEDULED.

    Args:
        spec: a spec that was checked against the limits.
        points: the runs of the first stage, in the order of the sweep.
        owner: whose experiment it is.
        stage: name of the first stage.
        idempotency: with the same key and body, the first answer is given again and nothing is stored.
        design: the question as people see it; None without one.
        quota: how many runs the owner may have waiting, these included; None: any number.

    Returns:
        The experiment as it was when it was accepted; `replayed` says that the key was used before.

    Raises:
        KeyInFlight: a request with the same key is being worked on.
        KeyReused: the same key came with another body.
        QuotaExceeded: too many runs would wait.
        StoreUnavailable: the database does not answer.
    """
    id = new_id()
    rows = [run_row(id, point, stage, index=index, tags=spec.tags) for index, point in enumerate(points)]
    document = spec.document()

    def work(connection: Connection) -> Experiment:
        if idempotency is not None:
            known = idempotency_rows.find_key(connection, owner, idempotency.key)
            if known is not None:
                if known.body_hash != idempotency.body_hash:
                    raise KeyReused(idempotency.key)
                return queries.read_experiment(connection, known.experiment_id, replayed=True)
        new = take_over(connection, spec.reuse, rows, spec.tags)
        check_quota(connection, owner, len(new.waiting), quota)
        experiment_rows.insert_experiment(
            connection,
            {
                "id": id,
                "name": spec.name,
                "description": spec.description,
                "tags": dict(spec.tags),
                "spec": document,
                "owner": owner,
                "stage": stage,
                "design": design,
                "priority": spec.priority,
                "n_runs": len(rows),
            },
        )
        new.insert(connection)
        if idempotency is not None:
            idempotency_rows.insert_key(connection, owner, idempotency.key, idempotency.body_hash, id)
        event_rows.record_experiment_event(connection, id, "submitted", stage=stage, runs=len(rows))
        audit_rows.record_audit(connection, "submitted", "experiment", id, name=spec.name, runs=len(rows))
        return queries.read_experiment(connection, id)

    if idempotency is None:
        return store.write(work)
    try:
        experiment = store.write(work, lock_name=f"idempotency:{owner}:{idempotency.key}")
    except LockTaken as error:
        raise KeyInFlight(idempotency.key) from error
    if not experiment.replayed:
        return experiment
    first = (
        [run for run in queries.all_runs(store, experiment.id) if run.index < len(rows)] if spec.reuse else []
    )
    taken = sum(REUSED_FROM in run.tags for run in first)
    return _as_accepted(experiment, spec, len(rows), taken, stage, design)


def _as_accepted(
    experiment: Experiment, spec: ExperimentSpec, runs: int, taken: int, stage: str, design: Json | None
) -> Experiment:
    """A replayed experiment as its first answer showed it, whatever happened since. taken: runs that were taken over."""
    counts = {RunStatus.SCHEDULED: runs - taken, RunStatus.RUNNING: taken}
    return dataclasses.replace(
        experiment,
        name=spec.name,
        description=spec.description,
        tags=dict(spec.tags),
        priority=spec.priority,
        version=1,
        stage=stage,
        design=documents(design)[0],
        search=documents(design)[1],
        n_runs=runs,
        counts={status.value: counts.get(status, 0) for status in RunStatus},
        shipping=taken,
        updated_at=experiment.created_at,
        mlflow_experiment_id=None,
    )


def run_row(
    experiment_id: str, point: Point, stage: str, *, index: int, tags: Mapping[str, str]
) -> dict[str, Any]:
    """The columns of a new run, JSON as text. Made before the transaction that inserts it, since ten thousand take a
    while."""
    spec = point.spec
    row = {
        "id": new_id(),
        "experiment_id": experiment_id,
        "index": index,
        "spec": spec.model_dump(mode="json"),
        "params": point.params(),
        "levels": dict(point.levels),
        "fingerprint": spec.fingerprint(),
        "program": spec.program_key(),
        "max_width": spec.max_width(),
        "stage": stage,
        "device": spec.device,
        "backend": spec.backend,
        "seed": spec.seed,
        "epochs": point.until or spec.training.epochs,
        "status": RunStatus.SCHEDULED.value,
        "metrics": {},
        "tags": dict(tags),
    }
    return experiment_rows.encoded(row)
