"""`/v1/runs`: read a run, its metrics; cancel and retry it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gradus.wire import MetricOut, Page, RunDetail, RunOut
from service import operations
from service.http.auth import Reader, Writer
from service.http.dependencies import RunId, StoreDep, UrlsDep
from service.http.paging import Cursor, page
from service.http.problems import documented
from service.http.schemas import metric_out, run_detail, run_out
from service.store import queries

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.get("/{id}", response_model=RunDetail, responses=documented(404))
def read(id: RunId, who: Reader, store: StoreDep, urls: UrlsDep) -> RunDetail:
    """One run, with the latest value of every metric and its whole spec."""
    return run_detail(queries.get_run(store, id, owner=who.sees), urls)


@router.post("/{id}/cancel", status_code=202, response_model=RunOut, responses=documented(404))
def cancel(id: RunId, who: Writer, store: StoreDep, urls: UrlsDep) -> RunOut:
    """Cancel a run. One that is over stays as it is; one that is cancelled never finishes."""
    run = queries.get_run(store, id, owner=who.sees)
    who.check_owns(queries.get_experiment(store, run.experiment_id).owner)
    return run_out(operations.cancel_run(store, run.id), urls)


@router.post("/{id}/retry", status_code=202, response_model=RunOut, responses=documented(404, 409, 429))
def retry(id: RunId, who: Writer, store: StoreDep, urls: UrlsDep) -> RunOut:
    """Queue a failed or killed run again. One that waits or runs stays as it is; a finished one is refused."""
    run = queries.get_run(store, id, owner=who.sees)
    who.check_owns(queries.get_experiment(store, run.experiment_id).owner)
    return run_out(operations.retry_run(store, run.id, quota=who.quota), urls)


MetricLimit = Annotated[int, Query(ge=1, le=100_000, description="points on a page")]


@router.get("/{id}/metrics", response_model=Page[MetricOut], responses=documented(404))
def metric_history(
    id: RunId,
    who: Reader,
    request: Request,
    response: Response,
    store: StoreDep,
    key: Annotated[list[str] | None, Query(description="names of metrics; all where none is given")] = None,
    limit: MetricLimit = 10_000,
    cursor: Cursor = None,
) -> Page[MetricOut]:
    """The whole history of its metrics, in the order of their steps."""
    run = queries.get_run(store, id, owner=who.sees)
    points = queries.metric_history(store, run.id, keys=key, cursor=cursor, limit=limit)
    return page(request, response, points, metric_out)
