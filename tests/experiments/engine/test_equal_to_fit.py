"""The condition for speed: a lane is the same experiment as keras.fit, for every entry of the tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.activations import ACTIVATIONS
from experiments.datasets import Source
from experiments.engine import models
from experiments.losses import LOSSES
from experiments.optimizers import OPTIMIZERS
from experiments.randomness import data_order
from experiments.schedules import SCHEDULES
from tests.experiments.engine.conftest import ONE_GROUP

WITHIN = 1e-9
BY_HAND = {"schedule_free_adamw"}
"""Keras' stateful update reads this optimizer's z after it was changed where the formula wants the z
before; the stateless one does not. So it is compared with the formula, below, and not with `fit`."""
WITH_FIT = [name for name in OPTIMIZERS if name not in BY_HAND]
FEW_UPDATES = {
    "dataset": {"name": "digits", "train_samples": 32, "validation_split": 0.0},
    "training": {"epochs": 2, "batch_size": 16},
}
"""4 updates in one shape of batch: what is compiled once is enough to tell a wrong update. 210 are in `make test-slow`."""
ONE_LAYER = {**FEW_UPDATES, "model": {"hidden": []}}
"""A kernel and a bias: an optimizer treats the variables of further layers alike."""
TWO_EPOCHS = {
    "dataset": {"name": "digits", "train_samples": 37, "validation_split": 0.0},
    "training": {"epochs": 2, "batch_size": 16},
}
"""6 updates; the last batch of an epoch has 5 samples."""
SIZES = [pytest.param(TWO_EPOCHS, id="few"), pytest.param({}, id="210", marks=pytest.mark.slow)]
OPTIMIZER_SIZES = [pytest.param(ONE_LAYER, id="few"), pytest.param({}, id="210", marks=pytest.mark.slow)]
RATE = {"sgd": 0.1, "adadelta": 1.0, "ftrl": 0.1, "adagrad": 0.05}
OTHER = {  # another value for a numeric setting, where a tenth less will not do
    "beta_2_decay": -0.7, "learning_rate_power": -0.4, "momentum": 0.8, "warmup_steps": 30,
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def plain_graph_of_few(size: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """A few updates are made by plain graphs: XLA takes longer than they do. 210 updates are compiled by it, and so are
    numeric settings of optimizers and most kinds of networks below."""
    if size is ONE_LAYER:
        request.getfixturevalue("without_xla")


def varied(name: str) -> dict[str, Any]:
    """The optimizer with every per-lane number changed that is not 0 (0 is another program)."""
    chosen: Any = OPTIMIZERS[name]
    entry = chosen(learning_rate=RATE.get(name, 0.01))
    numbers = {field: getattr(entry, field) for field in sorted(entry.numeric)}
    changed = {field: OTHER.get(field, 0.9 * value) for field, value in numbers.items() if value}
    return {"name": name, **changed}


def plain(name: str) -> dict[str, Any]:
    return {"name": name, "learning_rate": RATE.get(name, 0.01)}


@pytest.mark.usefixtures("plain_graph_of_few")
@pytest.mark.parametrize("size", OPTIMIZER_SIZES)
@pytest.mark.parametrize("name", WITH_FIT)
def test_every_optimizer_as_lanes_with_their_own_numbers(
    name: str, size: dict[str, Any], specs: Any, same_as_fit: Any
) -> None:
    """In one group; lanes of two groups are below, and all optimizers in them in `make test-slow`."""
    tile = [*specs(optimizer=plain(name), **size), *specs(optimizer=varied(name), **size)]
    assert len({spec.program_key() for spec in tile}) == 1
    same_as_fit(tile, WITHIN)


def test_schedule_free_adamw_is_its_formula(specs: Any, engine: Any, tmp_path: Any) -> None:
    """Defazio et al. 2024: z := z - η g / (sqrt(v / (1 - β2^t)) + ε); x := (1 - 1/t) x + z/t; y := (1 - β1)
    z + β1 x."""
    (spec,) = specs(
        dataset={"name": "linear"}, model={"hidden": []}, training={"epochs": 20, "batch_size": 16},
        optimizer={"name": "schedule_free_adamw", "learning_rate": 0.05},
    )  # fmt: skip
    x, t = (part[:, 0] for part in models.arrays(spec, spec.dataset.load(Source()))["train"])
    beta_1, beta_2, epsilon = (
        float(np.float32(value)) for value in (0.9, 0.999, 1e-8)
    )  # as ops.cast rounds them
    rate = 0.05
    y = np.asarray(
        [float(np.asarray(v.numpy()).flat[0]) for v in models.build(spec).variables]
    )  # (slope, intercept)
    z, averaged, v, step = y.copy(), y.copy(), np.zeros(2), 0
    for epoch in range(20):
        order = data_order(spec.seed, epoch, len(x))
        for start in range(0, len(x), 16):
            rows = order[start : start + 16]
            error = y[0] * x[rows] + y[1] - t[rows]
            gradient = 2 * np.asarray([np.mean(error * x[rows]), np.mean(error)])
            step += 1
            v += (gradient**2 - v) * (1 - beta_2)
            z = z - rate * gradient / (np.sqrt(v / (1 - beta_2**step)) + epsilon)
            averaged = (1 - 1 / step) * averaged + z / step
            y = (1 - beta_1) * z + beta_1 * averaged
    assert step == 180 or step == 200
    slope, intercept = engine([spec]).weights(0, tmp_path)
    np.testing.assert_allclose([slope[0, 0], intercept[0]], y, atol=WITHIN, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("name", WITH_FIT)
def test_every_optimizer_over_200_updates(name: str, activation: str, specs: Any, same_as_fit: Any) -> None:
    model = {"hidden": [12], "activation": activation}
    tile = specs(optimizer=plain(name), model=model, seeds=2)
    same_as_fit(tile, WITHIN)


def slow(*values: Any) -> list[Any]:
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.mark.parametrize("size", OPTIMIZER_SIZES)
@pytest.mark.parametrize(
    "setting",
    [
        {"momentum": 0.9, "nesterov": True, "clipnorm": 0.1, "weight_decay": 0.01},
        *slow(
            {"momentum": 0.9},
            {"ascend": True},
            {"weight_decay": 0.01},
            {"global_clipnorm": 0.1},
            {"clipvalue": 0.01},
        ),
    ],
)
def test_optimizer_settings(
    setting: dict[str, Any], size: dict[str, Any], specs: Any, same_as_fit: Any
) -> None:
    other = {name: value if value is True else value * 0.7 for name, value in setting.items()}
    tile = [
        *specs(optimizer={"name": "sgd", "learning_rate": 0.1, **setting}, **size),
        *specs(optimizer={"name": "sgd", "learning_rate": 0.05, **other}, first=1, **size),
    ]
    assert len({spec.program_key() for spec in tile}) == 1
    same_as_fit(tile, WITHIN)


@pytest.mark.usefixtures("plain_graph_of_few")
@pytest.mark.parametrize("size", OPTIMIZER_SIZES)
@pytest.mark.parametrize(
    "setting", [{"name": "rmsprop", "centered": True, "momentum": 0.5}, *slow({"amsgrad": True})]
)
def test_structural_settings(
    setting: dict[str, Any], size: dict[str, Any], specs: Any, same_as_fit: Any
) -> None:
    optimizer = {"name": "adam", "learning_rate": 0.01, **setting}
    same_as_fit(specs(optimizer=optimizer, seeds=2, **size), WITHIN)


NUMBERS = {
    "initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.5, "boundaries": [40, 100],
    "values": [0.1, 0.05, 0.01], "first_decay_steps": 30,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule(name: str, specs: Any, same_as_fit: Any) -> None:
    fields = {field: NUMBERS[field] for field in SCHEDULES[name].model_fields if field in NUMBERS}
    same_as_fit(specs(optimizer={"name": "sgd", "learning_rate": {"name": name, **fields}}, seeds=2), 1e-7)


KINDS: dict[str, dict[str, Any]] = {
    "kinked mlp": {"model": {"hidden": [12, 8], "activation": "relu"}},
    "batch normalisation": {"model": {"activation": "tanh", "layers": [
        {"type": "dense", "units": 12}, {"type": "batch_normalization"}, {"type": "dense", "units": 10}]}},
    "layer normalisation": {"model": {"activation": "tanh", "layers": [
        {"type": "dense", "units": 12}, {"type": "layer_normalization"}, {"type": "dense", "units": 10}]}},
    "recurrent": {"model": {"layers": [{"type": "simple_rnn", "units": 6}, {"type": "dense", "units": 10}]}},
    "lstm": {"model": {"layers": [{"type": "lstm", "units": 5}, {"type": "dense", "units": 10}]}},
    "gru": {"model": {"layers": [{"type": "gru", "units": 5}, {"type": "dense", "units": 10}]}},
    "regularised": {"model": {"hidden": [12], "activation": "tanh", "kernel_regularizer":
                              {"name": "l1_l2", "l1": 0.001, "l2": 0.01}}},
    "regression": {"dataset": {"name": "linear"}, "model": {"hidden": []}},
    "sine": {"dataset": {"name": "sine"}, "model": {"hidden": [8], "activation": "tanh"}},
    "perceptron": {"dataset": {"name": "and"}, "model": {"layers": [
                       {"type": "dense", "units": 1, "activation": "step"}]},
                   "loss": "half_squared_error", "training": {"epochs": 20, "batch_size": 1}},
}  # fmt: skip


QUICK = ("kinked mlp", "batch normalisation", "recurrent", "regression", "perceptron")
PLAIN = ("batch normalisation", "recurrent")
"""Their few updates are made by plain graphs: XLA takes longest for these."""
FEWER: dict[str, dict[str, Any]] = {
    "kinked mlp": {"model": {"hidden": [8], "activation": "relu"}},
    "recurrent": {
        "dataset": {"name": "stripes", "height": 3, "width": 4, "samples": 46, "validation_split": 0.0},
        "model": {"layers": [{"type": "simple_rnn", "units": 6}, {"type": "dense", "units": 2}]},
    },
    "regression": {"dataset": {"name": "linear", "samples": 46, "validation_split": 0.0}},
    "perceptron": {"training": {"epochs": 2, "batch_size": 1}},
}
"""What is smaller in the few updates: 3 steps of a recurrent layer instead of 8, no more than 8 updates."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [*QUICK, *slow(*(kind for kind in KINDS if kind not in QUICK))])
def test_kinds_of_networks(
    kind: str, size: dict[str, Any], specs: Any, same_as_fit: Any, request: pytest.FixtureRequest
) -> None:
    if kind in PLAIN and size is TWO_EPOCHS:
        request.getfixturevalue("without_xla")
    slowly = {"name": "sgd", "learning_rate": 0.03}  # rounding grows along a steep path
    fewer = FEWER.get(kind, {}) if size is TWO_EPOCHS else {}
    same_as_fit(specs(**{"optimizer": slowly, **size, **KINDS[kind], **fewer}, seeds=2), WITHIN)


