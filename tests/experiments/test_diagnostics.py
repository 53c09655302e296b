"""Every sick network is named, the healthy ones are not; the rules at their bounds, from made-up histories."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from experiments.datasets import Source
from experiments.diagnostics import PROBE_LOSS, RULES, diagnose
from experiments.engine.training import train
from experiments.recording import MemoryRecorder
from experiments.spec import ExperimentSpec

pytestmark = pytest.mark.usefixtures("without_xla")
DENSE = {"hidden": [32, 32], "activation": "relu"}
FEW = {"name": "digits", "train_samples": 300}
HARD = {"name": "random_normal", "stddev": 1.0}
RAW = [
    [250, 10, 5, 0], [240, 30, 0, 9], [255, 0, 12, 3], [10, 245, 20, 0], [0, 230, 15, 8], [22, 255, 0, 1],
    [5, 12, 250, 90], [0, 31, 240, 77], [9, 2, 255, 120], [248, 20, 9, 4], [3, 251, 8, 0], [7, 0, 244, 101],
]  # fmt: skip
INLINE = {"name": "inline", "kind": "classification", "y": [0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 1, 2]}
NORMED = [
    {"type": "dense", "units": 32, "activation": "linear"},
    {"type": "batch_normalization", "momentum": 0.99},
    {"type": "activation", "activation": "relu"},
    {"type": "dense", "units": 10},
]
SICK: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "a deep sigmoid network": (
        "vanishing_gradient", {"model": {"hidden": [8] * 8, "activation": "sigmoid"}},
        {"model.activation": "relu"}, "ReLU or tanh in place of sigmoid",
    ),
    "tiny initial weights": (
        "vanishing_gradient",
        {"model": {"hidden": [8] * 4, "activation": "tanh", "kernel_initializer": {"name": "random_normal", "stddev": 0.01}}},
        {"model.kernel_initializer": "glorot_uniform"}, "Larger initial weights (glorot_uniform for tanh) help",
    ),
    "ReLU with N(0, 1) weights": (
        "initial_loss", {"dataset": FEW, "model": {**DENSE, "kernel_initializer": HARD}},
        {"model.kernel_initializer": "he_normal"}, "Smaller initial weights (he_normal for relu) help",
    ),
    "units that die of N(0, 1) weights": (
        "dead_relu",
        {"dataset": FEW, "model": {**DENSE, "kernel_initializer": HARD}, "optimizer": {"name": "sgd", "learning_rate": 1.0}},
        {"model.kernel_initializer": "he_normal", "optimizer.learning_rate": 0.1},
        "The initial weights of layer",
    ),
    "a bias far below 0": (
        "dead_relu",
        {"model": {"layers": [
            {"type": "dense", "units": 8, "bias_initializer": {"name": "constant", "value": -20.0}},
            {"type": "dense", "units": 10},
        ]}},
        {"model.layers[0].bias_initializer": "zeros"}, "a bias that does not start negative",
    ),
    "saturated tanh": (
        "saturation",
        {"model": {"hidden": [8], "activation": "tanh", "kernel_initializer": {"name": "random_normal", "stddev": 30.0}}},
        {"model.kernel_initializer": "glorot_uniform"}, "Smaller initial weights (glorot_uniform for tanh) help",
    ),
    "tiny steps": (
        "step_size", {"model": {"hidden": [8]}, "optimizer": {"name": "sgd", "learning_rate": 1e-9}},
        {"optimizer.learning_rate": 0.1}, "A larger learning rate",
    ),
    "overshooting": (
        "diverged", {"model": {"hidden": [8]}, "optimizer": {"name": "sgd", "learning_rate": 1e3}},
        {"optimizer.learning_rate": 0.1}, "A smaller learning rate",
    ),
    "too few epochs for its own bound": (
        "not_converged", {"model": {"hidden": [8]}, "training": {"epochs": 2, "stop": {"train_errors": 200}}},
        {"training.epochs": 30}, "More epochs",
    ),
    "equal weights": (
        "identical_units", {"model": {"activation": "tanh", "hidden": [8, 8], "kernel_initializer": {"name": "constant", "value": 0.1}}},
        {"model.kernel_initializer": "glorot_uniform"}, "glorot_uniform",
    ),
    "weights of 0": (
        "identical_units", {"model": {"activation": "tanh", "hidden": [8, 8], "kernel_initializer": "zeros"}},
        {"model.kernel_initializer": "glorot_uniform"}, "No gradient reaches this layer",
    ),
    "a slope of 1000": (
        "unfinished",
        {
            "dataset": {"name": "linear", "samples": 200, "slope": 1000.0, "intercept": 0.0, "noise": 1.0},
            "model": {"layers": [{"type": "dense", "units": 1, "activation": "linear"}]}, "loss": "mse",
            "optimizer": {"name": "rmsprop", "learning_rate": 0.001}, "training": {"epochs": 10, "batch_size": 16},
        },
        {"optimizer.learning_rate": 30.0}, "A larger learning rate helps, or more epochs. The targets go from",
    ),
    "slow moving averages": (
        "batch_norm_unsettled",
        {"dataset": FEW, "model": {"layers": NORMED}, "optimizer": {"name": "adam", "learning_rate": 0.01},
         "training": {"epochs": 10, "batch_size": 300}},
        {"model.layers[1].momentum": 0.5}, "A momentum of at most 0.74",
    ),
    "a sigmoid for targets to 3": (
        "unreachable_targets",
        {"dataset": {"name": "linear", "slope": 3.0}, "loss": "mse", "model": {"layers": [
            {"type": "dense", "units": 8, "activation": "tanh"}, {"type": "dense", "units": 1, "activation": "sigmoid"},
        ]}, "optimizer": {"name": "sgd", "learning_rate": 0.1}},
        {"model.layers[1].activation": "linear"}, "A linear output helps",
    ),
    "inputs to 255": (
        "initial_loss",
        {"dataset": {**INLINE, "x": RAW}, "model": {"activation": "relu", "hidden": [16]},
         "optimizer": {"name": "sgd", "learning_rate": 0.1}, "training": {"epochs": 30, "batch_size": 4}},
        {"dataset.x": [[value / 255 for value in row] for row in RAW]}, "inputs divided by their largest value",
    ),
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
def test_a_sick_network_is_named_and_heals_by_its_advice(name: str) -> None:
    """The diagnosis is made, its sentence holds the advice, and a run that follows it has a lower loss and no diagnosis."""
    diagnosis, document, remedy, advice = SICK[name]
    sick = trained(**document)
    assert diagnosis in names(sick), names(sick)
    sentence = sick.tagged[0][f"gradus.diagnosis.{diagnosis}"]
    assert advice in sentence
    assert "bound" in sentence or "usual" in sentence or "±" in sentence or "too little" in sentence
    healed = trained(**document, sweep={"cases": {"healed": remedy}})
    assert diagnosis not in names(healed), healed.tagged[0][f"gradus.diagnosis.{diagnosis}"]
    before, after = final_loss(sick), final_loss(healed)
    assert math.isfinite(after)
    assert not before <= after


def test_under_trained() -> None:
    """Gradients of thousands, as large as the targets: far from done at a small rate, learned at a large one, and nothing
    explodes."""
    _, document, remedy, _ = SICK["a slope of 1000"]
    for more in ({}, {"sweep": {"cases": {"rate-for-the-scale": remedy}}}):
        recorder = trained(**document, **more)
        assert recorder.history[0]["layers/0-dense/grad_norm"][0] > 70
        assert ("unfinished" in names(recorder)) == (not more)
        assert "exploding_gradient" not in names(recorder)


def final_loss(recorder: MemoryRecorder) -> float:
    """On the data that the run was not trained on, where there are any."""
    key = next(key for key in ("val/loss", "test/loss", "train/loss") if key in recorder.history[0])
    series = recorder.history[0][key]
    return float(series[max(series)])


def test_the_table_in_the_docs_is_the_table_of_rules() -> None:
    text = (Path(__file__).parents[2] / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.when} | {rule.source} |".replace("  ", " ") in text, rule.name


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
    diagnoses = [{key[17:] for key in recorder.tagged[lane] if "diagnosis" in key} for lane in range(3)]
    assert diagnoses[0] == {"step_size"}
    assert diagnoses[1] == set()
    assert "diverged" in diagnoses[2]


def test_off_measures_nothing() -> None:
    recorder = trained(**HEALTHY["relu"], diagnostics="off")
    assert not [key for key in recorder.history[0] if key.startswith("layers/")]


def diagnosed(history: Any) -> Any:
    return {diagnosis.name for diagnosis in diagnose(run_of(**HEALTHY["relu"]), history)}


def test_rules_at_their_bounds() -> None:
    first, last = "layers/1-dense/grad_norm", "layers/2-dense/grad_norm"
    assert diagnosed({first: {0: 9e-5}, last: {0: 0.1}}) == {"vanishing_gradient"}
    assert diagnosed({first: {0: 9e-5}, last: {0: 0.08}}) == set()
    assert diagnosed({first: {0: 2e-4}, last: {0: 1.0}}) == set()
    assert diagnosed({first: {0: 70.0}, last: {0: 1.0}}) == set()
    assert diagnosed({first: {0: 1.0}, last: {0: 70.1}}) == {"exploding_gradient"}
    assert diagnosed({first: {0: 70.1, 1: 5.0}, last: {0: 1.0, 1: 1.0}}) == set(), "a steep start"
    assert diagnosed({first: {0: 70.1, 1: 5.0, 2: 70.1}, last: {0: 1.0, 1: 1.0, 2: 1.0}}) == {
        "exploding_gradient"
    }
    assert diagnosed({first: {0: 1.0, 1: math.nan}, last: {0: 1.0, 1: 1.0}}) == {"exploding_gradient"}
    assert diagnosed({"train/loss": {2: 0.5}, "train/errors": {2: 7}}) == set(), "nothing was asked for"
    stop = {"error": 0.1, "train_errors": 3}
    asked = run_of(**HEALTHY["relu"] | {"training": {"epochs": 2, "stop": stop}})
    missed: dict[str, dict[int, float]] = {"train/loss": {1: 0.1, 2: 0.2}, "train/errors": {1: 3, 2: 4}}
    assert [diagnosis.name for diagnosis in diagnose(asked, missed)] == ["not_converged"]
    assert "2 epochs did not meet training.stop.error, at most 0.1. " in diagnose(asked, missed)[0].sentence
    assert (
        "In epoch 2 the mean loss was 0.2, counted while the weights" in diagnose(asked, missed)[0].sentence
    )
    assert diagnose(asked, missed | {"train/errors": {2: 3}}) == [], "one of the two is enough"
    assert diagnosed({"layers/1-dense/dead": {0: 0.6, 1: 0.5}}) == set()
    assert diagnosed({"layers/1-dense/update_ratio": {0: 0.2, 1: 0.05}}) == set()
    assert diagnosed({"layers/1-dense/update_ratio": {0: 0.2, 1: 0.11}}) == {"step_size"}
    assert diagnosed({"layers/1-dense/update_ratio": {0: 0.0, 1: 0.0}}) == set(), (
        "no gradient: not for its rate"
    )
    assert diagnosed({PROBE_LOSS: {0: math.log(10) + 0.49}}) == set()
    assert diagnosed({PROBE_LOSS: {0: math.log(10) + 0.51}}) == {"initial_loss"}
    two = run_of(dataset="xor", model={"layers": [{"type": "dense", "units": 1}]}, loss="binary_crossentropy")
    assert diagnose(two, {PROBE_LOSS: {0: math.log(2) + 0.49}}) == []
    (off,) = diagnose(two, {PROBE_LOSS: {0: math.log(2) + 0.51}})
    assert off.name == "initial_loss"
    assert "guessing among 2 answers costs ln 2 = 0.693" in off.sentence
    assert diagnosed({PROBE_LOSS: {0: 2.3, 1: 22.0}}) == set()
    assert diagnosed({PROBE_LOSS: {0: 2.3, 1: 23.1}}) == {"diverged"}
    assert diagnosed({PROBE_LOSS: {0: 2.3, 1: 2.2}, "train/loss": {1: 60.0}, "test/loss": {1: 50.0}}) == set()
    for key in (PROBE_LOSS, "train/loss", "val/loss", "test/loss"):
        assert diagnosed({PROBE_LOSS: {0: 2.3}, key: {0: 2.3, 1: math.nan}}) == {"diverged"}


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
    "vanishing_gradient": {**SICK["a deep sigmoid network"][1], "training": {"epochs": 3}},
    "initial_loss": {**SICK["ReLU with N(0, 1) weights"][1], "training": {"epochs": 3}},
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


TWO_STEPS = {"type": "reshape", "target_shape": [2, 32]}
"""An image as two steps of 32 numbers: a graph holds every step."""
RECURRENT = {
    kind: {"model": {"layers": [TWO_STEPS, {"type": kind, "units": 6}, {"type": "dense", "units": 10}]}}
    for kind in ("simple_rnn", "lstm", "gru")
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_are_measured_in_every_lane(kind: str) -> None:
    """A state of tanh lies in (−1, 1): its mean too, and its deviation is below 1; lanes differ by their seed."""
    recorder = MemoryRecorder()
    specs = [run_of(**RECURRENT[kind], training={"epochs": 1}, seed=seed) for seed in (0, 1)]
    train(specs, recorder, lambda lane: None, source=Source())
    deviations = [recorder.history[lane][f"layers/1-{kind}/std"][0] for lane in (0, 1)]
    assert all(0 < value < 1 for value in deviations)
    assert deviations[0] != deviations[1]
    assert recorder.history[0][f"layers/1-{kind}/saturated"][0] == 0
    assert names(recorder) == set()


def test_a_saturated_recurrent_layer_is_named() -> None:
    layers = [
        {"type": "simple_rnn", "units": 8, "kernel_initializer": {"name": "random_normal", "stddev": 50.0}},
        {"type": "dense", "units": 10},
    ]
    assert "saturation" in names(trained(model={"layers": layers}))
