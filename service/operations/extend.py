"""Add runs to an experiment, or change its design: compare-and-set on its stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.entities import Experiment, Json, Run
from service.errors import Conflict, KeyReused, NotFound, StaleStage
from service.lifecycle import Edge, RunStatus
from service.operations.columns import AFRESH
from service.operations.quota import check_quota
from service.operations.reuse import take_over
from service.operations.submit import IdempotencyKey, run_row
from service.store import (
    Connection,
    Row,
    audit_rows,
    event_rows,
    experiment_rows,
    idempotency_rows,
    queries,
    run_rows,
)
from service.store.engine import Store

if TYPE_CHECKING:
    from experiments.runs import Point


def add_runs(
    store: Store,
    seen: Experiment,
    points: Sequence[Point],
    *,
    stage: str,
    design: Json | None = None,
    spec: Json | None = None,
    quota: int | None = None,
    idempotency: IdempotencyKey | None = None,
) -> list[Run]:
    """Move an experiment to a stage and add that stage's runs.

    A point whose fingerprint the experiment already has is not inserted: its run is used as it is. One that an experiment
    of the spec's `reuse` has trained is taken over.

    Args:
        seen: the experiment as the caller read it, from which the points and the stage were worked out.
        points: the runs of the stage.
        stage: name of the new stage.
        design: replaces the experiment's design; None leaves it.
        spec: replaces the experiment's spec, where levels or looks were added; None leaves it.
        quota: how many runs the owner may have waiting, these included; None: any number.
        idempotency: kept with the runs, for `extended_before`.

    Returns:
        One run per point, in their order.

    Raises:
        NotFound: there is no such experiment.
        StaleStage: somebody else moved the experiment on or changed its spec since it was read.
        Conflict: the experiment was cancelled.
        QuotaExceeded: too many runs would wait.
    """
    new = [run_row(seen.id, point, stage, index=0, tags={}) for point in points]
    fingerprints = [row["fingerprint"] for row in new]

    def work(connection: Connection) -> list[Run]:
        row = _locked(connection, seen, adds=bool(points))
        known = experiment_rows.by_fingerprint(connection, seen.id, fingerprints)
        rows: list[dict[str, Any]] = []
        for new_run in new:
            if new_run["fingerprint"] not in known:
                changes = {"index": row.n_runs + len(rows), "tags": row.tags}
                rows.append({**new_run, **experiment_rows.encoded(changes)})
                known[new_run["fingerprint"]] = new_run["id"]
        added = take_over(connection, (spec or row.spec).get("reuse", ()), rows, row.tags)
        check_quota(connection, row.owner, len(added.waiting), quota)
        added.insert(connection)
        changed = {"design": design, "spec": spec, "n_runs": row.n_runs + added.number}
        _note(connection, row, stage, len(rows), changed, idempotency)
        runs = {run.id: run for run in queries.read_runs(connection, set(known.values()))}
        return [runs[known[fingerprint]] for fingerprint in fingerprints]

    return store.write(work)


def continue_runs(
    store: Store,
    seen: Experiment,
    columns: Mapping[str, Mapping[str, Any]],
    *,
    going_on: Collection[str],
    packed_anew: bool,
    stage: str,
    design: Json | None = None,
    spec: Json | None = None,
    quota: int | None = None,
    idempotency: IdempotencyKey | None = None,
) -> int:
    """Move an experiment to a stage and give runs that have ended more epochs, from their checkpoints.

    Args:
        columns: run id -> columns to change, the same for all; `epochs` is after how many epochs the run ends.
        going_on: those of the runs that train on; the others keep their status.
        packed_anew: whether the lanes are packed into new tiles; else those of one tile go on in one of its width.
        seen, stage, design, spec, quota, idempotency: as for `add_runs`.

    Returns:
        How many runs were queued again: those that are FINISHED.

    Raises:
        NotFound, StaleStage, Conflict, QuotaExceeded: as `add_runs`.
    """

    def work(connection: Connection) -> int:
        row = _locked(connection, seen, adds=bool(going_on))
        locked = run_rows.lock(connection, run_rows.of(columns))
        again = [run for run in locked if run.id in going_on and run.status == RunStatus.FINISHED]
        check_quota(connection, row.owner, len(again), quota)
        run_rows.touch(connection, locked, {}, each=columns)
        values = {name: value for name, value in AFRESH.items() if name != "started_at"}
        if packed_anew:
            values["resume_key"] = None
        run_rows.move(connection, again, Edge.CONTINUED, values)
        _note(connection, row, stage, len(again), {"design": design, "spec": spec}, idempotency)
        return len(again)

    return store.write(work)


def _locked(connection: Connection, seen: Experiment, *, adds: bool) -> Row[Any]:
    """The experiment's row, locked. Raises NotFound, StaleStage, or Conflict where runs are queued in spite of a
    cancellation.

    The stage alone is not enough: a question is `decided` after its first look and again after its second, and a grid
    that gets levels stays a grid.
    """
    row = experiment_rows.lock_experiment(connection, seen.id)
    if row is None:
        raise NotFound("experiment", seen.id)
    if (row.stage, row.n_runs, row.version) != (seen.stage, seen.n_runs, seen.version):
        raise StaleStage(seen.id, row.stage, row.n_runs)
    if row.cancel_requested_at is not None and adds:
        raise Conflict(f"experiment {seen.id} was cancelled; retry it before adding runs")
    return row


def _note(
    connection: Connection,
    row: Row[Any],
    stage: str,
    runs: int,
    changed: Mapping[str, Any],
    idempotency: IdempotencyKey | None,
) -> None:
    """The new stage of an experiment with its event and audit entry. changed: columns, those that are None left out"""
    values = {"stage": stage, **{name: value for name, value in changed.items() if value is not None}}
    experiment_rows.change_experiment(connection, row.id, values, version="spec" in values)
    if idempotency is not None:
        key, body = idempotency.key, idempotency.body_hash
        idempotency_rows.insert_key(connection, row.owner, key, body, row.id)
    event_rows.record_experiment_event(connection, row.id, "stage", stage=stage, runs=runs)
    audit_rows.record_audit(connection, "extended", "experiment", row.id, stage=stage, runs=runs)


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


def set_design(store: Store, seen: Experiment, design: Json, *, stage: str) -> None:
    """Change an experiment's design and stage without adding runs.

    Raises:
        NotFound: there is no such experiment.
        StaleStage: somebody else moved the experiment on or changed its spec since it was read.
    """
    add_runs(store, seen, (), stage=stage, design=design)