CONVOLUTIONS: dict[str, list[dict[str, Any]]] = {
    "valid": [{"type": "conv2d", "filters": 3, "kernel_size": 3}, {"type": "max_pool2d"}],
    "same": [{"type": "zero_padding2d"},
             {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same"},
             {"type": "average_pool2d"}],
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["same", *slow("valid")])
def test_convolutions_at_width_one(kind: str, size: dict[str, Any], specs: Any, same_as_fit: Any) -> None:
    layers = [*CONVOLUTIONS[kind], {"type": "flatten"}, {"type": "dense", "units": 10}]
    optimizer = {"name": "adam", "learning_rate": 0.01}
    tile = specs(model={"activation": "relu", "layers": layers}, optimizer=optimizer, **size)
    assert tile[0].max_width() == 1
    same_as_fit(tile, WITHIN)


@pytest.mark.slow
def test_sparsemax_at_width_one(specs: Any, same_as_fit: Any) -> None:
    tile = specs(model={"hidden": [6], "activation": "sparsemax"})
    assert tile[0].max_width() == 1
    same_as_fit(tile, WITHIN)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in ("softmax", "log_softmax")])
def test_every_activation(name: str, specs: Any, same_as_fit: Any) -> None:
    tile = specs(model={"hidden": [8], "activation": name}, optimizer={"name": "adam"}, seeds=2)[
        : 2 if ACTIVATIONS[name].vectorizable else 1
    ]
    same_as_fit(tile, WITHIN)


