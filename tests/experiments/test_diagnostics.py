"""Every sick network is named, the healthy ones are not; the rules at their bounds, from made-up histories."""

from __future__ import annotations

import math
from typing import Any

import pytest

from experiments.datasets import Source
from experiments.diagnostics import PROBE_LOSS, diagnose
from experiments.engine.training import train
from experiments.recording import MemoryRecorder
from experiments.spec import ExperimentSpec

SICK: dict[str, dict[str, Any]] = {
    "vanishing_gradient": {"model": {"hidden": [8] * 8, "activation": "sigmoid"}},
    "diverged": {"model": {"hidden": [8]}, "optimizer": {"name": "sgd", "learning_rate": 1e3}},
    "dead_relu": {
        "model": {
            "layers": [
                {"type": "dense", "units": 8, "bias_initializer": {"name": "constant", "value": -20.0}},
                {"type": "dense", "units": 10},
            ]
        }
    },
    "saturation": {
        "model": {
            "hidden": [8], "activation": "tanh", "kernel_initializer": {"name": "random_normal", "stddev": 30.0}
        }
    },
    "step_size": {"model": {"hidden": [8]}, "optimizer": {"name": "sgd", "learning_rate": 1e-9}},
    "initial_loss": {"model": {"hidden": [8], "kernel_initializer": {"name": "random_normal", "stddev": 3.0}}},
    "not_converged": {"model": {"hidden": [8]}, "training": {"epochs": 2, "stop": {"train_errors": 0}}},
}  # fmt: skip
HEALTHY: dict[str, dict[str, Any]] = {
    "relu": {"model": {"hidden": [8]}},
    "tanh": {"model": {"hidden": [8, 8], "activation": "tanh"}},
    "large penalty": {
        "model": {"hidden": [64], "activation": "tanh", "kernel_regularizer": {"name": "l2", "l2": 0.5}},
        "optimizer": {"name": "sgd", "learning_rate": 0.001},
    },
}


def run_of(**document: Any) -> Any:
    document = {"dataset": "digits", "training": {"epochs": 2}, **document}
    return ExperimentSpec.parse({"name": "sick", **document}).expand()[0].spec


def trained(**document: Any) -> Any:
    recorder = MemoryRecorder()
    train([run_of(**document)], recorder, lambda lane: None, source=Source())
    return recorder


def names(recorder: Any) -> Any:
    return {key.removeprefix("gradus.diagnosis.") for key in recorder.tagged[0] if "diagnosis" in key}


@pytest.mark.parametrize("name", SICK)
def test_a_sick_network_is_named(name: str) -> None:
    recorder = trained(**SICK[name])
    assert name in names(recorder)
    sentence = recorder.tagged[0][f"gradus.diagnosis.{name}"]
    assert "bound" in sentence or "usual" in sentence or "±" in sentence
    assert "help" in sentence


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_is_left_alone(name: str) -> None:
    recorder = trained(**HEALTHY[name])
    assert names(recorder) == set()
    history = recorder.history[0]
    assert set(history["layers/1-dense/grad_norm"]) == {0, 1, 2}
    assert 0 <= history["layers/1-dense/zeros"][0] <= 1
    assert ("layers/1-dense/saturated" in history) == ("tanh" in HEALTHY[name]["model"].values())
    assert PROBE_LOSS not in history


def test_a_steep_start_is_no_explosion() -> None:
    """Targets around 50 ± 58: the first gradient is above 100, and what is left at the end is the noise."""
    recorder = trained(
        dataset={"name": "linear", "slope": 100.0, "intercept": 50.0, "noise": 1.0},
        model={"layers": [{"type": "dense", "units": 1}]},
        optimizer={"name": "sgd", "learning_rate": 0.05}, training={"epochs": 10, "batch_size": 8},
    )  # fmt: skip
    history = recorder.history[0]
    assert history["layers/0-dense/grad_norm"][0] > 70
    assert history["test/loss"][10] < 2
    assert names(recorder) == set()


def test_relu_silences_about_half_its_units_sigmoid_none() -> None:
    relu = trained(model={"hidden": [64]}).history[0]["layers/1-dense/zeros"][0]
    sigmoid = trained(model={"hidden": [64], "activation": "sigmoid"}).history[0]["layers/1-dense/zeros"][0]
    assert 0.3 < relu < 0.7
    assert sigmoid == 0


