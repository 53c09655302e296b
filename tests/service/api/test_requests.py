"""Predictions and pictures: a row that a worker fills in, waited for, or followed."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from experiments.samples import NUMBERS
from service import operations
from service.store import queries
from tests.present import present
from tests.service.api.conftest import Served

PICTURE = [[0.0] * 8] * 8
SHAPE = "the shape (8, 8, 1) or (8, 8) or (64,)"
BAD_INPUTS = {
    "another shape": ("[[1, 2]]", "body.inputs[0]", "found the shape (2,)", SHAPE),
    "a number short": (json.dumps([PICTURE, [0] * 63]), "body.inputs[1]", "found the shape (63,)", SHAPE),
    "text": ('[["a"]]', "body.inputs[0][0]", "found a", NUMBERS),
    "a truth value": ("[[true]]", "body.inputs[0][0]", "found true", NUMBERS),
    "beyond float32": ("[[0, 1e308]]", "body.inputs[0][1]", "found 1e+308", NUMBERS),
    "400 digits": (f"[[{'9' * 400}]]", "body.inputs[0][0]", "too large", "whole numbers below 2^63"),
    "not a number": ("[[NaN]]", "body.inputs[0][0]", "not a finite number", "finite numbers"),
}


def finished_run(api: Served) -> Any:
    run = queries.all_runs(api.store, api.submit().id)[0]
    return api.finish(run.id)


def work_off(api: Served, **outcome: Any) -> Any:
    """A worker that answers the first request it sees."""

    def work() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for request in operations.take_due_requests(api.store, resend_seconds=60):
                mine = operations.claim_request(api.store, request.id, worker="w", lease_seconds=60)
                operations.finish_request(api.store, present(mine).id, present(mine).attempt, **outcome)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_prediction_comes_back(client: httpx.Client, api: Served) -> None:
    run = finished_run(api)
    worker = work_off(api, result={"outputs": [[0.1, 0.9]], "classes": [1]})
    answer = client.post(f"/v1/runs/{run.id}/predict", json={"inputs": [PICTURE]})
    worker.join()
    assert answer.status_code == 200
    assert answer.json()["result"] == {"outputs": [[0.1, 0.9]], "classes": [1]}


def test_without_a_worker_there_is_a_place_to_ask_again(client: httpx.Client, api: Served) -> None:
    run = finished_run(api)
    answer = client.post(f"/v1/runs/{run.id}/predict?wait=0", json={"inputs": [PICTURE]})
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    assert answer.headers["location"] == answer.json()["links"]["self"]
    worker = work_off(api, result={"outputs": [[1.0]]})
    done = client.get(answer.json()["links"]["self"] + "?wait=10")
    worker.join()
    assert done.json()["result"] == {"outputs": [[1.0]]}


def test_those_who_wait_hold_nobody_else_up(client: httpx.Client, api: Served) -> None:
    """More of them than the API has threads (40), and they get their results."""
    run = finished_run(api)
    work = client.post(f"/v1/runs/{run.id}/predict?wait=0", json={"inputs": [PICTURE]}).json()["id"]

    def wait(_: Any) -> Any:
        with api.client() as reader:
            return reader.get(f"/v1/requests/{work}?wait=60", timeout=90).json()["status"]

    with ThreadPoolExecutor(45) as readers:
        waiting = [readers.submit(wait, number) for number in range(45)]
        deadline = time.monotonic() + 60
        while len(api.server.server_state.tasks) < 45:
            assert time.monotonic() < deadline, "the requests do not arrive"
            time.sleep(0.02)
        assert client.get("/livez").status_code == 200
        assert client.get("/v1/experiments").status_code == 200
        assert not any(reading.done() for reading in waiting), "they all wait still"
        work_off(api, result={"outputs": [[1.0]]}).join()
        assert {reading.result() for reading in waiting} == {"done"}


def test_what_a_worker_cannot_do_is_said(client: httpx.Client, api: Served) -> None:
    run = finished_run(api)
    worker = work_off(api, error="run is not in MLflow yet")
    answer = client.post(f"/v1/runs/{run.id}/predict", json={"inputs": [PICTURE]})
    worker.join()
    assert answer.status_code == 502
    assert "not in MLflow" in answer.json()["detail"]


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_no_worker_is_asked_about_what_is_no_input(client: httpx.Client, api: Served, kind: str) -> None:
    run = finished_run(api)
    inputs, path, message, allowed = BAD_INPUTS[kind]
    content, json_type = f'{{"inputs": {inputs}}}', {"content-type": "application/json"}
    answer = client.post(f"/v1/runs/{run.id}/predict?wait=0", content=content, headers=json_type)
    assert answer.status_code == 422
    (item,) = answer.json()["errors"]
    assert item["path"] == path
    assert message in item["message"]
    assert item["allowed"] == allowed
    assert not list(operations.take_due_requests(api.store, resend_seconds=60))


def test_only_a_finished_run_predicts(client: httpx.Client, api: Served) -> None:
    run = queries.all_runs(api.store, api.submit().id)[0]
    refused = client.post(f"/v1/runs/{run.id}/predict", json={"inputs": [[0.0]]})
    assert refused.status_code == 409
    assert refused.json()["detail"].endswith("ask again once it is FINISHED")
    assert client.post(f"/v1/runs/{run.id}/predict", json={"inputs": []}).status_code == 422


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_every_run_that_is_over_and_measured_something_is_drawn(
    client: httpx.Client, api: Served, status: Any
) -> None:
    run = queries.all_runs(api.store, api.submit().id)[0]
    early = client.post(f"/v1/runs/{run.id}/plot?wait=0")
    assert early.status_code == 409
    assert early.json()["detail"].endswith("its pictures can be drawn once it is over")
    api.finish(run.id, status, metrics=[("train/loss", 1, 0.5)], reason="x")
    assert client.post(f"/v1/runs/{run.id}/plot?wait=0").status_code == 202


def test_a_run_that_measured_nothing_has_nothing_to_draw(client: httpx.Client, api: Served) -> None:
    run = queries.all_runs(api.store, api.submit().id)[0]
    operations.cancel_run(api.store, run.id)
    refused = client.post(f"/v1/runs/{run.id}/plot?wait=0")
    assert refused.status_code == 409
    assert "measured nothing" in refused.json()["detail"]
