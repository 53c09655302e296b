"""A worker on TensorFlow and one on JAX under one service."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from experiments.spec.documents import parse_yaml
from experiments.spec.examples import examples

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("jax") is None, reason="the extra train-jax is not installed"),
]


def test_the_same_runs_on_two_engines_are_equivalent(start_embedded: Any, service_of: Any) -> None:
    """Every run is trained and certified by the backend that it names, and the example's question is answered."""
    service = service_of(start_embedded("--backend", "tensorflow=1,jax=1"))
    assert {worker["backend"] for worker in service.workers()} == {"tensorflow", "jax"}
    document = parse_yaml(examples()["two-backends"])
    runs = service.wait_over(service.submit(document), within=600)
    assert {run["status"] for run in runs} == {"FINISHED"}
    by_backend: dict[str, set[str]] = {}
    for run in runs:
        assert run["tags"]["gradus.backend"] == run["levels"]["backend"]
        assert run["tags"]["gradus.certificate"] == "certified"
        by_backend.setdefault(run["levels"]["backend"], set()).add(run["tags"]["gradus.worker"])
        tags = {tag["key"]: tag["value"] for tag in service.in_mlflow(run)["data"]["tags"]}
        assert tags["gradus.backend"] == run["levels"]["backend"]
        assert f"gradus.{tags['gradus.backend']}" in tags, "the version of what computed"
    assert not by_backend["tensorflow"] & by_backend["jax"]
    comparison = service.get(f"/v1/experiments/{runs[0]['experiment_id']}/comparison")
    (verdict,) = comparison["verdicts"]
    assert verdict["verdict"] == "equivalent within δ"
    assert abs(verdict["effect"]) < 1e-5


def test_a_run_for_a_backend_that_no_worker_has_waits_and_says_so(
    start_embedded: Any, service_of: Any, small: Any
) -> None:
    """And the other way round: a stack of JAX workers alone trains what asks for JAX."""
    service = service_of(start_embedded("--backend", "jax=1"))
    waiting, trained = service.submit(small(runs=1)), service.submit(small(runs=1, backend="jax"))
    assert [run["status"] for run in service.wait_over(trained)] == ["FINISHED"]
    (run,) = service.runs(waiting)
    assert (run["status"], run["reason"]) == ("SCHEDULED", "waits for a tensorflow worker: none is up")
