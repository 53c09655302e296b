"""What HTTP sees: answers as pydantic models, made from domain objects. Nothing else crosses the border."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from service.entities import ApiKey, Experiment, Run, StoredMetric, Worker
from service.settings import Settings
from service.tracking.urls import MlflowPages

T = TypeVar("T")
Links = dict[str, str]


class Strict(BaseModel):
    """A request body: unknown fields are refused, and as in a spec `"5"` is no number and `true` is none."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None = Field(description="address of the next page, the same as in the header `Link`")


class MlflowPlace(BaseModel):
    """Where the same is in MLflow; nulls until MLflow has it."""

    experiment_id: str | None
    run_id: str | None = None
    url: str | None


class ExperimentOut(BaseModel):
    """A group of comparable runs."""

    id: str
    name: str
    description: str
    tags: dict[str, str]
    owner: str
    n_runs: int
    status: dict[str, int] = Field(description="number of runs in each status")
    stage: str = Field(
        description="where the question is: `grid` without one, else `tune`, `look-1`, …; and once nothing more is "
        "queued, why: `decided`, `last look reached`, `budget spent`, `nothing to decide`"
    )
    plan: dict[str, Any] | None = Field(
        description="the question's plan and present answer, where one is fixed"
    )
    priority: int
    version: int
    created_at: datetime
    updated_at: datetime
    mlflow: MlflowPlace
    links: Links


class ExperimentDetail(ExperimentOut):
    """The same with the spec it came from."""

    spec: dict[str, Any]


class RunOut(BaseModel):
    """One training of one RunSpec."""

    id: str
    experiment_id: str
    index: int
    status: str
    attempt: int
    reason: str = Field(
        description="why it ended, or why it waits again; empty where there is nothing to say"
    )
    stage: str
    levels: dict[str, str]
    params: dict[str, Any]
    metrics: dict[str, float | None] = Field(description="name to latest value; null is not a number")
    tags: dict[str, str]
    priority: int
    worker: str | None
    losses: int = Field(description="expired leases since the last checkpoint")
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    mlflow: MlflowPlace
    links: Links


class RunDetail(RunOut):
    """The same with the whole RunSpec and its fingerprint."""

    fingerprint: str
    spec: dict[str, Any]


class MetricOut(BaseModel):
    """One measured value. `step` counts completed epochs."""

    key: str
    step: int
    value: float | None
    at: datetime
    attempt: int


class WorkerOut(BaseModel):
    """A worker process."""

    name: str
    kind: str
    host: str
    pid: int
    alive: bool
    state: str
    device: str
    device_name: str
    threads: int
    queues: list[str]
    run_ids: list[str]
    width: int | None
    memory_bytes: int | None
    versions: dict[str, str]
    started_at: datetime | None
    last_seen: datetime | None
    age_seconds: float


class KeyOut(BaseModel):
    """A key without its secret."""

    id: str
    owner: str
    scopes: list[str]
    hint: str
    quota: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class Place:
    """Makes the addresses in answers, from how the asker reached us and where people find MLflow."""

    def __init__(self, request: Request, settings: Settings) -> None:
        self.base = str(request.base_url).rstrip("/")
        self.mlflow = MlflowPages(settings.public_mlflow_url)

    def at(self, path: str) -> str:
        return self.base + path

    def mlflow_place(self, experiment_id: str | None) -> MlflowPlace:
        url = self.mlflow.experiment(experiment_id) if experiment_id is not None else None
        return MlflowPlace(experiment_id=experiment_id, url=url)

    def mlflow_run(self, experiment_id: str | None, run_id: str | None) -> MlflowPlace:
        url = self.mlflow.run(experiment_id, run_id) if experiment_id and run_id else None
        return MlflowPlace(experiment_id=experiment_id, run_id=run_id, url=url)

    def _links(self, path: str, mlflow: MlflowPlace, **others: str) -> Links:
        found = {"self": self.at(path), **{name: self.at(other) for name, other in others.items()}}
        return {**found, "mlflow": mlflow.url} if mlflow.url else found

    def experiment(self, experiment: Experiment) -> ExperimentOut:
        return ExperimentOut(**self._experiment(experiment))

    def experiment_detail(self, experiment: Experiment) -> ExperimentDetail:
        return ExperimentDetail(**self._experiment(experiment), spec=experiment.spec)

    def _experiment(self, e: Experiment) -> dict[str, Any]:
        path = f"/v1/experiments/{e.id}"
        mlflow = self.mlflow_place(e.mlflow_experiment_id)
        parts = {
            part: f"{path}/{part}" for part in ("runs", "events", "comparison", "report", "cancel", "extend")
        }
        same = (
            "id",
            "name",
            "description",
            "tags",
            "owner",
            "n_runs",
            "stage",
            "priority",
            "version",
        )
        links = self._links(path, mlflow, **parts)
        if e.mlflow_experiment_id is not None:
            links["compare"] = self.mlflow.compare(e.mlflow_experiment_id)
        return {
            **{name: getattr(e, name) for name in (*same, "created_at", "updated_at")},
            "plan": e.design,
            "status": e.counts,
            "mlflow": mlflow,
            "links": links,
        }

    def run(self, run: Run) -> RunOut:
        return RunOut(**self._run(run))

    def run_detail(self, run: Run) -> RunDetail:
        return RunDetail(**self._run(run), fingerprint=run.fingerprint, spec=run.spec)

    def _run(self, run: Run) -> dict[str, Any]:
        path = f"/v1/runs/{run.id}"
        mlflow = self.mlflow_run(run.mlflow_experiment_id, run.mlflow_run_id)
        parts = {part: f"{path}/{part}" for part in ("metrics", "events", "cancel", "retry", "predict")}
        fields = RunOut.model_fields.keys() - {"losses", "mlflow", "links"}
        return {
            **{name: getattr(run, name) for name in fields},
            "losses": run.lease_expirations,
            "mlflow": mlflow,
            "links": self._links(path, mlflow, experiment=f"/v1/experiments/{run.experiment_id}", **parts),
        }


def metric_out(point: StoredMetric) -> MetricOut:
    return MetricOut.model_validate(point, from_attributes=True)


def worker_out(worker: Worker) -> WorkerOut:
    fields = {name: getattr(worker, name) for name in WorkerOut.model_fields if name != "age_seconds"}
    return WorkerOut(**fields, age_seconds=round(worker.age, 3))


def key_out(key: ApiKey) -> KeyOut:
    return KeyOut.model_validate(key, from_attributes=True)
