"""What a row of the database becomes: the domain objects that the service hands around."""

from __future__ import annotations

import json
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from service.lifecycle import TERMINAL, RunStatus, is_terminal

if TYPE_CHECKING:
    from experiments.runs import RunSpec
    from experiments.spec import ExperimentSpec

Json = dict[str, Any]
SHIPPING = "shipping"  # the substatus of a run that is trained and waits for MLflow


@dataclass(frozen=True)
class Run:
    """One training of one RunSpec. Times are aware, in UTC, by the database's clock."""

    id: str
    experiment_id: str
    index: int
    spec: Json
    params: Json
    levels: dict[str, str]
    fingerprint: str
    program: str
    max_width: int
    stage: str
    epochs: int
    """After which it ends for now: fewer than its spec's where it may go on later."""
    priority: int
    device: str
    backend: str
    status: RunStatus
    attempt: int
    lease_expirations: int
    reason: str
    worker: str | None
    spool: str | None
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    committed_at: datetime | None
    outcome: Json | None
    checkpoint: Json | None
    tile: str | None
    width: int | None
    single_lane: bool
    tags: dict[str, str]
    metrics: dict[str, float | None]
    mlflow_run_id: str | None
    mlflow_status: str | None
    shipped_metric_id: int
    change: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    mlflow_experiment_id: str | None = None

    @property
    def substatus(self) -> str | None:
        """`shipping` while it is RUNNING, and trained: its results are on their way to MLflow."""
        return SHIPPING if self.status == RunStatus.RUNNING and self.committed_at is not None else None

    def run_spec(self) -> RunSpec:
        """The stored spec as a RunSpec."""
        from experiments.runs import RunSpec

        return RunSpec.model_validate(self.spec)

    @property
    def is_terminal(self) -> bool:
        return is_terminal(self.status)

    @cached_property
    def seed(self) -> int:
        return int(self.spec.get("seed", 0))

    @cached_property
    def point(self) -> tuple[object, ...]:
        """Its levels and its seed: equal for runs of the same point of a sweep."""
        return (*sorted(self.levels.items()), self.seed)

    @cached_property
    def apart_from_seed(self) -> bytes:
        """Everything that decides its result but the seed: equal for runs that differ in nothing else."""
        from experiments.spec.confounders import UNDECISIVE

        return marshal.dumps({name: self.spec[name] for name in self.spec if name not in UNDECISIVE}, 2)

    @cached_property
    def ended_as(self) -> str:
        """Its status; that of a committed outcome already while its results are on their way to MLflow."""
        return str((self.outcome or {}).get("status", self.status.value))

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """The names of its metrics: one object for all runs that measured the same."""
        return _shared(tuple(self.metrics))

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What was worked out from this run alone, by what it is: a page of a thousand runs asks again when one ends."""
        return {}


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


QUESTION_OVER = {
    "decided": "decided",
    "last look": "last look reached",
    "budget": "budget spent",
    "nothing to decide": "nothing to decide",
}
"""Why a question is over (`Progress.wait`) -> the name of the experiment's last stage."""
ENDED_STAGES = ("grid", "done", *QUESTION_OVER.values())
"""Stages that no other stage follows by itself."""


@dataclass(frozen=True)
class RunMark:
    """As much of a run as a dot on a page shows."""

    id: str
    index: int
    stage: str
    status: str
    reason: str
    committed: bool
    levels: dict[str, str]
    certificate: str = ""
    """The verdict of its gradient check; empty where there is none."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """The latest value of each, where they were asked for."""

    @property
    def label(self) -> str:
        """Its levels, as a person reads them."""
        return ", ".join(f"{name} {level}" for name, level in self.levels.items())

    @property
    def state(self) -> str:
        """The look of the dot, see `shown_state`."""
        return shown_state(self.status, self.reason, committed=self.committed, certificate=self.certificate)


def shown_state(status: str, reason: str, *, committed: bool, certificate: str) -> str:
    """How pages show a run: its status in lower case, or `check_failed` (trained with a gradient that is wrong),
    `diverged`, `shipping` (trained, waits for MLflow).
    """
    if certificate == "failed" and (committed or status == "FINISHED"):
        return "check_failed"
    if reason == "diverged" and status in ("RUNNING", "FINISHED"):
        return "diverged"
    return SHIPPING if committed and status == "RUNNING" else status.lower()


@lru_cache(maxsize=64)
def _parsed(text: str) -> ExperimentSpec:
    """A stored spec, as JSON, parsed once however often its experiment is read."""
    from experiments.limits import UNLIMITED
    from experiments.spec import ExperimentSpec

    return ExperimentSpec.parse(json.loads(text), UNLIMITED)


@dataclass(frozen=True)
class Experiment:
    """A group of comparable runs. `counts`: status -> number of runs, with every status; `shipping`: how many of those
    RUNNING are trained and wait for MLflow. `design`: the question as people see it, with its stages and its present
    answer; None without one."""

    id: str
    name: str
    description: str
    tags: dict[str, str]
    spec: Json
    owner: str
    stage: str
    design: Json | None
    priority: int
    version: int
    n_runs: int
    counts: dict[str, int]
    created_at: datetime
    updated_at: datetime
    cancel_requested_at: datetime | None
    deleted_at: datetime | None
    mlflow_experiment_id: str | None
    change: int = 0
    shipping: int = 0
    replayed: bool = False
    search: Json | None = None
    """The search as people see it; None where the sweep has no strategy that searches."""

    @cached_property
    def experiment_spec(self) -> ExperimentSpec:
        """The stored spec as an ExperimentSpec, parsed once. It was held against the limits when it was accepted.

        Raises:
            SpecError: an older version accepted it, and this one does not.
        """
        return _parsed(json.dumps(self.spec))

    @property
    def is_over(self) -> bool:
        """Whether every run is over."""
        return sum(self.counts.get(s, 0) for s in TERMINAL) == self.n_runs

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens by itself: every run is over, and no question continues. A question with a failed
        run waits for a person.
        """
        if not self.is_over:
            return False
        continues = (
            (self.design or self.search) is not None
            and self.stage not in ENDED_STAGES
            and not self.cancel_requested_at
        )
        unfinished = any(self.counts.get(s, 0) for s in (RunStatus.FAILED, RunStatus.KILLED))
        return not continues or (unfinished and (self.design or {}).get("wait") == "incomplete")


