"""Submit, read, list, change, cancel, retry, delete: over HTTP, against the store."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from gradus.text import counts
from service import operations
from service.entities import Committed, Worker
from service.store import queries
from tests.service.api.conftest import Served


def test_a_spec_becomes_an_experiment_with_runs(client: httpx.Client, spec: Any) -> None:
    answer = client.post("/v1/experiments", json=spec)
    assert answer.status_code == 201
    made = answer.json()
    assert made["name"] == "choices"
    assert made["n_runs"] == 4
    assert made["status"] == {"SCHEDULED": 4, "RUNNING": 0, "FINISHED": 0, "FAILED": 0, "KILLED": 0}
    assert answer.headers["location"] == made["links"]["self"]
    assert client.get(made["links"]["self"]).json() | {"warnings": []} == made
    runs = client.get(made["links"]["runs"]).json()
    assert [run["status"] for run in runs["items"]] == ["SCHEDULED"] * 4
    assert runs["next"] is None
    contract = {
        "id",
        "experiment_id",
        "status",
        "attempt",
        "reason",
        "params",
        "metrics",
        "tags",
        "created_at",
    }
    contract |= {"started_at", "ended_at", "mlflow", "links"}
    assert contract <= runs["items"][0].keys()


def test_yaml_is_read_as_1_2(client: httpx.Client) -> None:
    text = """
