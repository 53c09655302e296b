"""Predictions and pictures that people ask a worker for: who may ask, about which runs, and waiting for the result."""

from __future__ import annotations

import time
from typing import Any

import anyio
from anyio.to_thread import run_sync
from pydantic import Field

from experiments.errors import found_in
from experiments.samples import samples
from service import operations
from service.entities import Request as Work
from service.entities import Run
from service.errors import Conflict
from service.http.auth import Principal
from service.http.problems import RequestFailed
from service.http.schemas import Strict
from service.lifecycle import RunStatus
from service.settings import Settings
from service.store import Store, queries

POLL_SECONDS = (0.02, 1.0)  # between two looks, at first and at most


class Inputs(Strict):
    """Samples in the shape of the data set's: `inputs[0]` is one sample."""

    inputs: list[Any] = Field(
        min_length=1,
        description="numbers, nested as the data set's samples are; for a person's own file rows of its columns, as lists"
        " or as mappings of column to value",
    )


def ask_prediction(store: Store, settings: Settings, who: Principal, run_id: str, body: Inputs) -> Work:
    """A request for a run's outputs.

    Raises:
        NotFound; Forbidden: the run belongs to somebody else; Conflict: it has no weights; SpecError: an input is none of
        its data set's; TooManyRequests.
    """
    run = finished(owned(store, who, run_id))
    check_inputs(run, body)
    return operations.create_request(
        store, run.id, kind="predict", payload=body.model_dump(), quota=settings.quota_open_requests
    )


def ask_pictures(store: Store, settings: Settings, who: Principal, run_id: str) -> Work:
    """A request for a run's pictures.

    Raises:
        NotFound; Forbidden: the run belongs to somebody else; Conflict: there is nothing to draw; TooManyRequests.
    """
    run = over(owned(store, who, run_id))
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
        spec = run.run_spec()
        if spec.dataset.read_rows(body.inputs) is None:
            samples(body.inputs, spec.data_shape.input, spec.model.rows)


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
