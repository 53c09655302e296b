"""Server-Sent Events: everything that happens, in order, resumable, and an end."""

from __future__ import annotations

import threading
from typing import Any

import httpx

from service import operations
from service.store import queries
from tests.service.api.conftest import Served
from tests.streams import events_of


def stream(client: httpx.Client, path: Any, last: Any = None, until: Any = None) -> Any:
    headers = {"last-event-id": last} if last else {}
    events = []
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for event in events_of(answer):
            events.append(event)
            if event.kind == "end" or (until and until(event)):
                break
    return events


def test_a_stream_tells_the_whole_story_and_ends(client: httpx.Client, api: Served) -> None:
    experiment = api.submit()
    runs = queries.all_runs(api.store, experiment.id)
    for run in runs[1:]:
        operations.cancel_run(api.store, run.id)
    api.finish(runs[0].id, metrics=[("train/loss", 1, 0.5)])
    events = stream(client, f"/v1/experiments/{experiment.id}/events")
    assert events[-1].kind == "end"
    statuses = [(e.data["run_id"], e.data["status"]) for e in events if e.kind == "status"]
    assert (runs[0].id, "FINISHED") in statuses
    assert {(run.id, "KILLED") for run in runs[1:]} <= set(statuses)
    assert any(e.kind == "metrics" and e.data["run_id"] == runs[0].id for e in events)
    ids = [e.id for e in events if e.kind != "end"]
    assert len(set(ids)) == len(ids)


def test_a_stream_is_resumed_after_the_last_event(client: httpx.Client, api: Served) -> None:
    experiment = api.submit()
    operations.cancel_experiment(api.store, experiment.id)
    whole = stream(client, f"/v1/experiments/{experiment.id}/events")
    rest = stream(client, f"/v1/experiments/{experiment.id}/events", last=whole[1].id)
    assert [e.id for e in rest[:-1]] == [e.id for e in whole[2:-1]]


def test_what_happens_later_arrives(client: httpx.Client, api: Served) -> None:
    experiment = api.submit()
    run = queries.all_runs(api.store, experiment.id)[0]
    later = threading.Timer(0.5, operations.cancel_run, (api.store, run.id))
    later.start()
    events = stream(client, f"/v1/runs/{run.id}/events")
    later.join()
    assert [e.data["status"] for e in events if e.kind == "status"] == ["KILLED"]
    assert events[-1].kind == "end"


def test_a_cursor_that_is_none_is_refused_before_the_stream(client: httpx.Client, api: Served) -> None:
    id = api.submit().id
    answer = client.get(f"/v1/experiments/{id}/events", headers={"last-event-id": "yesterday"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
