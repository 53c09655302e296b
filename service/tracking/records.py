"""What is handed to `service.tracking.client` and what it answers with: plain data and errors, without mlflow itself, so that
whoever only speaks of MLflow need not pay for its client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
    """A run in MLflow: its id there, and where its artifacts go."""

    id: str
    artifact_uri: str


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
"""What MLflow is to show of an experiment now. The shipper is handed it: it knows neither the analysis nor the report."""
