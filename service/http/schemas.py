"""Domain objects as answers, the types of `gradus.wire`. Nothing else crosses the border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from experiments.datasets.table import Table
from experiments.datasets.upload import Upload
from experiments.recording import WEIGHTS
from gradus.wire import (
    AcceptedExperiment,
    AuditOut,
    ColumnOut,
    DatasetOut,
    ExperimentDetail,
    ExperimentOut,
    KeyOut,
    Links,
    MetricOut,
    MlflowPlace,
    RunDetail,
    RunOut,
    WorkerOut,
)
from service.analysis.design_document import live_document
from service.analysis.search_document import live_search
from service.entities import Experiment, Run, StoredDataset, StoredMetric, Worker
from service.lifecycle import RunStatus
from service.people import ApiKey, AuditEntry
from service.reasons import explain
from service.settings import Settings
from service.tracking.urls import MlflowPages

LISTED_VALUES = 50
"""Values of a column that an answer lists."""


class Strict(BaseModel):
    """A request body: unknown fields are refused, and as in a spec `"5"` is no number and `true` is none."""

    model_config = ConfigDict(extra="forbid", strict=True)


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


def accepted(experiment: Experiment, urls: Urls, warnings: Sequence[str]) -> AcceptedExperiment:
    return AcceptedExperiment(
        **_experiment_fields(experiment, urls), spec=experiment.spec, warnings=list(warnings)
    )


def _experiment_fields(experiment: Experiment, urls: Urls) -> dict[str, Any]:
    mlflow = urls.mlflow_experiment(experiment.mlflow_experiment_id)
    parts = ("runs", "events", "comparison", "report", "cancel", "extend")
    links = urls.links(f"/v1/experiments/{experiment.id}", parts, mlflow)
    if experiment.mlflow_experiment_id is not None:
        links["compare"] = urls.mlflow.compare(experiment.mlflow_experiment_id)
    same = ExperimentOut.model_fields.keys() - {"plan", "search", "status", "mlflow", "links"}
    return {
        **{name: getattr(experiment, name) for name in same},
        "plan": live_document(experiment),
        "search": live_search(experiment),
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
    if run.status == RunStatus.FINISHED and run.mlflow_run_id:
        links["weights"] = urls.mlflow.download(run.mlflow_run_id, WEIGHTS)
    same = RunOut.model_fields.keys() - {"explanation", "losses", "mlflow", "links"}
    return {
        **{name: getattr(run, name) for name in same},
        "explanation": explain(run.status, run.reason, run.tags),
        "losses": run.lease_expirations,
        "mlflow": mlflow,
        "links": links,
    }


def metric_out(point: StoredMetric) -> MetricOut:
    return MetricOut.model_validate(point, from_attributes=True)


def dataset_out(dataset: StoredDataset, urls: Urls) -> DatasetOut:
    table = Table.model_validate(dataset.table)
    asked = Upload(id=dataset.id, target=dataset.target, kind=dataset.kind, table=table)
    columns = [
        ColumnOut(
            **column.model_dump(include={"name", "shape", "text", "low", "high", "usable"}),
            values=list(column.values[:LISTED_VALUES]) if column.values else None,
            counts=list(column.counts[:LISTED_VALUES]) if column.counts else None,
            n_values=len(column.values) if column.values else None,
            **dataset.profiles.get(column.name, {}),
        )
        for column in table.columns
    ]
    same = ("id", "name", "owner", "target", "size_bytes", "preview", "warnings", "created_at")
    path = f"/v1/datasets/{dataset.id}"
    return DatasetOut(
        **{name: getattr(dataset, name) for name in same},
        kind=asked.task if dataset.target is not None else None,
        rows=table.rows,
        columns=columns,
        matrix_sha256=table.sha256,
        links=urls.links(path, ("content",), MlflowPlace(experiment_id=None, url=None)),
    )


def audit_out(entry: AuditEntry) -> AuditOut:
    return AuditOut.model_validate(entry, from_attributes=True)


def worker_out(worker: Worker) -> WorkerOut:
    fields = {name: getattr(worker, name) for name in WorkerOut.model_fields if name != "age_seconds"}
    return WorkerOut(**fields, age_seconds=round(worker.age, 3))


def key_out(key: ApiKey) -> KeyOut:
    return KeyOut.model_validate(key, from_attributes=True)
