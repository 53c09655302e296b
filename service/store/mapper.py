"""Rows become domain objects here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Select, select

from service.entities import (
    SHIPPING,
    Certificate,
    Event,
    Experiment,
    Request,
    Run,
    StoredDataset,
    StoredMetric,
    Worker,
    documents,
)
from service.lifecycle import RunStatus
from service.people import ApiKey, AuditEntry, Classroom
from service.store.clock import as_datetime
from service.store.tables import experiments, runs

_INTERNAL = {
    "seed", "resume_key", "queue", "dispatched_at", "shipped_change", "dirty", "shipper",
    "ship_lease_expires_at",
}  # fmt: skip
_RUN = [column for column in runs.c if column.name not in _INTERNAL]
_RUN_TIMES = (
    "lease_expires_at",
    "cancel_requested_at",
    "committed_at",
    "created_at",
    "started_at",
    "ended_at",
)


_SELECTED = (*_RUN, experiments.c.priority, experiments.c.mlflow_experiment_id)
_NAMES = [column.name for column in _SELECTED]


SELECT_RUNS: Select[Any] = select(*_SELECTED).join(experiments, experiments.c.id == runs.c.experiment_id)
"""Runs with what belongs to their experiment; the rows are for `to_run`."""


def to_run(row: Row[Any]) -> Run:
    """A row of `SELECT_RUNS` as a Run."""
    fields: dict[str, Any] = dict(
        zip(_NAMES, row, strict=True)
    )  # `row._mapping` costs more than all the rest
    for name in _RUN_TIMES:
        fields[name] = as_datetime(fields[name])
    fields["status"] = RunStatus(fields["status"])
    fields["metrics"] = {key: value for key, (_, value) in fields["metrics"].items()}
    return Run(**fields)


def to_experiment(row: Row[Any], counts: Mapping[str, int], *, replayed: bool = False) -> Experiment:
    """A row of `experiments` and its numbers of runs as an Experiment."""
    fields = {
        name: value
        for name, value in row._mapping.items()
        if name not in ("shipped_change", "final_artifacts_due")
    }
    for name in ("created_at", "updated_at", "cancel_requested_at", "deleted_at"):
        fields[name] = as_datetime(fields[name])
    fields["design"], fields["search"] = documents(fields["design"])
    every = {status.value: counts.get(status.value, 0) for status in RunStatus}
    return Experiment(**fields, counts=every, shipping=counts.get(SHIPPING, 0), replayed=replayed)


def to_metric(row: Row[Any]) -> StoredMetric:
    return StoredMetric(row.id, row.key, row.step, row.value, as_datetime(row.at), row.attempt)  # type: ignore[arg-type]


def to_event(row: Row[Any]) -> Event:
    return Event(
        id=f"{row.transaction}-{row.id}",
        experiment_id=row.experiment_id,
        run_id=row.run_id,
        kind=row.kind,
        data=row.data,
        at=as_datetime(row.at),  # type: ignore[arg-type]
    )


def to_worker(row: Row[Any], *, now: float, alive_seconds: float) -> Worker:
    fields = dict(row._mapping)
    age = now - fields["last_seen"]
    for name in ("started_at", "last_seen"):
        fields[name] = as_datetime(fields[name])
    for name in ("queues", "run_ids"):
        fields[name] = tuple(fields[name])
    return Worker(**fields, age=age, alive=age < alive_seconds)


def to_dataset(row: Row[Any]) -> StoredDataset:
    fields = dict(row._mapping)
    return StoredDataset(**fields.pop("found"), **{**fields, "created_at": as_datetime(row.created_at)})


def to_audit_entry(row: Row[Any]) -> AuditEntry:
    fields = dict(row._mapping)
    return AuditEntry(**{**fields, "at": as_datetime(fields["at"])})


def to_certificate(row: Row[Any]) -> Certificate:
    return Certificate(row.key, row.verdict, row.report, as_datetime(row.created_at))  # type: ignore[arg-type]


def to_request(row: Row[Any]) -> Request:
    return Request(
        id=row.id,
        run_id=row.run_id,
        owner=row.owner,
        kind=row.kind,
        payload=row.payload,
        status=row.status,
        result=row.result,
        error=row.error,
        attempt=row.attempt,
        worker=row.worker,
        created_at=as_datetime(row.created_at),  # type: ignore[arg-type]
        ended_at=as_datetime(row.ended_at),
    )


def to_api_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        owner=row.owner,
        scopes=tuple(row.scopes),
        hint=row.hint,
        quota=row.quota,
        created_at=as_datetime(row.created_at),  # type: ignore[arg-type]
        last_used_at=as_datetime(row.last_used_at),
        revoked_at=as_datetime(row.revoked_at),
        class_name=row.class_name,
        hides_others=bool(row.hides_others),
    )


def to_classroom(row: Row[Any]) -> Classroom:
    return Classroom(
        name=row.name,
        most=row.most,
        students=row.students,
        created_at=as_datetime(row.created_at),  # type: ignore[arg-type]
        opened_at=as_datetime(row.opened_at),
    )


def finite(value: Any) -> Any:
    """JSON without NaN and infinity: both become null, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