def test_lanes_are_measured_apart() -> None:
    recorder = MemoryRecorder()
    document = {"dataset": "digits", "model": {"hidden": [8]}, "optimizer": "sgd", "training": {"epochs": 1}}
    document["sweep"] = {"learning_rate": [1e-9, 0.05, 1e3]}
    specs = [point.spec for point in ExperimentSpec.parse({"name": "x", **document}).expand()]
    train(specs, recorder, lambda lane: None, source=Source())
    found = [{key[17:] for key in recorder.tagged[lane] if "diagnosis" in key} for lane in range(3)]
    assert found[0] == {"step_size"}
    assert found[1] == set()
    assert "diverged" in found[2]


def test_off_measures_nothing() -> None:
    recorder = trained(**HEALTHY["relu"], diagnostics="off")
    assert not [key for key in recorder.history[0] if key.startswith("layers/")]


def found(history: Any) -> Any:
    return {one.name for one in diagnose(run_of(**HEALTHY["relu"]), history)}


def test_rules_at_their_bounds() -> None:
    first, last = "layers/1-dense/grad_norm", "layers/2-dense/grad_norm"
    assert found({first: {0: 9e-5}, last: {0: 0.1}}) == {"vanishing_gradient"}
    assert found({first: {0: 9e-5}, last: {0: 0.08}}) == set()
    assert found({first: {0: 2e-4}, last: {0: 1.0}}) == set()
    assert found({first: {0: 70.0}, last: {0: 1.0}}) == set()
    assert found({first: {0: 1.0}, last: {0: 70.1}}) == {"exploding_gradient"}
    assert found({first: {0: 70.1, 1: 5.0}, last: {0: 1.0, 1: 1.0}}) == set(), "a steep start"
    assert found({first: {0: 70.1, 1: 5.0, 2: 70.1}, last: {0: 1.0, 1: 1.0, 2: 1.0}}) == {
        "exploding_gradient"
    }
    assert found({first: {0: 1.0, 1: math.nan}, last: {0: 1.0, 1: 1.0}}) == {"exploding_gradient"}
    assert found({"train/loss": {2: 0.5}, "train/errors": {2: 7}}) == set(), "nothing was asked for"
    stop = {"error": 0.1, "train_errors": 3}
    asked = run_of(**HEALTHY["relu"] | {"training": {"epochs": 2, "stop": stop}})
    missed: dict[str, dict[int, float]] = {"train/loss": {1: 0.1, 2: 0.2}, "train/errors": {1: 3, 2: 4}}
    assert [one.name for one in diagnose(asked, missed)] == ["not_converged"]
    assert "2 epochs did not meet training.stop.error, at most 0.1. " in diagnose(asked, missed)[0].sentence
    assert (
        "In epoch 2 the mean loss was 0.2, counted while the weights" in diagnose(asked, missed)[0].sentence
    )
    assert diagnose(asked, missed | {"train/errors": {2: 3}}) == [], "one of the two is enough"
    assert found({"layers/1-dense/dead": {0: 0.6, 1: 0.5}}) == set()
    assert found({"layers/1-dense/update_ratio": {0: 0.2, 1: 0.05}}) == set()
    assert found({"layers/1-dense/update_ratio": {0: 0.2, 1: 0.11}}) == {"step_size"}
    assert found({PROBE_LOSS: {0: math.log(10) + 0.49}}) == set()
    assert found({PROBE_LOSS: {0: math.log(10) + 0.51}}) == {"initial_loss"}
    two = run_of(dataset="xor", model={"layers": [{"type": "dense", "units": 1}]}, loss="binary_crossentropy")
    assert diagnose(two, {PROBE_LOSS: {0: math.log(2) + 0.49}}) == []
    (off,) = diagnose(two, {PROBE_LOSS: {0: math.log(2) + 0.51}})
    assert off.name == "initial_loss"
    assert "guessing among 2 answers costs ln 2 = 0.693" in off.sentence
    assert found({PROBE_LOSS: {0: 2.3, 1: 22.0}}) == set()
    assert found({PROBE_LOSS: {0: 2.3, 1: 23.1}}) == {"diverged"}
    assert found({PROBE_LOSS: {0: 2.3, 1: 2.2}, "train/loss": {1: 60.0}, "test/loss": {1: 50.0}}) == set()
    for key in (PROBE_LOSS, "train/loss", "val/loss", "test/loss"):
        assert found({PROBE_LOSS: {0: 2.3}, key: {0: 2.3, 1: math.nan}}) == {"diverged"}


