"""Server-Sent Events: what happens to an experiment or a run, as it happens, resumable.

A stream begins at the beginning, or after the `Last-Event-ID` it is given, and ends with an event `end` once
nothing more can happen, so that `curl -N` returns and a page knows to close its EventSource.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.entities import Event, Experiment, Run
from service.http.auth import Reader
from service.http.dependencies import ExperimentId, RunId, StoreDep
from service.http.problems import documented
from service.store import queries

router = APIRouter(prefix="/v1", tags=["events"])
POLL_SECONDS = 0.4
BATCH = 500
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=100,
        description="resume after this event; a browser sends it by itself",
    ),
]
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "events `status`, `metrics`, `cancel`, `experiment`, and `end` as the last"},
    **documented(404),
}


def experiment_of(
    id: ExperimentId, who: Reader, store: StoreDep, last_event_id: LastEventId = None
) -> Experiment:
    """Looked up, and the cursor checked, before the stream starts: a 200 cannot be taken back."""
    experiment = queries.get_experiment(store, id, owner=who.sees)
    queries.events_after(store, experiment_id=experiment.id, after=last_event_id, limit=1)
    return experiment


def run_of(id: RunId, who: Reader, store: StoreDep, last_event_id: LastEventId = None) -> Run:
    run = queries.get_run(store, id, owner=who.sees)
    queries.events_after(store, run_id=run.id, after=last_event_id, limit=1)
    return run


@router.get("/experiments/{id}/events", response_class=EventSourceResponse, responses=STREAM)
async def experiment_events(
    experiment: Annotated[Experiment, Depends(experiment_of)],
    store: StoreDep,
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Status changes and metrics of all its runs. It ends when every run is over and its question is answered."""

    def read(after: str | None) -> Sequence[Event]:
        return queries.events_after(store, experiment_id=experiment.id, after=after, limit=BATCH)

    def over() -> bool:
        return queries.get_experiment(store, experiment.id).is_settled

    async for event in follow(read, over, last_event_id):
        yield event


@router.get("/runs/{id}/events", response_class=EventSourceResponse, responses=STREAM)
async def run_events(
    run: Annotated[Run, Depends(run_of)], store: StoreDep, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Status changes and metrics of a run. It ends when the run is over."""

    def read(after: str | None) -> Sequence[Event]:
        return queries.events_after(store, run_id=run.id, after=after, limit=BATCH)

    def over() -> bool:
        return queries.get_run(store, run.id).is_terminal

    async for event in follow(read, over, last_event_id):
        yield event


async def follow(
    read: Callable[[str | None], Sequence[Event]], over: Callable[[], bool], after: str | None
) -> AsyncIterator[ServerSentEvent]:
    """The events of a stream, batch after batch.

    Args:
        read: gives the events after an id, at most `BATCH` of them.
        over: whether nothing more can happen.
        after: the id of the last event that the client has; None from the beginning.

    Yields:
        the events, and one called `end` once it is over and all are read.
    """
    yield ServerSentEvent(comment="events follow", retry=1000)
    while True:
        # Asked before reading: what happened before the end is then among what is read.
        ended = await run_sync(over)
        events = await run_sync(read, after)
        for event in events:
            after = event.id
            yield ServerSentEvent(id=event.id, event=event.kind, data=payload(event))
        if ended and not events:
            break
        if len(events) < BATCH:
            await anyio.sleep(POLL_SECONDS)
    yield ServerSentEvent(event="end", data={})


def payload(event: Event) -> dict[str, Any]:
    """An event's data with what it is about and when it happened."""
    about = {"experiment_id": event.experiment_id, "run_id": event.run_id, "at": event.at.isoformat()}
    return {**about, **event.data}
