"""Which choice is better: the comparison, its report, and the next look at it."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse
from pydantic import Field, JsonValue

from experiments.errors import found_in
from experiments.fields import Seed, ShortText
from gradus.wire import ExperimentOut
from gradus.wire_comparison import ComparisonOut
from service import operations
from service.analysis import comparison, extension
from service.http.auth import Reader, Writer
from service.http.bodies import json_body, json_of
from service.http.dependencies import ExperimentId, IdempotencyHeader, SettingsDep, StoreDep, UrlsDep
from service.http.problems import documented
from service.http.reuse import experiments_named
from service.http.schemas import Strict, experiment_out
from service.store import queries

router = APIRouter(prefix="/v1/experiments/{id}", tags=["answers"])
Factor = Annotated[
    str | None, Query(max_length=200, description="what is compared; the question's where one is fixed")
]
Metric = Annotated[
    str | None, Query(max_length=200, description="by what; the question's where one is fixed")
]


class Extension(Strict):
    """How much more. Without a field: the next planned look."""

    seeds: (
        Annotated[int, Field(ge=1, le=10_000)]
        | Annotated[list[Seed], Field(min_length=1, max_length=10_000)]
        | None
    ) = Field(
        None,
        description="how many further seeds, or the seeds themselves. With a question only where its sweep names its"
        " seeds: those of the further looks",
    )
    looks: list[Annotated[int, Field(ge=2, le=10_000)]] = Field(
        [], max_length=20, description="seeds per level at further looks, once the planned ones are done"
    )
    levels: list[JsonValue] | dict[str, dict[str, JsonValue]] = Field(
        [], description="new levels of the compared factor; for cases a mapping of label to fields"
    )
    epochs: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="further epochs: every run that came to its last one goes on from its checkpoint",
    )
    reuse: list[ShortText] = Field(
        [], max_length=20, description="experiments whose equal runs are taken over instead of trained again"
    )


@router.get("/comparison", response_model=ComparisonOut, responses=documented(404))
def compare(
    id: ExperimentId, who: Reader, store: StoreDep, factor: Factor = None, metric: Metric = None
) -> dict[str, Any]:
    """Estimates and intervals per level and pair of levels; verdicts for the question that the spec fixed."""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    with found_in("query"):
        return comparison.compare(store, experiment.id, factor=factor, metric=metric).to_json()


@router.get(
    "/report", response_class=HTMLResponse, responses={**documented(404), 200: {"content": {"text/html": {}}}}
)
def read_report(
    id: ExperimentId,
    who: Reader,
    store: StoreDep,
    settings: SettingsDep,
    factor: Factor = None,
    metric: Metric = None,
) -> HTMLResponse:
    """The same as one self-contained page with pictures."""
    from service.report import page

    experiment = queries.get_experiment(store, id, owner=who.sees)
    with found_in("query"):
        return HTMLResponse(page.render(store, experiment.id, settings, factor=factor, metric=metric))


@router.post(
    "/extend",
    status_code=202,
    response_model=ExperimentOut,
    responses=documented(404, 409, 415, 429),
    openapi_extra=json_body(Extension, required=False),
)
def extend(
    id: ExperimentId,
    who: Writer,
    store: StoreDep,
    settings: SettingsDep,
    urls: UrlsDep,
    body: Annotated[Extension, Depends(json_of(Extension))],
    idempotency_key: IdempotencyHeader = None,
) -> ExperimentOut:
    """Queue the next planned look, further looks or levels, or `seeds` or `epochs` more where no question is fixed.

    Equal runs are reused, not repeated; with `reuse` also those of other experiments.
    """
    experiment = queries.get_experiment(store, id, owner=who.sees)
    who.check_owns(experiment.owner)
    wanted = body.model_dump() if body else {}
    if body is not None and body.reuse:
        wanted["reuse"] = experiments_named(body.reuse, store, who, apart_from=experiment.id)
    key = None
    if idempotency_key:
        asked = f"extend {experiment.id} {json.dumps(wanted, sort_keys=True)}"
        key = operations.IdempotencyKey(idempotency_key, hashlib.sha256(asked.encode()).hexdigest())
    extended = extension.extend(
        store,
        experiment.id,
        **wanted,
        limits=settings.limits(),
        quota=who.quota,
        max_runs=settings.max_runs,
        idempotency=key,
    )
    return experiment_out(extended, urls)