@pytest.mark.parametrize(
    ("activation", "advice", "silent"),
    [
        ("sigmoid", "ReLU or tanh in place of sigmoid", "Initial weights"),
        ("hard_sigmoid", "ReLU or tanh in place of hard_sigmoid", "Initial weights"),
        ("relu", "Initial weights of the right size (he_normal for relu)", "ReLU or tanh"),
        ("tanh", "Initial weights of the right size (glorot_uniform for tanh)", "ReLU or tanh"),
    ],
)
def test_the_advice_on_a_vanishing_gradient_suits_the_network(
    activation: Any, advice: Any, silent: Any
) -> None:
    spec = run_of(model={"hidden": [8, 8], "activation": activation})
    (said,) = diagnose(spec, {"layers/1-dense/grad_norm": {0: 9e-5}, "layers/3-dense/grad_norm": {0: 0.1}})
    assert advice in said.sentence
    assert silent not in said.sentence


def whole_and_resumed(**document: Any) -> Any:
    """A run's tags and metrics: uninterrupted, and given back after every epoch and resumed each time."""
    whole = trained(**document)
    spec, recorder = run_of(**document), MemoryRecorder()
    while True:
        begun = len(recorder.history[0].get("train/loss", {}))

        def stop(lane: Any, begun: Any = begun) -> Any:
            return "drain" if len(recorder.history[0].get("train/loss", {})) > begun else None

        resume = [recorder.checkpoints[0][1] if recorder.checkpoints else None]
        (outcome,) = train([spec], recorder, stop, source=Source(), resume=resume)
        if outcome.status == "FINISHED":
            return whole, recorder


RESUMED = {
    "vanishing_gradient": {**SICK["vanishing_gradient"], "training": {"epochs": 3}},
    "initial_loss": {**SICK["initial_loss"], "training": {"epochs": 3}},
    "exploding_gradient": {
        "dataset": {"name": "diabetes"}, "loss": "half_squared_error", "training": {"epochs": 3},
        "model": {"hidden": [8], "kernel_initializer": {"name": "random_normal", "stddev": 3.0}},
        "optimizer": {"name": "sgd", "learning_rate": 1e-9},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_run_has_the_diagnoses_of_an_uninterrupted_one(name: str) -> None:
    """What happened before the interruption counts: these three are seen before the first epoch."""
    whole, resumed = whole_and_resumed(**RESUMED[name])
    assert name in names(whole)
    diagnoses = {key: text for key, text in whole.tagged[0].items() if "diagnosis" in key}
    assert {key: text for key, text in resumed.tagged[0].items() if "diagnosis" in key} == diagnoses
    measured = {key: value for key, value in whole.history[0].items() if not key.startswith("time/")}
    assert {
        key: value for key, value in resumed.history[0].items() if not key.startswith("time/")
    } == measured


def test_a_lane_resumed_beside_a_fresh_one_is_not_measured_as_untrained() -> None:
    specs = [run_of(**HEALTHY["relu"], seed=seed) for seed in (0, 1)]
    whole, cut = MemoryRecorder(), MemoryRecorder()
    train(specs, whole, lambda lane: None, source=Source())
    train(specs, cut, lambda lane: "drain" if cut.history[0].get("train/loss") else None, source=Source())
    mixed = MemoryRecorder()
    train(specs, mixed, lambda lane: None, source=Source(), resume=[cut.checkpoints[0][1], None])
    key = "layers/1-dense/grad_norm"
    assert set(mixed.history[0][key]) == {2}
    assert mixed.history[1][key] == whole.history[1][key]


RECURRENT = {
    kind: {"model": {"layers": [{"type": kind, "units": 6}, {"type": "dense", "units": 10}]}}
    for kind in ("simple_rnn", "lstm", "gru")
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_are_measured_in_every_lane(kind: str) -> None:
    """A state of tanh lies in (−1, 1): its mean too, and its deviation is below 1; lanes differ by their seed."""
    recorder = MemoryRecorder()
    specs = [run_of(**RECURRENT[kind], training={"epochs": 1}, seed=seed) for seed in (0, 1)]
    train(specs, recorder, lambda lane: None, source=Source())
    found = [recorder.history[lane][f"layers/1-{kind}/std"][0] for lane in (0, 1)]
    assert all(0 < value < 1 for value in found)
    assert found[0] != found[1]
    assert recorder.history[0][f"layers/1-{kind}/saturated"][0] == 0
    assert names(recorder) == set()


def test_a_saturated_recurrent_layer_is_named() -> None:
    layers = [
        {"type": "simple_rnn", "units": 8, "kernel_initializer": {"name": "random_normal", "stddev": 50.0}},
        {"type": "dense", "units": 10},
    ]
    assert "saturation" in names(trained(model={"layers": layers}))
