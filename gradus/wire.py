"""The JSON of the API as types, for both sides: the service answers with them and the client reads them.

Unknown fields are kept, so that an older client shows what a newer service adds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
Links = dict[str, str]


class Wire(BaseModel):
    """A part of an answer. Validators are built at the first use, so that importing the client is quick."""

    model_config = ConfigDict(defer_build=True)


class Open(Wire):
    """An answer that may hold fields beyond those named."""

    model_config = ConfigDict(extra="allow")


class ProblemItem(Wire):
    """One fault of the request."""

    path: str = Field(
        description="where: `model.layers[0].units`, `query.limit`; empty for the whole request"
    )
    message: str = Field(description="what was found and what is wrong with it")
    allowed: str | list[str] | None = Field(None, description="what would be right")


class ProblemDetails(Wire):
    """RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str = Field(description="the address that was asked for")
    errors: list[ProblemItem]


class Page(Wire, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None = Field(description="address of the next page, the same as in the header `Link`")


class MlflowPlace(Wire):
    """Where the same is in MLflow; nulls until MLflow has it."""

    experiment_id: str | None
    run_id: str | None = None
    url: str | None


class Stage(Open):
    """A step of a question."""

    name: str = Field(description="`tune`, `look-1`, …")
    runs: int
    ended: int = Field(description="runs that are over")
    state: str


class Plan(Open):
    """The question that a spec fixed, its stages and the present answer."""

    factor: str
    metric: str
    delta: float
    alpha: float
    looks: list[int] = Field(description="seeds per level at the planned analyses")
    further: list[int] = Field(
        default=[], description="looks that were asked for once the planned ones were done"
    )
    total_error: float | None = Field(
        None, description="the error over all pairs and looks, also the further ones"
    )
    anytime: bool = Field(False, description="whether one may look after every seed")
    control: str | None = Field(None, description="the level that the others are compared with")
    budget: int | None
    stages: list[Stage]
    wait: str = Field(description="what it waits for; why nothing more is queued once it is over")
    standing: str = Field("", description="the same as a sentence")
    advice: dict[str, Any] | None = Field(
        None, description="what to send to `extend` so that an undecided question goes on; null: nothing"
    )
    tuned: list[dict[str, Any]] = Field(default=[], description="the setting that each level is compared at")
    answer: str


class FoundSetting(Open):
    """The best setting that a search has found."""

    levels: dict[str, str]
    value: float = Field(description="the mean of the metric over the seeds")
    epochs: int = Field(description="after so many epochs")


class Search(Open):
    """How far a search is, and the best setting so far."""

    strategy: str = Field(description="`tpe` or `halving`")
    metric: str = Field(description="what it chooses by")
    stages: list[Stage]
    wait: str = Field(description="`running`, or `over`")
    standing: str = Field(description="the same as a sentence")
    best: FoundSetting | None
    answer: str


class ExperimentOut(Open):
    """A group of comparable runs."""

    id: str
    name: str
    description: str
    tags: dict[str, str]
    owner: str
    n_runs: int
    status: dict[str, int] = Field(description="number of runs in each status")
    shipping: int = Field(0, description="how many of the running ones are trained and wait for MLflow")
    stage: str = Field(
        description="where the question is: `grid` without one, else `tune`, `look-1`, …; and once nothing more is "
        "queued, why: `decided`, `last look reached`, `budget spent`, `nothing to decide`"
    )
    plan: Plan | None = Field(description="the question's plan and present answer, where one is fixed")
    search: Search | None = Field(None, description="the progress of strategy tpe or halving")
    priority: int
    version: int
    created_at: datetime
    updated_at: datetime
    mlflow: MlflowPlace
    links: Links


class ExperimentDetail(ExperimentOut):
    """The same with the spec it came from."""

    spec: dict[str, Any]


class AcceptedExperiment(ExperimentDetail):
    """An experiment as it was accepted."""

    warnings: list[str] = Field(
        description="what is allowed and will probably surprise, each with what usually helps"
    )


class RunFields(Open):
    """One training of one RunSpec, apart from its metrics."""

    id: str
    experiment_id: str
    index: int
    status: str
    substatus: str | None = Field(
        None, description="`shipping`: it is RUNNING, and trained; its results are on their way to MLflow"
    )
    attempt: int
    reason: str = Field(
        description="why it ended, or why it waits again, as a code; empty where there is nothing to say"
    )
    explanation: str = Field("", description="the reason as a sentence")
    stage: str
    levels: dict[str, str]
    params: dict[str, Any]
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


class RunOut(RunFields):
    """One training of one RunSpec."""

    metrics: dict[str, float | None] = Field(description="name to latest value; null is not a number")


class RunDetail(RunOut):
    """The same with the whole RunSpec and its fingerprint."""

    fingerprint: str
    spec: dict[str, Any]


class MetricOut(Wire):
    """One measured value. `step` counts completed epochs."""

    key: str
    step: int
    value: float | None
    at: datetime
    attempt: int


class EventOut(Open):
    """The data of a server-sent event: what it is about and when it happened, and the fields of its kind.

    `status` has `from`, `status`, `edge` and `attempt`; `metrics` has `step` and `metrics`; `experiment` has `what`;
    `end`, the last, has none.
    """

    experiment_id: str | None = None
    run_id: str | None = None
    at: datetime | None = None
    status: str | None = None
    attempt: int | None = None
    step: int | None = Field(None, description="completed epochs")
    metrics: dict[str, float | None] | None = None
    what: str | None = None


class WorkOut(Wire):
    """A request to a worker and, once it is done, its result."""

    id: str
    run_id: str
    kind: str
    status: str = Field(description="queued, running, done or failed")
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None
    links: Links


class ColumnOut(Open):
    """A column of a person's own file."""

    name: str
    text: bool = Field(description="whether it holds texts")
    shape: list[int] | None = Field(description="how an array of an NPZ file arranges a row's numbers")
    usable: bool = Field(description="false: it is an input only where a spec names it, or cannot be one")
    low: float
    high: float
    mean: float | None = None
    std: float | None = None
    bins: list[int] | None = Field(None, description="rows in each of 20 equal steps from `low` to `high`")
    n_values: int | None = Field(description="number of different values, where there are few")
    values: list[str | float] | None = Field(description="the first 50 of them")
    counts: list[int] | None = Field(description="rows with each of these")


class DatasetOut(Open):
    """A person's own file. A spec names it: `dataset: {name: upload, id: NAME}`."""

    id: str = Field(description="SHA-256 of the file as it was sent")
    name: str
    owner: str
    rows: int
    size_bytes: int
    target: str | None
    kind: str | None = Field(description="of the target: classification, binary or regression")
    columns: list[ColumnOut]
    preview: list[list[str]] = Field(description="the first rows")
    warnings: list[str]
    matrix_sha256: str = Field(description="SHA-256 of `links.content`")
    created_at: datetime
    links: Links


class AuditOut(Open):
    """Somebody's change."""

    id: int
    at: datetime
    action: str = Field(
        description="submitted, extended, changed, cancelled, retried, deleted, requested, created, …"
    )
    kind: str = Field(description="what was changed: experiment, run, key, …")
    target_id: str
    owner: str = Field(description="whose key it was; empty where no key was needed")
    key_id: str
    address: str = Field(description="where the request came from")
    request_id: str = Field(description="the `X-Request-Id` of the answer, which is in the access log")
    details: dict[str, Any]


class WorkerOut(Open):
    """A worker process."""

    name: str
    kind: str
    host: str
    pid: int
    alive: bool
    state: str
    device: str
    backend: str
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


class KeyOut(Wire):
    """A key without its secret."""

    id: str
    owner: str
    scopes: list[str]
    hint: str
    quota: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
