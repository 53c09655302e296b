"""`/v1/audit`: who changed what, when and from where."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gradus.wire import AuditOut, Page
from service.http.auth import Admin
from service.http.dependencies import StoreDep
from service.http.paging import Cursor, Limit, page
from service.http.problems import documented
from service.http.schemas import audit_out
from service.store import queries

router = APIRouter(prefix="/v1/audit", tags=["keys"])


@router.get("", response_model=Page[AuditOut], responses=documented())
def list_audit(
    who: Admin,
    request: Request,
    response: Response,
    store: StoreDep,
    owner: Annotated[str | None, Query(max_length=200, description="only what this owner did")] = None,
    action: Annotated[
        str | None, Query(max_length=40, description="only this action, for example `deleted`")
    ] = None,
    id: Annotated[
        str | None, Query(max_length=40, description="only what was done to the thing whose id begins so")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AuditOut]:
    """The audit trail, newest first. It also holds what was done to things that are gone."""
    entries = queries.audit(store, owner=owner, action=action, target_id=id, cursor=cursor, limit=limit)
    return page(request, response, entries, audit_out)