name: off
dataset: {name: digits}
model: {hidden: [8]}
optimizer: {name: sgd, learning_rate: 1e-4}
"""
    answer = client.post(
        "/v1/experiments", content=text, headers={"content-type": "application/yaml; charset=utf-8"}
    )
    assert answer.status_code == 201
    assert answer.json()["name"] == "off"
    run = client.get(answer.json()["links"]["runs"]).json()["items"][0]
    assert run["params"]["learning_rate"] == 1e-4


def test_dry_run_keeps_nothing(client: httpx.Client, api: Served, spec: Any) -> None:
    answer = client.post("/v1/experiments?dry_run=true", json=spec)
    assert answer.status_code == 200
    preview = answer.json()
    assert preview["n_runs"] == 4
    assert preview["factors"] == {"activation": ["relu", "tanh"]}
    assert [layer["output_shape"] for layer in preview["networks"][0]["layers"]] == [[64], [8], [10]]
    assert preview["networks"][0]["parameters"] == 64 * 8 + 8 + 8 * 10 + 10
    assert queries.list_experiments(api.store) == ([], None)


def test_warnings_are_said_with_the_answer(client: httpx.Client, spec: Any) -> None:
    wasteful = spec | {"training": {"batch_size": 5000}}
    made = client.post("/v1/experiments", json=wasteful).json()
    assert made["warnings"] == client.post("/v1/experiments?dry_run=true", json=wasteful).json()["warnings"]
    assert [warning.split(":")[0] for warning in made["warnings"]] == ["training.batch_size"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a tuned field that a level does not have": (
        {"sweep": {"optimizer": ["sgd", "adam"]},
         "compare": {"factor": "optimizer", "looks": [3], "delta": 0.01, "tune": {"momentum": [0.0, 0.9]}}},
        "compare.tune.momentum",
    ),
    "a budget below the first look": (
        {"compare": {"factor": "activation", "looks": [3], "delta": 0.01, "budget": 2}}, "compare.budget"
    ),
    "an unknown field": ({"models": {}}, "models"),
    "an impossible level": ({"sweep": {"epochs": [1, -1]}}, "sweep.epochs[1]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_dry_run_and_submission_refuse_alike(client: httpx.Client, spec: Any, kind: str) -> None:
    change, path = REFUSED[kind]
    dry, kept = (
        client.post(f"/v1/experiments{query}", json=spec | change) for query in ("?dry_run=true", "")
    )
    assert dry.status_code == kept.status_code == 422
    assert dry.json()["errors"] == kept.json()["errors"]
    assert [error["path"] for error in kept.json()["errors"]] == [path]


def test_the_same_key_and_body_give_the_first_answer_again(
    client: httpx.Client, api: Served, spec: Any
) -> None:
    headers = {"Idempotency-Key": "k"}
    first = client.post("/v1/experiments", json=spec, headers=headers)
    client.post(f"/v1/experiments/{first.json()['id']}/cancel")
    client.patch(f"/v1/experiments/{first.json()['id']}", json={"name": "other"})
    again = client.post("/v1/experiments", json=spec, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(queries.list_experiments(api.store)[0]) == 1
    other = client.post("/v1/experiments", json={**spec, "name": "b"}, headers=headers)
    assert other.status_code == 422
    assert "another body" in other.json()["detail"]


def test_one_key_from_many_at_once_makes_one_experiment(client: httpx.Client, api: Served, spec: Any) -> None:
    """Whoever comes while the first is at work gets 409 and may ask again; nobody makes a second."""

    def post(_: Any) -> Any:
        return client.post("/v1/experiments", json=spec, headers={"Idempotency-Key": "same"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len(queries.list_experiments(api.store)[0]) == 1


def test_lists_have_pages_with_links(client: httpx.Client, api: Served) -> None:
    for _ in range(5):
        api.submit()
    seen, address = [], "/v1/experiments?limit=2"
    while address:
        answer = client.get(address)
        seen += [item["id"] for item in answer.json()["items"]]
        address = answer.json()["next"]
        if address:
            assert answer.headers["link"] == f'<{address}>; rel="next"'
            assert len(answer.json()["items"]) == 2
    assert len(set(seen)) == len(seen) == 5


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("status=SCHEDULED", 4),
        ("status=RUNNING", 0),
        ("activation=relu", 2),
        ("activation=relu&activation=tanh", 4),
        ("activation=relu&seed=1", 1),
        ("optimizer=sgd", 4),
        ("learning_rate=1e-1", 4),
        ("training.batch_size=32", 4),
        ("model.activation=relu&activation=tanh", 4),
        ("training.batch_size=64", 0),
    ],
)
def test_runs_are_filtered_by_whatever_they_have(
    client: httpx.Client, api: Served, query: Any, number: int
) -> None:
    id = api.submit().id
    assert len(client.get(f"/v1/experiments/{id}/runs?{query}").json()["items"]) == number
    items = client.get(f"/v1/experiments?{query}").json()["items"]
    assert [item["id"] for item in items] == ([id] if number else [])


@pytest.mark.parametrize("query", ["activatoin=relu", "status=DONE", "a%22b=1", "activation=%00", "limit=0"])
def test_a_filter_that_cannot_be_meant_is_refused(client: httpx.Client, api: Served, query: Any) -> None:
    answer = client.get(f"/v1/experiments/{api.submit().id}/runs?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["path"].startswith("query")


def test_a_filter_of_experiments_is_a_field_that_a_run_can_have(client: httpx.Client, api: Served) -> None:
    api.submit()
    for query, number in (
        ("epochs=1", 1),
        ("owner=", 1),
        ("momentum=0.9", 0),
        ("model.layers[0].units=8", 0),
    ):
        assert len(client.get(f"/v1/experiments?{query}").json()["items"]) == number
    refused = client.get("/v1/experiments?activatoin=relu&bogus=1")
    assert refused.status_code == 422
    first, second = refused.json()["errors"]
    assert (first["path"], second["path"]) == ("query.activatoin", "query.bogus")
    assert first["message"] == 'there is no filter "activatoin"; did you mean "activation"?'
    assert "activation" in first["allowed"]


def test_ids_may_be_shortened(client: httpx.Client, api: Served) -> None:
    id = api.submit().id
    assert client.get(f"/v1/experiments/{id[:6]}").json()["id"] == id
    assert client.get("/v1/experiments/zzzz").status_code == 404
    assert client.get(f"/v1/runs/{id}").status_code == 404


def test_a_change_needs_the_version_it_was_read_at(client: httpx.Client, api: Served) -> None:
    path = f"/v1/experiments/{api.submit().id}"
    tag = client.get(path).headers["etag"]
    changed = client.patch(path, json={"priority": 5, "description": "d"}, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert (changed.json()["priority"], changed.json()["description"]) == (5, "d")
    assert changed.headers["etag"] != tag
    late = client.patch(path, json={"priority": 1}, headers={"If-Match": tag})
    assert late.status_code == 412
    assert client.get(path).json()["priority"] == 5
    garbled = client.patch(path, json={"priority": 1}, headers={"If-Match": "garbage"})
    assert garbled.status_code == 412
    assert "If-Match names garbage" in garbled.json()["detail"]
    assert garbled.json()["detail"].endswith('now If-Match: "2"')
    right = client.patch(path, json={"priority": 1}, headers={"If-Match": 'W/"2", "2"'})
    assert right.status_code == 200


def test_cancel_is_idempotent_and_retry_takes_it_back(client: httpx.Client, api: Served) -> None:
    experiment = api.submit()
    path = f"/v1/experiments/{experiment.id}"
    for _ in range(2):
        answer = client.post(f"{path}/cancel")
        assert answer.status_code == 202
        assert answer.json()["status"]["KILLED"] == 4
    assert client.post(f"{path}/retry").json()["status"]["SCHEDULED"] == 4


def test_a_run_has_its_history_and_cannot_be_retried_when_finished(client: httpx.Client, api: Served) -> None:
    experiment = api.submit()
    run = queries.list_runs(api.store, experiment.id)[0][0]
    api.finish(
        run.id, metrics=[("train/loss", 1, 0.5), ("train/loss", 2, 0.25), ("test/accuracy", 2, float("nan"))]
    )
    shown = client.get(f"/v1/runs/{run.id}").json()
    assert shown["status"] == "FINISHED"
    assert shown["metrics"] == {"train/loss": 0.25, "test/accuracy": None}
    history = client.get(f"/v1/runs/{run.id}/metrics?key=train/loss").json()
    assert [(point["step"], point["value"]) for point in history["items"]] == [(1, 0.5), (2, 0.25)]
    refused = client.post(f"/v1/runs/{run.id}/retry")
    assert refused.status_code == 409
    assert client.post(f"/v1/runs/{run.id}/cancel").json()["status"] == "FINISHED"


def test_delete_removes(client: httpx.Client, api: Served) -> None:
    id = api.submit().id
    assert client.delete(f"/v1/experiments/{id}").status_code == 204
    assert client.get(f"/v1/experiments/{id}").status_code == 404
    assert client.delete(f"/v1/experiments/{id}").status_code == 404


def test_broker_and_mlflow_down_do_not_matter(client: httpx.Client, spec: Any) -> None:
    """Neither is up in these tests at all."""
    assert client.post("/v1/experiments", json=spec).status_code == 201
    ready = client.get("/readyz")
    assert ready.status_code == 200
    health = ready.json()
    assert health["status"] == "degraded"
    assert health["dependencies"]["database"]["status"] == "ok"
    for away in ("broker", "mlflow", "workers"):
        assert health["dependencies"][away]["status"] == "unreachable"
        assert health["dependencies"][away]["remedy"]


def test_catalog_workers_and_metrics_answer(client: httpx.Client, api: Served) -> None:
    api.submit()
    kinds = {"activations", "optimizers", "layers", "losses", "datasets"}
    assert client.get("/v1/catalog").json().keys() >= kinds
    assert client.get("/v1/workers").json() == {"items": [], "next": None}
    page = client.get("/metrics")
    assert 'gradus_runs{status="SCHEDULED"} 4.0' in page.text
    assert 'gradus_queued_runs{device="auto",priority="0"} 4.0' in page.text


def test_metrics_tell_what_waits_runs_and_lags(client: httpx.Client, api: Served) -> None:
    began = time.monotonic()
    _, training, committed, finished = (run.id for run in queries.all_runs(api.store, api.submit().id))
    operations.claim(api.store, [training, committed], worker="w", spool="s", lease_seconds=60)
    operations.commit(api.store, {committed: Committed(1, "FINISHED", "epochs", {})})
    api.finish(finished, metrics=[("train/loss", 1, 0.5), ("train/loss", 2, 0.4)])
    operations.beat(api.store, Worker("w", queues=("gradus.any",), state="busy"))
    time.sleep(0.05)  # the least age that the figures below show
    text = client.get("/metrics").text
    most = time.monotonic() - began + 0.05  # the database's clock is read a moment later
    measures = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line and not line.startswith("#")
    }
    for status, number in {"SCHEDULED": 1, "RUNNING": 2, "FINISHED": 1}.items():
        assert measures[f'gradus_runs{{status="{status}"}}'] == number
    assert measures['gradus_queued_runs{device="auto",priority="0"}'] == 1
    assert measures['gradus_training_runs{width="1"}'] == 1
    assert 60 - most < measures["gradus_lease_left_seconds"] < 60
    assert measures["gradus_unshipped_runs"] == 1
    assert 0.05 <= measures["gradus_mlflow_lag_seconds"] < most
    assert measures["gradus_ended_runs_last_hour"] == 1
    assert 0 < measures["gradus_training_seconds_mean"] < most
    assert 0 < measures["gradus_tracking_seconds_mean"] < most
    assert 0.05 <= measures["gradus_queue_age_seconds"] < most
    assert measures["gradus_metric_points_total"] == 2
    assert measures['gradus_workers{device="cpu",kind="train",state="busy"}'] == 1
    (worker,) = client.get("/v1/workers").json()["items"]
    assert (worker["name"], worker["state"], worker["alive"]) == ("w", "busy", True)


def test_problems_are_documented(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1"):
                assert "application/problem+json" in operation["responses"]["422"]["content"], (path, method)


def test_a_trained_run_that_waits_for_mlflow_is_told_from_one_that_trains(
    client: httpx.Client, api: Served
) -> None:
    """Its status stays RUNNING, as MLflow's does: the substatus and the experiment's number say it."""
    experiment = api.submit()
    first, second, *_ = queries.all_runs(api.store, experiment.id)
    operations.claim(api.store, [first.id, second.id], worker="w", spool="s", lease_seconds=60)
    assert not operations.commit(api.store, {first.id: Committed(1, "FINISHED", "epochs", {})})
    runs = {id: client.get(f"/v1/runs/{id}").json() for id in (first.id, second.id)}
    assert {run["status"] for run in runs.values()} == {"RUNNING"}
    assert (runs[first.id]["substatus"], runs[second.id]["substatus"]) == ("shipping", None)
    there = client.get(f"/v1/experiments/{experiment.id}").json()
    assert (there["status"]["RUNNING"], there["shipping"]) == (2, 1)
    assert counts(there["status"], there["shipping"]) == "2 SCHEDULED, 2 RUNNING (1 shipping)"
    operations.finish(api.store, {first.id: None})
    assert client.get(f"/v1/experiments/{experiment.id}").json()["shipping"] == 0
