"""Predictions and pictures on demand. A request is a row; a worker fills in its result.

Waiting clients hold no thread: the API has 40, and every other request needs one. So whatever reads the database once
is a dependency, which FastAPI runs in a thread, and the waiting is async.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from experiments.errors import found_in
from experiments.samples import samples
from gradus.wire import WorkOut
from service import operations
from service.entities import Request as Work
from service.entities import Run
from service.errors import Conflict
from service.http.auth import Principal, Reader, Writer
from service.http.bodies import json_body, json_of
from service.http.dependencies import RunId, SettingsDep, StoreDep, UrlsDep
from service.http.problems import RequestFailed, documented
from service.http.schemas import Strict, Urls
from service.lifecycle import RunStatus
from service.store import Store, queries

router = APIRouter(prefix="/v1", tags=["requests"])
POLL_SECONDS = (0.1, 1.0)  # between two looks, at first and at most
Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait for the result before it is a 202")]


class Inputs(Strict):
    """Samples in the shape of the data set's: `inputs[0]` is one sample."""

    inputs: list[Any] = Field(min_length=1, description="numbers, nested as the data set's samples are")


ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": WorkOut, "description": "still at work: follow `links.self`"}
}


def prediction(
    id: RunId,
    who: Writer,
    body: Annotated[Inputs, Depends(json_of(Inputs))],
    store: StoreDep,
    settings: SettingsDep,
) -> Work:
    run = owned(store, who, id)
    check_inputs(finished(run), body)
    return operations.create_request(
        store, run.id, kind="predict", payload=body.model_dump(), quota=settings.quota_open_requests
    )


def pictures(id: RunId, who: Writer, store: StoreDep, settings: SettingsDep) -> Work:
    run = over(owned(store, who, id))
    return operations.create_request(
        store, run.id, kind="plot", payload={}, quota=settings.quota_open_requests
    )


def owned(store: Store, who: Principal, id: str) -> Run:
    """A run that the asker may have workers compute for.

    Raises:
        NotFound; Forbidden: it belongs to somebody else.
    """
    run = queries.get_run(store, id, owner=who.sees)
    who.check_owns(queries.get_experiment(store, run.experiment_id).owner)
    return run


def known(id: str, who: Reader, store: StoreDep) -> Work:
    request = queries.get_request(store, id)
    queries.get_run(store, request.run_id, owner=who.sees)
    return request


@router.post(
    "/runs/{id}/predict",
    response_model=WorkOut,
    responses={**ACCEPTED, **documented(404, 409, 415, 429, 502)},
    openapi_extra=json_body(Inputs),
)
async def predict(
    work: Annotated[Work, Depends(prediction)],
    store: StoreDep,
    urls: UrlsDep,
    response: Response,
    wait: Wait = 20.0,
) -> WorkOut:
    """The trained network's outputs for inputs, computed by a worker from the stored weights."""
    return await answer(store, urls, response, work, wait)


@router.post(
    "/runs/{id}/plot", response_model=WorkOut, responses={**ACCEPTED, **documented(404, 409, 429, 502)}
)
async def plot(
    work: Annotated[Work, Depends(pictures)],
    store: StoreDep,
    urls: UrlsDep,
    response: Response,
    wait: Wait = 20.0,
) -> WorkOut:
    """The run's pictures from stored data, as base64 PNG and in MLflow; nothing is trained again. A run that failed
    or was killed has those of its metrics."""
    return await answer(store, urls, response, work, wait)


@router.get("/requests/{id}", response_model=WorkOut, responses=documented(404, 502))
async def read(
    work: Annotated[Work, Depends(known)], store: StoreDep, urls: UrlsDep, wait: Wait = 0.0
) -> WorkOut:
    """A request, waited for up to `wait` seconds."""
    return work_out(urls, await settled(store, work, wait))


def finished(run: Run) -> Run:
    """The run, if its weights can be had.

    Raises:
        Conflict: it did not finish (yet).
    """
    if run.status == RunStatus.FINISHED:
        return run
    when = "`gradus retry` trains it again" if run.is_terminal else "ask again once it is FINISHED"
    raise Conflict(f"run {run.id} is {run.status}; only a FINISHED run has weights to predict with: {when}")


def over(run: Run) -> Run:
    """The run, if there is something to draw: also of one that failed or was killed, if it measured anything.

    Raises:
        Conflict: it is not over yet, or it never measured anything.
    """
    if not run.is_terminal:
        raise Conflict(f"run {run.id} is {run.status}; its pictures can be drawn once it is over")
    if run.status != RunStatus.FINISHED and not run.metrics:
        raise Conflict(
            f"run {run.id} is {run.status} and measured nothing that could be drawn: `gradus retry` trains it again"
        )
    return run


def check_inputs(run: Run, body: Inputs) -> None:
    """Raises SpecError where an input is none of the run's data set: no worker is asked what it cannot answer."""
    with found_in("body"):
        samples(body.inputs, run.run_spec().data_shape.input)


async def answer(store: Store, urls: Urls, response: Response, work: Work, wait: float) -> WorkOut:
    """The result if it comes in time; else 202 with where to ask again."""
    work = await settled(store, work, wait)
    if work.status != "done":
        response.status_code = 202
        response.headers["Location"] = urls.at(f"/v1/requests/{work.id}")
    return work_out(urls, work)


async def settled(store: Store, work: Work, wait: float) -> Work:
    """The request as it is once done, or after `wait` seconds.

    Raises:
        RequestFailed: a worker tried and could not.
    """
    began = time.monotonic()
    first, longest = POLL_SECONDS
    while work.status in ("queued", "running") and (waited := time.monotonic() - began) < wait:
        # In proportion to what was waited: many who wait for long do not keep the database busy.
        await anyio.sleep(min(max(first, waited / 10), longest, wait - waited))
        work = await run_sync(queries.get_request, store, work.id)
    if work.status == "failed":
        raise RequestFailed(work.error or "the worker gave no reason")
    return work


def work_out(urls: Urls, work: Work) -> WorkOut:
    fields = {name: getattr(work, name) for name in WorkOut.model_fields if name != "links"}
    links = {"self": urls.at(f"/v1/requests/{work.id}"), "run": urls.at(f"/v1/runs/{work.run_id}")}
    return WorkOut(**fields, links=links)
