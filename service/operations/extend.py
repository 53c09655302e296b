"""Add runs to an experiment, or change its design: compare-and-set on its stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from service.entities import Json, Run
from service.errors import Conflict, KeyReused, NotFound, StaleStage
from service.operations.quota import check_quota
from service.operations.submit import IdempotencyKey, run_row
from service.store import Connection, audit_rows, event_rows, experiment_rows, idempotency_rows, queries
from service.store.engine import Store

if TYPE_CHECKING:
    from experiments.runs import Point


def add_runs(
    store: Store,
    experiment_id: str,
    points: Sequence[Point],
    *,
    stage: str,
    expected_stage: str,
    design: Json | None = None,
    spec: Json | None = None,
    quota: int | None = None,
    idempotency: IdempotencyKey | None = None,
) -> list[Run]:
    """Move an experiment to a stage and add that stage's runs.

    A point whose fingerprint the experiment already has is not inserted: its run is used as it is.

    Args:
        points: the runs of the stage.
        stage: name of the new stage.
        expected_stage: stage that the caller saw.
        design: replaces the experiment's design; None leaves it.
        spec: replaces the experiment's spec, where levels or looks were added; None leaves it.
        quota: how many runs the owner may have waiting, these included; None: any number.
        idempotency: kept with the runs, for `extended_before`.

    Returns:
        One run per point, in their order.

    Raises:
        NotFound: there is no such experiment.
        StaleStage: somebody else moved the experiment on.
        Conflict: the experiment was cancelled.
        QuotaExceeded: too many runs would wait.
    """
    new = [run_row(experiment_id, point, stage, index=0, tags={}) for point in points]
    fingerprints = [row["fingerprint"] for row in new]

    def work(connection: Connection) -> list[Run]:
        row = experiment_rows.lock_experiment(connection, experiment_id)
        if row is None:
            raise NotFound("experiment", experiment_id)
        if row.stage != expected_stage:
            raise StaleStage(experiment_id, row.stage, expected_stage)
        if row.cancel_requested_at is not None and points:
            raise Conflict(f"experiment {experiment_id} was cancelled; retry it before adding runs")
        known = experiment_rows.by_fingerprint(connection, experiment_id, fingerprints)
        rows: list[dict[str, Any]] = []
        for new_run in new:
            if new_run["fingerprint"] not in known:
                changes = {"index": row.n_runs + len(rows), "tags": row.tags}
                rows.append({**new_run, **experiment_rows.encoded(changes)})
                known[new_run["fingerprint"]] = new_run["id"]
        check_quota(connection, row.owner, len(rows), quota)
        experiment_rows.insert_runs(connection, rows)
        values: dict[str, Any] = {"stage": stage, "n_runs": row.n_runs + len(rows)}
        if design is not None:
            values["design"] = design
        if spec is not None:
            values["spec"] = spec
        experiment_rows.change_experiment(connection, experiment_id, values, version=spec is not None)
        if idempotency is not None:
            key, body = idempotency.key, idempotency.body_hash
            idempotency_rows.insert_key(connection, row.owner, key, body, experiment_id)
        event_rows.record_experiment_event(connection, experiment_id, "stage", stage=stage, runs=len(rows))
        audit_rows.record_audit(
            connection, "extended", "experiment", experiment_id, stage=stage, runs=len(rows)
        )
        runs = {run.id: run for run in queries.read_runs(connection, set(known.values()))}
        return [runs[known[fingerprint]] for fingerprint in fingerprints]

    return store.write(work)


def extended_before(store: Store, owner: str, idempotency: IdempotencyKey) -> bool:
    """Whether a request with this key was done already.

    Args:
        owner: of the experiment.

    Raises:
        KeyReused: the key came with another body.
    """
    known = store.read(lambda connection: idempotency_rows.find_key(connection, owner, idempotency.key))
    if known is not None and known.body_hash != idempotency.body_hash:
        raise KeyReused(idempotency.key)
    return known is not None


def set_design(store: Store, experiment_id: str, design: Json, *, stage: str, expected_stage: str) -> None:
    """Change an experiment's design and stage without adding runs.

    Raises:
        NotFound: there is no such experiment.
        StaleStage: somebody else moved the experiment on.
    """
    add_runs(store, experiment_id, (), stage=stage, expected_stage=expected_stage, design=design)
