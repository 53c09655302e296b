"""Submit an experiment; add runs to one. The rows are the outbox: no message is sent here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from service.entities import Experiment, Run
from service.errors import Conflict, KeyInFlight, KeyReused, LockTaken, NotFound, QuotaExceeded, StaleStage
from service.lifecycle import RunStatus
from service.store import experiment_rows, queries
from service.store.engine import Store, take_turn
from service.store.ids import new_id
from service.store.run_rows import record_events

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
    design: dict[str, Any] | None = None,
    quota: int | None = None,
) -> Experiment:
    """Store an experiment and its runs, all SCHEDULED, in one transaction.

    Args:
        quota: how many runs the owner may have waiting, these included; None: any number.

    Returns:
        the experiment; with `replayed` where the idempotency key was used before with the same body.

    Raises:
        KeyInFlight: the same key is being worked on.
        KeyReused: the same key came with another body.
        QuotaExceeded: too many runs would wait.
    """
    id = new_id()
    rows = [run_row(id, index, point, stage) for index, point in enumerate(points)]
    document = spec.document()

    def work(connection: Connection) -> Experiment:
        if idempotency is not None:
            known = experiment_rows.find_key(connection, owner, idempotency.key)
            if known is not None:
                if known.body_hash != idempotency.body_hash:
                    raise KeyReused(idempotency.key)
                return queries.read_experiment(connection, known.experiment_id, replayed=True)
        check_quota(connection, owner, len(rows), quota)
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
        experiment_rows.insert_runs(connection, rows)
        if idempotency is not None:
            experiment_rows.insert_key(connection, owner, idempotency.key, idempotency.body_hash, id)
        note(connection, id, "submitted", stage=stage, runs=len(rows))
        return queries.read_experiment(connection, id)

    if idempotency is None:
        return store.write(work)
    try:
        return store.write(work, lock_name=f"idempotency:{owner}:{idempotency.key}")
    except LockTaken as error:
        raise KeyInFlight(idempotency.key) from error


def add_runs(
    store: Store,
    experiment_id: str,
    points: Sequence[Point],
    *,
    stage: str,
    expected_stage: str,
    design: dict[str, Any] | None = None,
    quota: int | None = None,
) -> list[Run]:
    """Move an experiment to its next stage and add that stage's runs: compare-and-set on the stage.

    A point whose fingerprint the experiment already has is not inserted: its run is used again, as it is.

    Args:
        design: replaces the experiment's design; None leaves it.

    Returns:
        one run per point, in their order.

    Raises:
        NotFound, StaleStage, Conflict (the experiment was cancelled), QuotaExceeded.
    """
    prints = [point.spec.fingerprint() for point in points]

    def work(connection: Connection) -> list[Run]:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        if row.stage != expected_stage:
            raise StaleStage(experiment_id, row.stage, expected_stage)
        if row.cancel_requested_at is not None and points:
            raise Conflict(f"experiment {experiment_id} was cancelled; retry it before adding runs")
        known = experiment_rows.by_fingerprint(connection, experiment_id, prints)
        rows: list[dict[str, Any]] = []
        for point, fingerprint in zip(points, prints, strict=True):
            if fingerprint not in known:
                rows.append(run_row(experiment_id, row.n_runs + len(rows), point, stage))
                known[fingerprint] = rows[-1]["id"]
        check_quota(connection, row.owner, len(rows), quota)
        experiment_rows.insert_runs(connection, rows)
        values = {"stage": stage, "n_runs": row.n_runs + len(rows)}
        experiment_rows.change_experiment(
            connection,
            experiment_id,
            values if design is None else {**values, "design": design},
            version=False,
        )
        note(connection, experiment_id, "stage", stage=stage, runs=len(rows))
        found = {run.id: run for run in queries.read_runs(connection, set(known.values()))}
        return [found[known[fingerprint]] for fingerprint in prints]

    return store.write(work)


def set_design(
    store: Store, experiment_id: str, design: dict[str, Any], *, stage: str, expected_stage: str
) -> None:
    """Change an experiment's design and stage without adding runs. Raises NotFound, StaleStage."""
    add_runs(store, experiment_id, (), stage=stage, expected_stage=expected_stage, design=design)


def run_row(experiment_id: str, index: int, point: Point, stage: str) -> dict[str, Any]:
    """The columns of a new run."""
    spec = point.spec
    return {
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
        "seed": spec.seed,
        "epochs": spec.training.epochs,
        "status": RunStatus.SCHEDULED.value,
        "metrics": {},
        "tags": {},
    }


def check_quota(connection: Connection, owner: str, asked: int, quota: int | None) -> None:
    """Raises QuotaExceeded where `asked` more runs are too many. Requests of one owner take turns."""
    if quota is None or asked == 0:
        return
    take_turn(connection, f"quota:{owner}")
    waiting = experiment_rows.waiting_of(connection, owner)
    if waiting + asked > quota:
        raise QuotaExceeded(owner, waiting, asked, quota)


def note(connection: Connection, experiment_id: str, what: str, **data: Any) -> None:
    """Write an event of the experiment itself."""
    row = {
        "experiment_id": experiment_id,
        "run_id": None,
        "kind": "experiment",
        "data": {"what": what, **data},
    }
    record_events(connection, [row])
