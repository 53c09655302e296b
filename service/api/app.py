"""The application: every resource under one roof, with the guard in front and problems as the only errors."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service.api import (
    answers,
    audit,
    catalog,
    classes,
    datasets,
    events,
    experiments,
    figures,
    health,
    keras_code,
    keys,
    lessons,
    metrics,
    requests,
    runs,
    workers,
)
from service.api.measures import Measures
from service.http import docs, openapi, problems
from service.http.guard import Guard, HeadAsGet, hosts_allowed
from service.http.rate import Rates
from service.settings import Settings
from service.store import Store
from service.web import ROUTERS
from service.web.view import failed, nothing_here, refused

DESCRIPTION = """Train small neural networks in comparable groups, and find out which choice is better.

A *spec* becomes an *experiment* of *runs*; workers train them; MLflow keeps the history. The answer to every refused
request is a problem document (RFC 9457) whose `errors` say where, what was found, and what is allowed."""


def create_app(settings: Settings, store: Store) -> FastAPI:
    """The API over a store. The store is closed when the application stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(
        title="Gradus",
        version=importlib.metadata.version("gradus"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # ours, which needs no network
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.settings, app.state.store = settings, store
    app.state.measures = Measures()
    app.state.rates = Rates(settings.rate_per_second, settings.rate_burst)
    problems.install(app)
    for code in (404, 405):
        app.add_exception_handler(code, nothing_here)
    app.add_exception_handler(Exception, failed)
    app.add_middleware(HeadAsGet)
    files = (settings.max_dataset_bytes, "GRADUS_MAX_DATASET_BYTES")
    app.add_middleware(
        Guard,
        hosts=hosts_allowed(settings),
        max_body_bytes=settings.max_body_bytes,
        refuse=refused,
        larger={"/v1/datasets": files, "/data": files},
    )
    for resource in (
        *(experiments, runs, figures, events, answers, requests, catalog, keras_code, lessons, datasets),
        *(workers, keys, classes, audit, health, metrics, docs),
    ):
        app.include_router(resource.router)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = functools.cache(lambda: openapi.document(app))  # type: ignore[method-assign]
    return app
