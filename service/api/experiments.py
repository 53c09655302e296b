"""`/v1/experiments`: submit, list, read, change, cancel, retry, delete."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from experiments.fields import LongText, ShortText
from experiments.spec import ExperimentSpec
from experiments.spec.preview import preview
from service import operations
from service.analysis import design
from service.entities import Experiment
from service.http.auth import Reader, Writer
from service.http.bodies import OPENAPI_BODY, RawBody, SpecDocument, json_body, json_of
from service.http.dependencies import ExperimentId, PlaceDep, SettingsDep, StoreDep
from service.http.etags import IfMatch, etag, expected_version
from service.http.paging import FILTERS, Cursor, Filters, Limit, check_fields, check_names, page
from service.http.problems import documented
from service.http.schemas import ExperimentDetail, ExperimentOut, Page, RunOut, Strict
from service.lifecycle import RunStatus
from service.store import queries

router = APIRouter(prefix="/v1/experiments", tags=["experiments"])
IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="the same key with the same body gives the first answer again, and nothing twice",
    ),
]


class Change(Strict):
    """What can be changed after submission; what is left out stays."""

    name: ShortText | None = None
    description: LongText | None = None
    priority: int | None = Field(None, ge=-10, le=10, description="of what is queued: higher goes first")


@router.post(
    "",
    status_code=201,
    response_model=ExperimentDetail,
    responses={
        200: {"description": "with `dry_run=true`: what would be done", "content": {"application/json": {}}},
        **documented(409, 415, 429),
    },
    openapi_extra=OPENAPI_BODY,
)
def submit(
    who: Writer,
    document: SpecDocument,
    body: RawBody,
    store: StoreDep,
    settings: SettingsDep,
    place: PlaceDep,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
    dry_run: Annotated[
        bool, Query(description="answer with runs, shapes, costs and warnings; keep nothing")
    ] = False,
) -> Any:
    """Submit a spec. What is accepted is in the database, whether or not broker and MLflow are up."""
    spec = ExperimentSpec.parse(document, settings.limits())
    if dry_run:
        return JSONResponse(preview(spec))
    points, stage, plan = design.initial_points(spec)
    key = (
        operations.IdempotencyKey(idempotency_key, hashlib.sha256(body).hexdigest())
        if idempotency_key
        else None
    )
    experiment = operations.submit(
        store, spec, points, owner=who.owner, stage=stage, design=plan, idempotency=key, quota=who.quota
    )
    if experiment.replayed:
        experiment = as_accepted(experiment, spec, len(points), stage, plan)
    response.headers["Location"] = place.at(f"/v1/experiments/{experiment.id}")
    response.headers["ETag"] = etag(experiment)
    return place.experiment_detail(experiment)


def as_accepted(
    experiment: Experiment, spec: ExperimentSpec, runs: int, stage: str, plan: dict[str, Any] | None
) -> Experiment:
    """An experiment as it was when it was accepted: a repeated request gets the first answer again."""
    return dataclasses.replace(
        experiment,
        name=spec.name,
        description=spec.description,
        tags=dict(spec.tags),
        priority=spec.priority,
        version=1,
        stage=stage,
        design=plan,
        n_runs=runs,
        counts={status.value: runs if status == RunStatus.SCHEDULED else 0 for status in RunStatus},
        updated_at=experiment.created_at,
        mlflow_experiment_id=None,
    )


@router.get("", response_model=Page[ExperimentOut], responses=documented(), openapi_extra=FILTERS)
def list_experiments(
    who: Reader,
    request: Request,
    response: Response,
    store: StoreDep,
    place: PlaceDep,
    filters: Filters,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[ExperimentOut]:
    """Experiments, newest first. `name`, `owner`, `stage`, and whatever a run may be filtered by: experiments with
    such runs."""
    check_fields(filters)
    found = queries.list_experiments(store, filters=filters, cursor=cursor, limit=limit)
    return page(request, response, found, place.experiment)


@router.get("/{id}", response_model=ExperimentDetail, responses=documented(404))
def read(
    id: ExperimentId, who: Reader, store: StoreDep, place: PlaceDep, response: Response
) -> ExperimentDetail:
    """One experiment. Its `ETag` goes into the `If-Match` of a change."""
    experiment = queries.get_experiment(store, id)
    response.headers["ETag"] = etag(experiment)
    return place.experiment_detail(experiment)


@router.get("/{id}/runs", response_model=Page[RunOut], responses=documented(404), openapi_extra=FILTERS)
def list_runs(
    id: ExperimentId,
    who: Reader,
    request: Request,
    response: Response,
    store: StoreDep,
    place: PlaceDep,
    filters: Filters,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RunOut]:
    """Its runs in the order of the sweep. `status=`, `stage=`, and any factor or parameter: `activation=relu`."""
    experiment = queries.get_experiment(store, id)
    check_names(store, experiment.id, filters)
    found = queries.list_runs(store, experiment.id, filters=filters, cursor=cursor, limit=limit)
    return page(request, response, found, place.run)


@router.patch(
    "/{id}",
    response_model=ExperimentDetail,
    responses=documented(404, 409, 412, 415),
    openapi_extra=json_body(Change),
)
def change(
    id: ExperimentId,
    who: Writer,
    body: Annotated[Change, Depends(json_of(Change))],
    store: StoreDep,
    place: PlaceDep,
    response: Response,
    if_match: IfMatch = None,
) -> ExperimentDetail:
    """Change name, description or priority. With `If-Match`, only if nobody changed it since it was read."""
    experiment = queries.get_experiment(store, id)
    who.check_owns(experiment.owner)
    given = body.model_dump(exclude_none=True)
    changed = operations.patch_experiment(
        store, experiment.id, if_match=expected_version(experiment, if_match), **given
    )
    response.headers["ETag"] = etag(changed)
    return place.experiment_detail(changed)


@router.post("/{id}/cancel", status_code=202, response_model=ExperimentOut, responses=documented(404))
def cancel(id: ExperimentId, who: Writer, store: StoreDep, place: PlaceDep) -> ExperimentOut:
    """Cancel every run that is not over. What is cancelled never finishes."""
    experiment = queries.get_experiment(store, id)
    who.check_owns(experiment.owner)
    return place.experiment(operations.cancel_experiment(store, experiment.id))


@router.post(
    "/{id}/retry", status_code=202, response_model=ExperimentOut, responses=documented(404, 409, 429)
)
def retry(id: ExperimentId, who: Writer, store: StoreDep, place: PlaceDep) -> ExperimentOut:
    """Queue its failed and killed runs again."""
    experiment = queries.get_experiment(store, id)
    who.check_owns(experiment.owner)
    return place.experiment(operations.retry_experiment(store, experiment.id, quota=who.quota))


@router.delete("/{id}", status_code=204, responses=documented(404))
def delete(id: ExperimentId, who: Writer, store: StoreDep) -> None:
    """Cancel what runs, then remove it, here and in MLflow (where it can be restored)."""
    experiment = queries.get_experiment(store, id)
    who.check_owns(experiment.owner)
    operations.delete_experiment(store, experiment.id)
