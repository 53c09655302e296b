"""`/livez` and `/readyz`: is this process alive, and what does it reach.

Experiments are accepted as long as the database takes a write; otherwise the answer is 503. Where anything else is away,
accepted work waits and nothing is lost: the answer is 200 with the status `degraded`.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from service import health
from service.http.dependencies import SettingsDep, StoreDep

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Dependency(BaseModel):
    """One thing the service leans on."""

    status: Literal["ok", "unreachable"]
    detail: str = Field(description="what was found, without secrets")
    remedy: str = ""


class Ready(BaseModel):
    """What the service reaches."""

    status: Literal["ok", "degraded", "unavailable"]
    dependencies: dict[str, Dependency]


@router.get("/livez")
def live() -> Alive:
    """Whether the process answers."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready, "description": "the database takes no write"}})
def ready(store: StoreDep, settings: SettingsDep, response: Response) -> Ready:
    """Whether accepted work moves: database, disk, broker, MLflow, maintenance, workers and shipping, each with what to
    do where it does not do its part."""
    findings = health.examine(store, settings)
    dependencies = {
        name: Dependency(
            status="ok" if finding.ok else "unreachable", detail=finding.detail, remedy=finding.remedy
        )
        for name, finding in findings.items()
    }
    if not findings["database"].ok:
        response.status_code = 503
        return Ready(status="unavailable", dependencies=dependencies)
    complete = all(finding.ok for finding in findings.values())
    return Ready(status="ok" if complete else "degraded", dependencies=dependencies)
