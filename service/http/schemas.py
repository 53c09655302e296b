"""What HTTP sees: answers as pydantic models, made from domain objects. Nothing else crosses the border."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

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


class Urls:
    """The addresses in answers, from how the client reached us and where people find MLflow."""

    def __init__(self, base_url: str, settings: Settings) -> None:
        self.base = base_url.rstrip("/")
        self.mlflow = MlflowPages(settings.public_mlflow_url)

    def at(self, path: str) -> str:
        return self.base + path

    def mlflow_experiment(self, experiment_id: str | None) -> MlflowPlace:
        url = self.mlflow.experiment(experiment_id) if experiment_id is not None else None
        return MlflowPlace(experiment_id=experiment_id, url=url)

    def mlflow_run(self, experiment_id: str | None, run_id: str | None) -> MlflowPlace:
        url = self.mlflow.run(experiment_id, run_id) if experiment_id and run_id else None
        return MlflowPlace(experiment_id=experiment_id, run_id=run_id, url=url)

    def links(self, path: str, parts: Sequence[str], mlflow: MlflowPlace) -> Links:
        """The thing at `path`, its `parts` below it, and the same in MLflow once that has it."""
        links = {"self": self.at(path), **{part: self.at(f"{path}/{part}") for part in parts}}
        return {**links, "mlflow": mlflow.url} if mlflow.url else links


def experiment_out(experiment: Experiment, urls: Urls) -> ExperimentOut:
    return ExperimentOut(**_experiment_fields(experiment, urls))


def experiment_detail(experiment: Experiment, urls: Urls) -> ExperimentDetail:
    return ExperimentDetail(**_experiment_fields(experiment, urls), spec=experiment.spec)


def _experiment_fields(experiment: Experiment, urls: Urls) -> dict[str, Any]:
    mlflow = urls.mlflow_experiment(experiment.mlflow_experiment_id)
    parts = ("runs", "events", "comparison", "report", "cancel", "extend")
    links = urls.links(f"/v1/experiments/{experiment.id}", parts, mlflow)
    if experiment.mlflow_experiment_id is not None:
        links["compare"] = urls.mlflow.compare(experiment.mlflow_experiment_id)
    same = ExperimentOut.model_fields.keys() - {"plan", "status", "mlflow", "links"}
    return {
        **{name: getattr(experiment, name) for name in same},
        "plan": experiment.design,
        "status": experiment.counts,
        "mlflow": mlflow,
        "links": links,
    }


def run_out(run: Run, urls: Urls) -> RunOut:
    return RunOut(**_run_fields(run, urls))


def run_detail(run: Run, urls: Urls) -> RunDetail:
    return RunDetail(**_run_fields(run, urls), fingerprint=run.fingerprint, spec=run.spec)


def _run_fields(run: Run, urls: Urls) -> dict[str, Any]:
    mlflow = urls.mlflow_run(run.mlflow_experiment_id, run.mlflow_run_id)
    parts = ("metrics", "events", "cancel", "retry", "predict")
    links = urls.links(f"/v1/runs/{run.id}", parts, mlflow)
    links["experiment"] = urls.at(f"/v1/experiments/{run.experiment_id}")
    same = RunOut.model_fields.keys() - {"losses", "mlflow", "links"}
    return {
        **{name: getattr(run, name) for name in same},
        "losses": run.lease_expirations,
        "mlflow": mlflow,
        "links": links,
    }


def metric_out(point: StoredMetric) -> MetricOut:
    return MetricOut.model_validate(point, from_attributes=True)


def worker_out(worker: Worker) -> WorkerOut:
    fields = {name: getattr(worker, name) for name in WorkerOut.model_fields if name != "age_seconds"}
    return WorkerOut(**fields, age_seconds=round(worker.age, 3))


def key_out(key: ApiKey) -> KeyOut:
    return KeyOut.model_validate(key, from_attributes=True)
