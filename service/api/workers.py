"""`/v1/workers`: who is alive, on what device, doing what."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gradus.wire import Page, WorkerOut
from service.http.auth import Reader
from service.http.dependencies import StoreDep
from service.http.paging import page
from service.http.problems import documented
from service.http.schemas import worker_out
from service.store import queries

router = APIRouter(prefix="/v1/workers", tags=["workers"])


@router.get("", response_model=Page[WorkerOut], responses=documented())
def list_workers(who: Reader, request: Request, response: Response, store: StoreDep) -> Page[WorkerOut]:
    """Every worker that reported itself lately; `alive` says whether it still does."""
    return page(request, response, (queries.workers(store), None), worker_out)