def task_for(name: str) -> dict[str, Any]:
    """A data set and an output that the loss fits."""
    loss = LOSSES[name]
    if loss.any_units:
        embedding = [{"type": "dense", "units": 4}, {"type": "unit_normalization"}]
        return {"model": {"layers": embedding, "activation": "linear"}}
    if "regression" in loss.kinds and loss.wants == "any" and not loss.two_units:
        return {"dataset": {"name": "diabetes"}, "model": {"hidden": [6], "activation": "tanh"}}
    return {"model": {"hidden": [8], "activation": "tanh"}}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name: str, specs: Any, same_as_fit: Any) -> None:
    same_as_fit(specs(loss=name, optimizer={"name": "adam"}, seeds=2, **task_for(name)), 1e-8)


def test_one_update_in_float32(specs: Any, fit: Any, engine: Any, tmp_path: Any) -> None:
    import keras

    keras.config.set_floatx("float32")
    tile = specs(
        sweep=ONE_GROUP, optimizer="adam", training={"epochs": 1, "batch_size": 16},
        dataset={"name": "digits", "train_samples": 16, "validation_split": 0.0},
    )  # fmt: skip
    trained = engine(tile)
    for lane, spec in enumerate(tile):
        for ours, theirs in zip(trained.weights(lane, tmp_path), fit(spec)[0].weights, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5, rtol=0)
