"""What a spec would do, said without doing it: numbers worked by hand."""

from __future__ import annotations

import pytest

from experiments.spec import ExperimentSpec
from experiments.spec.preview import preview

SPEC = {
    "name": "a",
    "dataset": {"name": "digits", "validation_split": 0.2},
    "model": {"hidden": [8]},
    "optimizer": {"name": "sgd"},
    "training": {"epochs": 3},
    "sweep": {"activation": ["relu", "tanh"], "model.hidden": [[8], [4, 4]], "seeds": 5},
}


def test_runs_networks_and_costs() -> None:
    shown = preview(ExperimentSpec.parse(SPEC))
    assert shown["n_runs"] == 2 * 2 * 5
    assert sum(network["runs"] for network in shown["networks"]) == 20
    assert {network["parameters"] for network in shown["networks"]} == {
        65 * 8 + 9 * 10,
        65 * 4 + 5 * 4 + 5 * 10,
    }
    assert shown["programs"] == 4
    assert shown["training_flops"] == 5 * sum(network["training_flops"] for network in shown["networks"])
    assert shown["warnings"] == []
    assert shown["question"] is None
    assert shown["runs"][0]["levels"]["activation"] == "relu"


def test_a_question_counts_all_its_looks() -> None:
    tune = {"learning_rate": {"log": [0.01, 1.0], "points": 4}, "seeds": 2}
    compare = {"factor": "activation", "looks": [5, 10], "tune": tune}
    sweep = {"activation": ["relu", "tanh", "sigmoid"]}
    question = preview(ExperimentSpec.parse({**SPEC, "sweep": sweep, "compare": compare}))["question"]
    assert question["runs"] == {"tuning": 3 * 4 * 2, "looks": [15, 30]}
    assert question["most_runs"] == 24 + 30


def test_an_edge_that_is_never_read_is_a_warning() -> None:
    layers = [
        {"type": "conv2d", "filters": 2, "kernel_size": 3, "strides": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 10},
    ]
    shown = preview(ExperimentSpec.parse({**SPEC, "model": {"layers": layers}, "sweep": None}))
    assert shown["networks"][0]["layers"][0]["output_shape"] == [3, 3, 2]
    assert len(shown["warnings"]) == 1


def test_updates_and_the_first_and_last_rate() -> None:
    """1,150 of 1,438 images in batches of 100: 12 updates an epoch, 36 in all; 0.1 · 0.5^(35/12) at the last."""
    rate = {"name": "exponential_decay", "initial_learning_rate": 0.1, "decay_steps": 12, "decay_rate": 0.5}
    training = {"epochs": 3, "batch_size": 100}
    spec = SPEC | {"training": training, "sweep": {"learning_rate": [0.2, rate], "seeds": 2}}
    fixed, falling = preview(ExperimentSpec.parse(spec))["training"]
    assert (fixed["updates_per_epoch"], fixed["updates"], fixed["runs"]) == (12, 36, 2)
    assert (fixed["first_rate"], fixed["last_rate"], fixed["schedule"]) == (0.2, 0.2, None)
    assert falling["first_rate"] == 0.1
    assert falling["last_rate"] == pytest.approx(0.1 * 0.5 ** (35 / 12))
    assert falling["schedule"].startswith("exponential_decay(")
