"""Predictions and pictures on demand. A request is a row; a worker fills in its result.

Waiting clients hold no thread: the API has 40, and every other request needs one. So whatever reads the database once
is a dependency, which FastAPI runs in a thread, and the waiting is async.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from gradus.wire import WorkOut
from service.entities import Request as Work
from service.errors import NotFound
from service.http.auth import Reader, Writer
from service.http.bodies import json_body, json_of
from service.http.dependencies import RunId, SettingsDep, StoreDep, UrlsDep
from service.http.problems import documented
from service.http.requests import Inputs, ask_pictures, ask_prediction, settled
from service.http.schemas import Urls
from service.store import Store, queries

router = APIRouter(prefix="/v1", tags=["requests"])
Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait for the result before it is a 202")]


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
    return ask_prediction(store, settings, who, id, body)


def pictures(id: RunId, who: Writer, store: StoreDep, settings: SettingsDep) -> Work:
    return ask_pictures(store, settings, who, id)


def known(id: str, who: Reader, store: StoreDep) -> Work:
    request = queries.get_request(store, id)
    if request.run_id is None:  # about a spec: for the page that asked
        raise NotFound("request", id)
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


async def answer(store: Store, urls: Urls, response: Response, work: Work, wait: float) -> WorkOut:
    """The result if it comes in time; else 202 with where to ask again."""
    work = await settled(store, work, wait)
    if work.status != "done":
        response.status_code = 202
        response.headers["Location"] = urls.at(f"/v1/requests/{work.id}")
    return work_out(urls, work)


def work_out(urls: Urls, work: Work) -> WorkOut:
    fields = {name: getattr(work, name) for name in WorkOut.model_fields if name != "links"}
    links = {"self": urls.at(f"/v1/requests/{work.id}"), "run": urls.at(f"/v1/runs/{work.run_id}")}
    return WorkOut(**fields, links=links)
