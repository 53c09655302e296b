"""What `service.tracking.client` takes and gives: plain data and errors. Does not import mlflow, which takes 170 MB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from experiments.errors import GradusError
from service.entities import Experiment, Run


class TrackingError(GradusError):
    """MLflow did not do what was asked."""


class TrackingUnavailable(TrackingError):
    """MLflow cannot be reached, took too long or failed inside: the same call may work later."""


class TrackingRefused(TrackingError):
    """MLflow refused the call. `code` is its own error code, such as RESOURCE_DOES_NOT_EXIST."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class MetricValue:
    """One point of one curve. `value` None stands for "not finite"; `at_ms` is Unix time in ms."""

    key: str
    step: int
    value: float | None
    at_ms: int


KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Makes MLflow's UI open an experiment at its training runs; without it, at traces of language models."""


@dataclass(frozen=True)
class ExperimentCard:
    """What MLflow shows of an Experiment. `name` must be unique in MLflow, also among deleted ones."""

    id: str
    name: str
    plain_name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def mlflow_tags(self) -> dict[str, str]:
        own = {"gradus.experiment_id": self.id, "gradus.name": self.plain_name, **KIND}
        note = {"mlflow.note.content": self.description} if self.description else {}
        return {**self.tags, **note, **own}


@dataclass(frozen=True)
class RunCard:
    """What MLflow shows of a Run from its creation on. `start_ms` is Unix time in ms."""

    id: str
    name: str
    start_ms: int
    tags: Mapping[str, str]


@dataclass(frozen=True)
class RunRef:
    """A run in MLflow: its id there, where its artifacts go, and its tags when it was read."""

    id: str
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetCard:
    """The data a run saw. `digest` identifies its content (MLflow keeps 36 characters)."""

    name: str
    digest: str
    source: str
    schema: str = ""
    profile: str = ""


BEST = "gradus.best"
BEST_RUN = "gradus.best_run"
REPORT = "report.html"
"""The artifact of the best run that is the experiment's report."""
REPORT_DIGEST = "gradus.report_digest"
"""The tag of the best run that says which report it has: SHA-256 of the page."""


@dataclass(frozen=True)
class ExperimentNote:
    """What MLflow shows of an experiment: a description in markdown, tags that make its views, and, once it is
    over, the best run with the report (a whole HTML page) that goes beside it.
    """

    description: str
    views: Mapping[str, str] = field(default_factory=dict)
    best: Run | None = None
    report: str = ""


Describe = Callable[[Experiment], ExperimentNote]
"""Gives what MLflow is to show of an experiment now. It is an argument because the shipper knows neither the analysis nor
the report."""


def experiment_card(experiment: Experiment, note: ExperimentNote, tags: Mapping[str, str]) -> ExperimentCard:
    """The card of an experiment; `tags` are set beside its own and those of its views."""
    return ExperimentCard(
        experiment.id,
        f"{experiment.name} #{experiment.id[:6]}",
        experiment.name,
        note.description,
        {**experiment.tags, **note.views, **tags},
    )


def run_card(run: Run) -> RunCard:
    """The card of a run. Its name tells runs apart in MLflow's charts: the levels that it has."""
    named = [f"seed {label}" if factor == "seed" else label for factor, label in run.levels.items()]
    name = ", ".join(named) or f"seed {run.params.get('seed', run.index)}"
    return RunCard(run.id, name, milliseconds(run.started_at or run.created_at), run_tags(run))


def run_tags(run: Run) -> dict[str, str]:
    """A run's tags in MLflow as they are now."""
    own = {
        "gradus.run_id": run.id,
        "gradus.experiment_id": run.experiment_id,
        "gradus.fingerprint": run.fingerprint,
        "gradus.stage": run.stage,
        "gradus.attempt": str(run.attempt),
        "gradus.reason": run.reason,
    }
    return {**run.tags, **{name: value for name, value in own.items() if value}}


def milliseconds(moment: datetime) -> int:
    """Unix time in ms, as MLflow counts."""
    return round(moment.timestamp() * 1000)
