"""The recipe of docs/comparing.md for a data frame, against a real MLflow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow
import pytest

from experiments.spec import ExperimentSpec
from service import operations
from service.analysis import design
from service.store import queries
from tests.service.conftest import MlflowServer, World

QUESTION = """
name: rates
dataset: {name: digits}
model: {hidden: [4]}
optimizer: {name: sgd}
sweep: {activation: [relu, tanh]}
compare: {factor: activation, tune: {learning_rate: [0.01, 0.1, 1.0], seeds: 2}, looks: [2]}
"""


def accuracy(run: Any) -> float:
    """Best at a rate of 0.1."""
    return {"relu": 0.9, "tanh": 0.8}[run.params["activation"]] - abs(
        0.1 - float(run.params["learning_rate"])
    )


def answered(world: World, text: str) -> None:
    """Submit a question and give every run its result until it is over."""
    spec = ExperimentSpec.parse(text)
    points, stage, plan = design.initial_points(spec)
    world.experiment = operations.submit(world.store, spec, points, stage=stage, design=plan)
    moved = 1
    while moved:
        runs = queries.all_runs(world.store, world.experiment.id)
        for run in world.claim(*(run for run in runs if run.status == "SCHEDULED")):
            world.record(run, 1, val_accuracy=accuracy(run), test_accuracy=accuracy(run))
            world.finish(run)
        world.ship()
        moved = design.advance(world.store)


def test_it_has_the_compared_runs_alone(world: World, mlflow_server: MlflowServer) -> None:
    """Its means are the comparison's: at 0.1 on two fresh seeds, and no run that tuned."""
    answered(world, QUESTION)
    page = (Path(__file__).parents[2] / "docs" / "comparing.md").read_text("utf-8")
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "search_runs" in block
    )
    for written, meant in (
        ("http://127.0.0.1:5642", mlflow_server.url),
        ("activations #1a2b3c", f"rates #{world.experiment.id[:6]}"),
    ):
        assert written in code
        code = code.replace(written, meant)
    *lines, last = code.strip().splitlines()
    names: dict[str, Any] = {}
    try:
        exec("\n".join(lines), names)
        rows = eval(last, names).to_dict("index")
    finally:
        mlflow.set_tracking_uri(None)  # it is the whole process's
    assert len(names["frame"]) == 12 + 4
    assert rows == {
        "relu": {"mean": pytest.approx(0.9), "std": pytest.approx(0.0), "count": 2},
        "tanh": {"mean": pytest.approx(0.8), "std": pytest.approx(0.0), "count": 2},
    }
