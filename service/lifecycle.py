"""What a run is and how it may change: pure, without a database.

The status is one of MLflow's five. Within RUNNING two things are told apart by columns and not by a status:
a run that is being trained (it has a lease), and a run whose outcome is committed and waits to be carried to
MLflow (`committed_at`). A committed outcome is never claimed again.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from service.errors import IllegalTransition

if TYPE_CHECKING:
    from experiments.runs import RunSpec
    from experiments.spec import ExperimentSpec

Json = dict[str, Any]


class RunStatus(enum.StrEnum):
    """MLflow's run statuses, by their own names."""

    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


TERMINAL = frozenset({RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED})


class Edge(enum.StrEnum):
    """The names of the edges; every status event carries one."""

    CLAIMED = "claimed"  # a worker took it
    RECLAIMED = "reclaimed"  # a worker took it from one whose lease ran out
    RELEASED = "released"  # given back: drain, Ctrl-C, a tile that failed as a whole
    LOST = "lost"  # the lease ran out
    WORKER_LOST = "worker_lost"  # the lease ran out once too often
    SPOOL_LOST = "spool_lost"  # the files of a committed outcome are on a host that is gone
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"
    RETRIED = "retried"


_S = RunStatus
TRANSITIONS: frozenset[tuple[RunStatus, Edge, RunStatus]] = frozenset(
    {
        (_S.SCHEDULED, Edge.CLAIMED, _S.RUNNING),
        (_S.SCHEDULED, Edge.KILLED, _S.KILLED),
        (_S.RUNNING, Edge.RECLAIMED, _S.RUNNING),
        (_S.RUNNING, Edge.RELEASED, _S.SCHEDULED),
        (_S.RUNNING, Edge.LOST, _S.SCHEDULED),
        (_S.RUNNING, Edge.SPOOL_LOST, _S.SCHEDULED),
        (_S.RUNNING, Edge.WORKER_LOST, _S.FAILED),
        (_S.RUNNING, Edge.FINISHED, _S.FINISHED),
        (_S.RUNNING, Edge.FAILED, _S.FAILED),
        (_S.RUNNING, Edge.KILLED, _S.KILLED),
        (_S.FAILED, Edge.RETRIED, _S.SCHEDULED),
        (_S.KILLED, Edge.RETRIED, _S.SCHEDULED),
    }
)
_TARGETS = {(source, edge): target for source, edge, target in TRANSITIONS}
ENDING = {_S.FINISHED: Edge.FINISHED, _S.FAILED: Edge.FAILED, _S.KILLED: Edge.KILLED}


def is_terminal(status: str) -> bool:
    """Whether a run with this status is over (FAILED and KILLED can be retried)."""
    return status in TERMINAL


def check_transition(run_id: str, source: str, edge: Edge) -> RunStatus:
    """The status that `edge` leads to from `source`.

    Raises:
        IllegalTransition: there is no such edge.
    """
    target = _TARGETS.get((RunStatus(source), edge))
    if target is None:
        raise IllegalTransition(run_id, source, edge.value)
    return target


def after_lease_expiration(lease_expirations: int, max_lease_expirations: int, *, cancelled: bool) -> Edge:
    """The edge that a run takes whose lease ran out; `lease_expirations` counts this one.

    A run that was to be cancelled is KILLED: nobody is there to read the wish any more.
    """
    if cancelled:
        return Edge.KILLED
    return Edge.WORKER_LOST if lease_expirations >= max_lease_expirations else Edge.LOST


def committed_status(status: str, *, cancelled: bool) -> RunStatus:
    """The status that an outcome gets: a cancelled run never finishes."""
    wanted = RunStatus(status)
    if wanted not in TERMINAL:
        raise ValueError(f"an outcome is FINISHED, FAILED or KILLED, not {status}")
    return RunStatus.KILLED if cancelled else wanted


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
    priority: int
    device: str
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

    def run_spec(self) -> RunSpec:
        """The stored spec as a RunSpec."""
        from experiments.runs import RunSpec

        return RunSpec.model_validate(self.spec)

    @property
    def is_terminal(self) -> bool:
        return is_terminal(self.status)


QUESTION_OVER = {
    "decided": "decided",
    "last look": "last look reached",
    "budget": "budget spent",
    "nothing to decide": "nothing to decide",
}
"""Why nothing more is queued for a question (`Progress.wait`), as the name of the stage that it then has."""
ENDED_STAGES = ("grid", "done", *QUESTION_OVER.values())
"""Stages after which nothing follows by itself."""


@dataclass(frozen=True)
class Experiment:
    """A group of comparable runs. `counts` has every status, also those with no run."""

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
    replayed: bool = False

    def experiment_spec(self) -> ExperimentSpec:
        """The stored spec as an ExperimentSpec. It was held against the limits when it was accepted."""
        from experiments.limits import UNLIMITED
        from experiments.spec import ExperimentSpec

        return ExperimentSpec.parse(self.spec, UNLIMITED)

    @property
    def is_over(self) -> bool:
        """Whether every run is over."""
        return sum(self.counts.get(s, 0) for s in TERMINAL) == self.n_runs

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens by itself: all runs over, and no question that goes on. A question with a
        failed run waits for a person.
        """
        if not self.is_over:
            return False
        goes_on = self.design is not None and self.stage not in ENDED_STAGES and not self.cancel_requested_at
        lost = any(self.counts.get(s, 0) for s in (RunStatus.FAILED, RunStatus.KILLED))
        return not goes_on or (lost and (self.design or {}).get("wait") == "incomplete")


@dataclass(frozen=True)
class MetricPoint:
    """One measured value. `step` counts completed epochs; `at` is seconds since 1970, None: the database's now."""

    key: str
    step: int
    value: float | None  # None and NaN are both "not a number"
    at: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one attempt of a run has measured: points and tags to be recorded."""

    attempt: int
    points: Sequence[MetricPoint] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Committed:
    """What one attempt of a run came to: FINISHED, FAILED or KILLED, why, and whatever else is to be kept."""

    attempt: int
    status: str
    reason: str
    outcome: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Shipped:
    """What MLflow knows of a run now. `change` and `attempt` are the run's when it was read; None leaves a field as
    it is."""

    change: int
    mlflow_run_id: str | None = None
    mlflow_status: str | None = None
    metric_id: int | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class StoredMetric:
    """A metric point as kept: with its position (`id` rises within a run), time and attempt."""

    id: int
    key: str
    step: int
    value: float | None
    at: datetime
    attempt: int


@dataclass(frozen=True)
class Event:
    """One thing that happened. `id` is the cursor to resume after it; `kind` is status, metrics or experiment."""

    id: str
    experiment_id: str
    run_id: str | None
    kind: str
    data: Json
    at: datetime


RETIRED = "retired"
"""The state of a worker that has ended. Nobody is shown it; its row says when its spool was last served."""


@dataclass(frozen=True)
class Worker:
    """A worker process as it reports itself. The last four are filled in by the store."""

    name: str
    kind: str = "train"  # train | maintenance
    host: str = ""
    pid: int = 0
    device: str = "cpu"  # cpu | gpu
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


BACKGROUND_KINDS = ("model", "picture", "overview")
"""Kinds of request that no person waits for (`service.analysis.final_artifacts`): they give way to training."""


@dataclass(frozen=True)
class Request:
    """Work on a finished run: kind is predict or plot, which a person waits for, or one of BACKGROUND_KINDS."""

    id: str
    run_id: str
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
class ApiKey:
    """An API key without its secret."""

    id: str
    owner: str
    scopes: tuple[str, ...]  # of read, write, admin
    hint: str  # the first characters, to tell keys apart
    quota: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
