"""Searches, and runs that are taken over, through a whole stack: API, workers, MLflow."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.e2e.conftest import wait_until


def search_of(service: Any, experiment: str) -> Any:
    """The search once it is over."""
    wait_until(lambda: service.get(f"/v1/experiments/{experiment}")["search"]["wait"] == "over", within=200)
    return service.get(f"/v1/experiments/{experiment}")["search"]


def test_halving_trains_the_better_half_from_rung_to_rung(service: Any, small: Any) -> None:
    sweep = {"learning_rate": [0.2, 0.1, 0.03, 0.01, 0.003, 0.001], "strategy": "halving"}
    experiment = service.submit(small(name="halving", training={"epochs": 9, "batch_size": 8}, sweep=sweep))
    search = search_of(service, experiment)
    runs = service.wait_over(experiment)
    assert {run["status"] for run in runs} == {"FINISHED"}
    by_rung = {1: "halved", 3: "halved", 9: "epochs"}
    for run in runs:
        points = service.get(f"/v1/runs/{run['id']}/metrics", key="val/loss")["items"]
        trained = max(point["step"] for point in points)
        assert by_rung[trained] == run["reason"]
        there = service.in_mlflow(run)["data"]["tags"]
        assert {"key": "gradus.reason", "value": run["reason"]} in there
    assert Counter(run["reason"] for run in runs) == {"halved": 5, "epochs": 1}
    (best,) = [run for run in runs if run["reason"] == "epochs"]
    assert float(search["best"]["levels"]["learning_rate"]) == best["params"]["learning_rate"]
    assert search["best"]["epochs"] == 9


def test_tpe_asks_for_settings_until_it_has_had_its_runs(service: Any, small: Any) -> None:
    sweep = {"learning_rate": {"log": [1e-4, 0.5]}, "strategy": "tpe", "runs": 13}
    experiment = service.submit(small(name="tpe", training={"epochs": 1, "batch_size": 8}, sweep=sweep))
    search = search_of(service, experiment)
    runs = service.wait_over(experiment)
    assert {run["status"] for run in runs} == {"FINISHED"}
    rates = [run["params"]["learning_rate"] for run in runs]
    assert len(set(rates)) == 13
    assert all(1e-4 <= rate <= 0.5 for rate in rates)
    losses = [run["metrics"]["val/loss"] for run in runs if run["metrics"]["val/loss"] is not None]
    assert search["best"]["value"] == min(losses)
    assert [stage["state"] for stage in search["stages"]] == ["done"] * len(search["stages"])


def files_of(service: Any, run: Any) -> set[str]:
    """The names of a run's artifacts in MLflow, without the report, which only the best run has."""
    answer = service.mlflow.get("/api/2.0/mlflow/artifacts/list", params={"run_id": run["mlflow"]["run_id"]})
    return {file["path"] for file in answer.json()["files"]} - {"report.html"}


def test_equal_runs_of_an_earlier_experiment_are_taken_over(service: Any, small: Any) -> None:
    earlier = service.submit(small(name="earlier", runs=2))
    trained = {run["params"]["seed"]: run for run in service.wait_over(earlier)}
    experiment = service.submit(small(name="later", runs=3, reuse=[earlier[:8]]))
    runs = {run["params"]["seed"]: run for run in service.wait_over(experiment)}
    origins = [run["tags"].get("gradus.reused_from") for run in runs.values()]
    assert origins == [trained[0]["id"], trained[1]["id"], None]
    for seed in (0, 1):
        assert runs[seed]["metrics"] == trained[seed]["metrics"]
        assert service.in_mlflow(runs[seed])["info"]["status"] == "FINISHED"
    files, copied = (files_of(service, run) for run in (trained[0], runs[0]))
    assert "weights" in files
    assert copied == files
