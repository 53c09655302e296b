"""`/livez` and `/readyz`: is this process alive, and what does it reach.

Ready means that experiments are accepted, which takes the database alone: broker, MLflow and workers may be away
for a while without anything being lost, so they make the answer `degraded`, not 503.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import httpx
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from experiments.errors import GradusError
from service.http.dependencies import SettingsDep, StoreDep
from service.settings import Settings
from service.store import Store, queries

router = APIRouter(tags=["health"])
PATIENCE = 1.5  # seconds for each dependency


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


@router.get("/readyz", responses={503: {"model": Ready, "description": "the database does not answer"}})
def ready(store: StoreDep, settings: SettingsDep, response: Response) -> Ready:
    """Database, broker, MLflow and workers, each with what to do where it is away."""
    dependencies = {
        "database": check(lambda: database(store), "start the database, or correct GRADUS_DATABASE_URL"),
        "broker": check(
            lambda: broker(settings), "start the broker, or correct GRADUS_BROKER_URL; runs wait meanwhile"
        ),
        "mlflow": check(
            lambda: mlflow(settings),
            "start MLflow, or correct GRADUS_MLFLOW_URL; results wait in the database",
        ),
        "workers": check(
            lambda: alive_workers(store), "start a worker: `gradus up --workers N`; runs wait meanwhile"
        ),
    }
    if dependencies["database"].status != "ok":
        response.status_code = 503
        return Ready(status="unavailable", dependencies=dependencies)
    complete = all(dependency.status == "ok" for dependency in dependencies.values())
    return Ready(status="ok" if complete else "degraded", dependencies=dependencies)


class _Away(GradusError):
    """A dependency does not answer; the message is for people and holds no secret."""


def check(probe: Callable[[], str], remedy: str) -> Dependency:
    """What a probe finds. Any failure of a probe is a finding, never an error of ours."""
    try:
        return Dependency(status="ok", detail=probe())
    except _Away as error:
        return Dependency(status="unreachable", detail=str(error), remedy=remedy)
    except Exception as error:  # noqa: BLE001  (whatever a driver raises; its text may hold a password)
        return Dependency(status="unreachable", detail=type(error).__name__, remedy=remedy)


def database(store: Store) -> str:
    queries.ping(store)
    return "SQLite" if store.is_sqlite else "PostgreSQL"


def broker(settings: Settings) -> str:
    """The broker answers PING. It is asked anew each time: a probe that keeps a connection proves little."""
    if settings.broker_url is None:
        raise _Away("GRADUS_BROKER_URL is not set")
    import redis

    with redis.Redis.from_url(
        settings.broker_url.get_secret_value(), socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
    ) as client:
        client.ping()
    return "answers"


def mlflow(settings: Settings) -> str:
    try:
        answer = httpx.get(f"{settings.mlflow_url.rstrip('/')}/health", timeout=PATIENCE)
    except httpx.HTTPError as error:
        raise _Away(f"{type(error).__name__} at {settings.public_mlflow_url}") from error
    if answer.status_code != 200:
        raise _Away(f"status {answer.status_code} at {settings.public_mlflow_url}")
    return settings.public_mlflow_url


def alive_workers(store: Store) -> str:
    training = [worker for worker in queries.workers(store) if worker.alive and worker.kind == "train"]
    if not training:
        raise _Away("no training worker is alive")
    busy = sum(worker.state == "busy" for worker in training)
    return f"{len(training)} alive, {busy} at work"
