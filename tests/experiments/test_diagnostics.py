"""Every sick network is named, the healthy ones are not; the rules at their bounds, from made-up histories."""

import math

import pytest

from experiments.datasets import Source
from experiments.diagnostics import PROBE_LOSS, diagnose
from experiments.recording import MemoryRecorder
from experiments.spec import ExperimentSpec
from experiments.training import train

SICK = {
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
}  # fmt: skip
HEALTHY = {
    "relu": {"model": {"hidden": [8]}},
    "tanh": {"model": {"hidden": [8, 8], "activation": "tanh"}},
}


def run_of(**document):
    document = {"dataset": "digits", "training": {"epochs": 2}, **document}
    return ExperimentSpec.parse({"name": "sick", **document}).expand()[0].spec


def trained(**document):
    recorder = MemoryRecorder()
    train([run_of(**document)], recorder, lambda lane: None, source=Source())
    return recorder


def names(recorder):
    return {key.removeprefix("gradus.diagnosis.") for key in recorder.tagged[0] if "diagnosis" in key}


@pytest.mark.parametrize("name", SICK)
def test_a_sick_network_is_named(name):
    recorder = trained(**SICK[name])
    assert name in names(recorder)
    sentence = recorder.tagged[0][f"gradus.diagnosis.{name}"]
    assert "bound" in sentence or "usual" in sentence or "±" in sentence
    assert "help" in sentence


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_is_left_alone(name):
    recorder = trained(**HEALTHY[name])
    assert names(recorder) == set()
    history = recorder.history[0]
    assert set(history["layers/1-dense/grad_norm"]) == {0, 1, 2}
    assert 0 <= history["layers/1-dense/zeros"][0] <= 1
    assert ("layers/1-dense/saturated" in history) == (name == "tanh")
    assert PROBE_LOSS not in history


def test_relu_silences_about_half_its_units_sigmoid_none():
    relu = trained(model={"hidden": [64]}).history[0]["layers/1-dense/zeros"][0]
    sigmoid = trained(model={"hidden": [64], "activation": "sigmoid"}).history[0]["layers/1-dense/zeros"][0]
    assert 0.3 < relu < 0.7
    assert sigmoid == 0


def test_lanes_are_measured_apart():
    recorder = MemoryRecorder()
    document = {"dataset": "digits", "model": {"hidden": [8]}, "optimizer": "sgd", "training": {"epochs": 1}}
    document["sweep"] = {"learning_rate": [1e-9, 0.05, 1e3]}
    specs = [point.spec for point in ExperimentSpec.parse({"name": "x", **document}).expand()]
    train(specs, recorder, lambda lane: None, source=Source())
    found = [{key[17:] for key in recorder.tagged[lane] if "diagnosis" in key} for lane in range(3)]
    assert found[0] == {"step_size"}
    assert found[1] == set()
    assert "diverged" in found[2]


def test_off_measures_nothing():
    recorder = trained(**HEALTHY["relu"], diagnostics="off")
    assert not [key for key in recorder.history[0] if key.startswith("layers/")]


def found(history):
    return {one.name for one in diagnose(run_of(**HEALTHY["relu"]), history)}


def test_rules_at_their_bounds():
    first, last = "layers/1-dense/grad_norm", "layers/2-dense/grad_norm"
    assert found({first: {0: 9e-5}, last: {0: 0.1}}) == {"vanishing_gradient"}
    assert found({first: {0: 9e-5}, last: {0: 0.08}}) == set()
    assert found({first: {0: 2e-4}, last: {0: 1.0}}) == set()
    assert found({first: {0: 70.0}, last: {0: 1.0}}) == set()
    assert found({first: {0: 1.0}, last: {0: 70.1}}) == {"exploding_gradient"}
    assert found({first: {0: 1.0, 1: math.nan}, last: {0: 1.0, 1: 1.0}}) == {"exploding_gradient"}
    assert found({"layers/1-dense/dead": {0: 0.6, 1: 0.5}}) == set()
    assert found({"layers/1-dense/update_ratio": {0: 0.2, 1: 0.05}}) == set()
    assert found({"layers/1-dense/update_ratio": {0: 0.2, 1: 0.11}}) == {"step_size"}
    assert found({PROBE_LOSS: {0: math.log(10) + 0.49}}) == set()
    assert found({PROBE_LOSS: {0: math.log(10) + 0.51}}) == {"initial_loss"}
    assert found({PROBE_LOSS: {0: 2.3, 1: 22.0}}) == set()
    assert found({PROBE_LOSS: {0: 2.3, 1: 23.1}}) == {"diverged"}
