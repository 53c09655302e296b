"""`/workers`: who is alive, on what device, doing what; and what waits for what."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from service.store import queries
from service.store.metrics_snapshot import metrics_snapshot
from service.web.view import PageRoute, VisitDep

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/workers")
def workers(visit: VisitDep) -> Response:
    """The page."""
    assert visit.person
    return visit.page(
        "workers.html",
        workers=queries.workers(visit.store),
        queue=metrics_snapshot(visit.store),
        waiting=queries.list_experiments(
            visit.store, filters={"status": ["SCHEDULED"]}, limit=20, owner=visit.person.sees
        )[0],
    )