@dataclass(frozen=True)
class MetricPoint:
    """One measured value. `step` counts completed epochs; `at` is seconds since 1970, None: the database's now."""

    key: str
    step: int
    value: float | None  # None and NaN are both "not a number"
    at: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one attempt of a run measured: points and tags to record."""

    attempt: int
    points: Sequence[MetricPoint] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BestEpoch:
    """The epoch whose weights a run has, where `training.restore: best` chose it, and what was measured at its end."""

    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Committed:
    """The outcome of one attempt of a run: FINISHED, FAILED or KILLED, the reason, and further facts."""

    attempt: int
    status: str
    reason: str
    outcome: Json = field(default_factory=dict)
    best: BestEpoch | None = None


@dataclass(frozen=True)
class Shipped:
    """What MLflow knows of a run now. `change` and `attempt` are the run's when it was read. None: unchanged."""

    change: int
    mlflow_run_id: str | None = None
    mlflow_status: str | None = None
    metric_id: int | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class StoredMetric:
    """A metric point in the database, with its position (`id` rises within a run), time and attempt."""

    id: int
    key: str
    step: int
    value: float | None
    at: datetime
    attempt: int


@dataclass(frozen=True)
class Event:
    """One thing that happened. `id` is the cursor that continues after it; `kind` is status, cancel, metrics or
    experiment."""

    id: str
    experiment_id: str
    run_id: str | None
    kind: str
    data: Json
    at: datetime


def documents(column: Json | None) -> tuple[Json | None, Json | None]:
    """(design, search) of an experiment, from the column that holds whichever there is."""
    searches = column is not None and "strategy" in column
    return (None, column) if searches else (column, None)


RETIRED = "retired"
"""The state of a worker that has ended. It is in no list; its row says when its spool was last served."""


@dataclass(frozen=True)
class Worker:
    """A worker process as it reports itself. The store fills in the last four fields."""

    name: str
    kind: str = "train"  # train | requests | maintenance
    host: str = ""
    pid: int = 0
    device: str = "cpu"  # cpu | gpu
    backend: str = "tensorflow"  # tensorflow | jax
    device_name: str = ""
    queues: tuple[str, ...] = ()
    threads: int = 1
    spool: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    state: str = "idle"  # idle | busy | draining
    run_ids: tuple[str, ...] = ()
    width: int | None = None
    memory_bytes: int | None = None
    started_at: datetime | None = None
    last_seen: datetime | None = None
    age: float = 0.0  # seconds since last seen
    alive: bool = True


@dataclass(frozen=True)
class Certificate:
    """The stored result of a gradient check."""

    key: str
    verdict: str
    report: Json
    created_at: datetime


@dataclass(frozen=True)
class Request:
    """Work on a run, or on the spec in `payload` where there is no run: then `owner` asked. `kind` is predict, plot or
    gradient, which a person waits for, or one of routes.BACKGROUND_KINDS."""

    id: str
    run_id: str | None
    owner: str | None
    kind: str
    payload: Json
    status: str  # queued | running | done | failed
    result: Json | None
    error: str | None
    attempt: int
    worker: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class StoredDataset:
    """A person's own file. `id` is the SHA-256 of what they sent.

    Attributes:
        target, kind: what it is for, where they said so.
        table: the columns, and the digest of the matrix that holds their numbers.
        profiles: column -> mean, std and bins.
    """

    id: str
    owner: str
    name: str
    target: str | None
    kind: str | None
    size_bytes: int
    table: Json
    profiles: Json
    preview: list[list[str]]
    warnings: list[str]
    created_at: datetime
