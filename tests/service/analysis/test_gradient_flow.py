"""Gradient over depth: ratios by hand, and in the report."""

from __future__ import annotations

import math
from typing import Any

import pytest

from service import operations
from service.analysis import gradient_flow
from service.entities import Committed, Measured, MetricPoint
from service.report import page as report
from service.settings import load_settings
from service.store import queries
from tests.service.scored_runs import World

DEEP = """
name: deep
dataset: {name: digits}
model: {hidden: [4]}
training: {epochs: 1}
sweep:
  activation: [sigmoid, relu]
  hidden: [[4, 4], [4, 4, 4], [4, 4, 4, 4]]
  seeds: 2
"""
SLOPES = {"sigmoid": 0.2, "relu": 0.9}


def worked(world: World, text: Any, slopes: Any = SLOPES) -> Any:
    """Runs whose gradient falls by their activation's slope a layer, times 2 or a half by seed; after the epoch it
    is everywhere 1."""
    experiment = world.submit(text)
    ids = [run.id for run in queries.all_runs(world.store, experiment.id)]
    for run in operations.claim(world.store, ids, worker="w", spool="s", lease_seconds=60):
        hidden = len(run.spec["model"]["layers"]) - 2  # without the implied flatten and the output
        slope, factor = slopes[run.levels["activation"]], 2.0 if run.spec["seed"] else 0.5
        points = [MetricPoint("val/accuracy", 1, 0.5)]
        for layer in range(hidden + 1):
            name = f"layers/{layer + 1}-dense/grad_norm"
            value = slope ** (hidden - layer) * (factor if layer == 0 else 1.0)
            points += [MetricPoint(name, 0, value), MetricPoint(name, 1, 1.0)]
        operations.record(world.store, {run.id: Measured(run.attempt, points)})
        operations.commit(world.store, {run.id: Committed(run.attempt, "FINISHED", "epochs", {})})
        operations.finish(world.store, {run.id: None})
    runs = queries.all_runs(world.store, experiment.id)
    return (
        experiment,
        runs,
        queries.metric_values(world.store, [r.id for r in runs], gradient_flow.gradient_keys(runs)),
    )


def test_first_over_last_before_training_as_geometric_mean(world: World) -> None:
    _, runs, curves = worked(world, DEEP)
    ratios = gradient_flow.ratios(runs, curves)
    assert ratios.keys() == SLOPES.keys()
    for activation, slope in SLOPES.items():
        assert ratios[activation] == pytest.approx({hidden: slope**hidden for hidden in (2, 3, 4)})


def test_what_vanished_altogether_is_left_out(world: World) -> None:
    _, runs, curves = worked(world, DEEP, {"sigmoid": 0.0, "relu": 0.9})
    assert list(gradient_flow.ratios(runs, curves)) == ["relu"]


def test_two_depths_make_no_line(world: World) -> None:
    text = DEEP.replace("[4, 4, 4], [4, 4, 4, 4]", "[4, 4, 4]")
    experiment, runs, curves = worked(world, text)
    assert gradient_flow.ratios(runs, curves) == {}
    assert "the price of depth" not in report.render(world.store, experiment.id, load_settings())


def test_the_gradient_by_layer_is_of_one_depth(world: World) -> None:
    """Of 2 and 3 hidden layers only the latter: 0.2³ from its first layer to its last, and no mean with 0.2²."""
    made = world.submit(DEEP.replace("[4, 4, 4], [4, 4, 4, 4]", "[4, 4, 4]"))
    ids = [run.id for run in queries.all_runs(world.store, made.id)]
    for run in operations.claim(world.store, ids, worker="w", spool="s", lease_seconds=60):
        hidden = len(run.spec["model"]["layers"]) - 2
        points = [
            MetricPoint(
                f"layers/{layer + 1}-dense/grad_norm", 1, SLOPES[run.levels["activation"]] ** (hidden - layer)
            )
            for layer in range(hidden + 1)
        ]
        operations.record(world.store, {run.id: Measured(run.attempt, points)})
        operations.commit(world.store, {run.id: Committed(run.attempt, "FINISHED", "epochs", {})})
    page = report.render(world.store, made.id, load_settings(), factor="activation")
    assert "sigmoid (its 2 runs with 3 hidden layers): the first layer&#39;s norm is 0.008 times" in page


@pytest.mark.parametrize("factor", [None, "hidden"])
def test_the_report_shows_it_beside_the_bound(world: World, factor: str) -> None:
    experiment, _, _ = worked(world, DEEP)
    page = report.render(world.store, experiment.id, load_settings(), factor=factor)
    assert "Vanishing gradient: the price of depth" in page
    assert f"sigmoid: {0.2**4:.4g} at 4 hidden layers." in page
    assert f"0.25 to the power L: {0.25**4:.4g} at 4 hidden layers." in page


def test_the_bound_is_the_sigmoids() -> None:
    assert gradient_flow.SLOPE == 0.25
    assert math.isclose(
        max(s * (1 - s) for s in [1 / (1 + math.exp(-z / 100)) for z in range(-500, 501)]), 0.25
    )
