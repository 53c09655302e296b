"""What a person can rely on, against a whole stack: the embedded one, or the compose stack."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest

from tests.collector import Collector
from tests.streams import events_of


def test_submitted_runs_finish_in_the_api_and_in_mlflow_alike(service: Any, small: Any) -> None:
    experiment = service.submit(small())
    for run in service.wait_over(experiment):
        assert run["status"] == "FINISHED", run["reason"]
        kept = service.in_mlflow(run)
        assert kept["info"]["status"] == "FINISHED"
        metrics = {metric["key"]: metric["value"] for metric in kept["data"]["metrics"]}
        for name, value in run["metrics"].items():
            assert math.isclose(metrics[name], value, rel_tol=1e-9), name


@pytest.mark.usefixtures("embedded")
def test_an_experiment_is_one_trace_from_its_submission_to_mlflow(
    service: Any, small: Any, collector: Collector, eventually: Any
) -> None:
    experiment = service.submit(small(name="traced", sweep={"seeds": 2}))
    service.wait_over(experiment)
    expected = {"submit": 1, "wait": 2, "train": 2, "ship": 2}

    def complete() -> bool:
        return {name: len(spans) for name, spans in collector.trace(experiment).items()} == expected

    eventually(complete, within=30)
    spans = collector.trace(experiment)
    root = spans.pop("submit")[0]
    assert not root.parent_span_id
    assert len({span.trace_id for parts in spans.values() for span in parts}) == 1
    for parts in spans.values():
        for span in parts:
            assert span.parent_span_id == root.span_id
            assert root.start_time_unix_nano < span.start_time_unix_nano < span.end_time_unix_nano
    attributes = {entry.key: entry.value for entry in spans["train"][0].attributes}
    assert attributes["gradus.status"].string_value == "FINISHED"
    assert attributes["gradus.attempt"].int_value == 1


def test_watching_shows_every_run_to_its_end(service: Any, small: Any) -> None:
    experiment = service.submit(small(name="watched"))
    ended: set[str] = set()
    with service.http.stream("GET", f"/v1/experiments/{experiment}/events", timeout=120) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for event in events_of(answer):
            if event.kind == "end":
                break
            if event.data.get("status") == "FINISHED" or event.data.get("to") == "FINISHED":
                ended.add(event.data.get("run_id") or event.id)
    assert service.statuses(experiment) == ["FINISHED"] * 4
    assert len(ended) == 4


def test_cancelled_runs_are_killed_and_a_retry_runs_them(service: Any, lasting: Any) -> None:
    experiment = service.submit(lasting(runs=4, epochs=200))
    running = service.wait_training(experiment)
    service.ask(f"/v1/experiments/{experiment}/cancel")
    service.ask(f"/v1/experiments/{experiment}/cancel")
    runs = service.wait_over(experiment, within=60)
    assert {run["status"] for run in runs} == {"KILLED"}
    assert service.in_mlflow(service.get(f"/v1/runs/{running['id']}"))["info"]["status"] == "KILLED"


def test_a_retry_runs_what_was_cancelled(service: Any, small: Any) -> None:
    experiment = service.submit(small(name="again", priority=-10))
    service.ask(f"/v1/experiments/{experiment}/cancel")
    service.wait_over(experiment)
    service.ask(f"/v1/experiments/{experiment}/retry")
    assert {run["status"] for run in service.wait_over(experiment)} == {"FINISHED"}


def test_runs_of_a_killed_worker_go_on_elsewhere(service: Any, stack: Any, lasting: Any) -> None:
    experiment = service.submit(lasting(name="killed-worker", epochs=40))
    held = service.wait_training(experiment)
    stack.kill_worker(next(worker for worker in service.workers() if worker["name"] == held["worker"]))
    runs = service.wait_over(experiment, within=240)
    assert {run["status"] for run in runs} == {"FINISHED"}
    assert max(run["attempt"] for run in runs) >= 2


def test_training_goes_on_without_mlflow_and_everything_arrives(
    service: Any, stack: Any, small: Any, eventually: Any
) -> None:
    stack.stop("mlflow")
    try:
        experiment = service.submit(small(name="mlflow-away"))

        def trained() -> bool:
            return all("test/loss" in run["metrics"] for run in service.runs(experiment))

        eventually(trained, within=120)
        assert "FINISHED" not in service.statuses(experiment), "not before MLflow has it"
    finally:
        stack.start("mlflow")
    for run in service.wait_over(experiment):
        assert run["status"] == "FINISHED"
        assert service.in_mlflow(run)["info"]["status"] == "FINISHED"


def test_a_broker_that_dies_loses_nothing(service: Any, stack: Any, small: Any) -> None:
    before = service.submit(small(name="broker-before"))
    stack.restart("broker")
    meanwhile = service.submit(small(name="broker-meanwhile"))
    for experiment in (before, meanwhile):
        assert {run["status"] for run in service.wait_over(experiment)} == {"FINISHED"}


def test_workers_share_a_sweep(service: Any, lasting: Any) -> None:
    spec = lasting(name="shared", epochs=4)
    spec["sweep"] = {"activation": ["tanh", "sigmoid"], "seeds": 2}
    spec["model"] = {"hidden": [16]}
    assert len(service.helpers(service.submit(spec))) >= 2


def test_a_wrong_key_is_refused(service: Any, stack: Any) -> None:
    answer = httpx.get(f"{stack.url}/v1/experiments", headers={"X-API-Key": "wrong"}, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.compose
def test_a_key_is_required(service: Any, stack: Any) -> None:
    assert httpx.get(f"{stack.url}/v1/experiments", trust_env=False).status_code == 401
    assert httpx.get(f"{stack.url}/livez", trust_env=False).status_code == 200


@pytest.mark.compose
def test_a_database_that_dies_loses_nothing(service: Any, stack: Any, lasting: Any) -> None:
    experiment = service.submit(lasting(name="database-away"))
    service.wait_training(experiment)
    stack.restart("database")
    assert {run["status"] for run in service.wait_over(experiment, within=240)} == {"FINISHED"}


@pytest.mark.compose
def test_three_workers_share_a_sweep(service: Any, stack: Any, lasting: Any, eventually: Any) -> None:
    stack.scale(3)
    eventually(lambda: len(service.workers()) >= 3, within=90)
    spec = lasting(name="three-workers", epochs=6)
    spec["sweep"] = {"activation": ["tanh", "sigmoid", "relu", "elu", "softsign", "selu"], "seeds": 2}
    spec["model"] = {"hidden": [16]}
    assert len(service.helpers(service.submit(spec))) == 3
