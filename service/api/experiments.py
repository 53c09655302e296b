"""`/v1/experiments`: submit, list, read, change, cancel, retry, delete."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from experiments.fields import LongText, ShortText
from gradus.wire import AcceptedExperiment, ExperimentDetail, ExperimentOut, Page, RunOut
from gradus.wire_preview import PreviewOut
from service import operations
from service.http.auth import Reader, Writer
from service.http.bodies import OPENAPI_BODY, RawBody, SpecDocument, json_body, json_of
from service.http.dependencies import (
    ExperimentId,
    IdempotencyHeader,
    IfMatch,
    SettingsDep,
    StoreDep,
    UrlsDep,
    etag,
    expected_version,
)
from service.http.paging import FILTERS, Cursor, Filters, Limit, check_fields, check_names, page
from service.http.problems import documented
from service.http.schemas import Strict, accepted, experiment_detail, experiment_out, run_out
from service.http.submission import dry_run as dry_run_of
from service.http.submission import prepare, submit_spec
from service.store import queries

router = APIRouter(prefix="/v1/experiments", tags=["experiments"])


class Change(Strict):
    """What can be changed after submission; what is left out stays."""

    name: ShortText | None = None
    description: LongText | None = None
    priority: int | None = Field(None, ge=-10, le=10, description="of what is queued: higher goes first")


@router.post(
    "",
    status_code=201,
    response_model=AcceptedExperiment,
    responses={
        200: {"model": PreviewOut, "description": "with `dry_run=true`: what would be done"},
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
    urls: UrlsDep,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
    dry_run: Annotated[
        bool, Query(description="answer with runs, shapes, costs and warnings; keep nothing")
    ] = False,
) -> Any:
    """Submit a spec. What is accepted is in the database, whether or not broker and MLflow are up."""
    if dry_run:
        return JSONResponse(dry_run_of(document, settings, store, who))
    prepared = prepare(document, settings, store, who)
    experiment = submit_spec(store, who, prepared, idempotency_key=idempotency_key, body=body)
    response.headers["Location"] = urls.at(f"/v1/experiments/{experiment.id}")
    response.headers["ETag"] = etag(experiment)
    return accepted(experiment, urls, prepared.warnings)


@router.get("", response_model=Page[ExperimentOut], responses=documented(), openapi_extra=FILTERS)
def list_experiments(
    who: Reader,
    request: Request,
    response: Response,
    store: StoreDep,
    urls: UrlsDep,
    filters: Filters,
    limit: Limit = 100,
    cursor: Cursor = None,
    sort: Annotated[
        queries.Sort, Query(description="`-created`: newest first; `name`: by name, from A on")
    ] = "-created",
) -> Page[ExperimentOut]:
    """Experiments, newest first unless `sort` says otherwise. `name`, `owner`, `stage`, and whatever a run may be filtered by: experiments with
    such runs."""
    filters.pop("sort", None)
    check_fields(filters)
    experiments = queries.list_experiments(
        store, filters=filters, cursor=cursor, limit=limit, owner=who.sees, sort=sort
    )
    return page(request, response, experiments, partial(experiment_out, urls=urls))


@router.get("/{id}", response_model=ExperimentDetail, responses=documented(404))
def read(
    id: ExperimentId, who: Reader, store: StoreDep, urls: UrlsDep, response: Response
) -> ExperimentDetail:
    """One experiment. Its `ETag` goes into the `If-Match` of a change."""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    response.headers["ETag"] = etag(experiment)
    return experiment_detail(experiment, urls)


@router.get("/{id}/runs", response_model=Page[RunOut], responses=documented(404), openapi_extra=FILTERS)
def list_runs(
    id: ExperimentId,
    who: Reader,
    request: Request,
    response: Response,
    store: StoreDep,
    urls: UrlsDep,
    filters: Filters,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RunOut]:
    """Its runs in the order of the sweep. `status=`, `stage=`, and any factor or parameter: `activation=relu`."""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    check_names(store, experiment.id, filters)
    runs = queries.list_runs(store, experiment.id, filters=filters, cursor=cursor, limit=limit)
    return page(request, response, runs, partial(run_out, urls=urls))


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
    urls: UrlsDep,
    response: Response,
    if_match: IfMatch = None,
) -> ExperimentDetail:
    """Change name, description or priority. With `If-Match`, only if nobody changed it since it was read."""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    who.check_owns(experiment.owner)
    given = body.model_dump(exclude_none=True)
    changed = operations.change_experiment(
        store, experiment.id, if_match=expected_version(experiment, if_match), **given
    )
    response.headers["ETag"] = etag(changed)
    return experiment_detail(changed, urls)


@router.post("/{id}/cancel", status_code=202, response_model=ExperimentOut, responses=documented(404))
def cancel(id: ExperimentId, who: Writer, store: StoreDep, urls: UrlsDep) -> ExperimentOut:
    """Cancel every run that is not over. What is cancelled never finishes."""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    who.check_owns(experiment.owner)
    return experiment_out(operations.cancel_experiment(store, experiment.id), urls)


@router.post(
    "/{id}/retry", status_code=202, response_model=ExperimentOut, responses=documented(404, 409, 429)
)
def retry(id: ExperimentId, who: Writer, store: StoreDep, urls: UrlsDep) -> ExperimentOut:
    """Queue its failed and killed runs again."""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    who.check_owns(experiment.owner)
    return experiment_out(operations.retry_experiment(store, experiment.id, quota=who.quota), urls)


@router.delete("/{id}", status_code=204, responses=documented(404))
def delete(id: ExperimentId, who: Writer, store: StoreDep) -> None:
    """Cancel what runs, then remove it, here and in MLflow (where it can be restored)."""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    who.check_owns(experiment.owner)
    operations.delete_experiment(store, experiment.id)
