"""`/v1/workers`: who is alive, on what device, doing what."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.auth import Reader
from service.api.dependencies import StoreDep
from service.api.paging import page
from service.api.problems import documented
from service.api.schemas import Page, WorkerOut, worker_out
from service.store import queries

router = APIRouter(prefix="/v1/workers", tags=["workers"])


@router.get("", response_model=Page[WorkerOut], responses=documented())
def list_workers(who: Reader, request: Request, response: Response, store: StoreDep) -> Page[WorkerOut]:
    """Every worker that reported itself lately; `alive` says whether it still does."""
    return page(request, response, (queries.workers(store), None), worker_out)
