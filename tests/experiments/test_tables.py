"""The tables against the installed Keras: nothing is missing, names and defaults agree, stated facts are
true.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter, ValidationError

from experiments.activations import ACTIVATIONS, Activation
from experiments.catalog import catalog
from experiments.engine.models import FUNCTIONS
from experiments.initializers import INITIALIZERS
from experiments.layers import LAYERS
from experiments.losses import LOSSES
from experiments.metrics import METRICS
from experiments.optimizers import OPTIMIZERS, REFUSED_FIELDS, OptimizerSpec
from experiments.regularizers import REGULARIZERS
from experiments.schedules import SCHEDULES

ELEMENTWISE = [row for row in ACTIVATIONS.values() if row.keras_name and not row.joint]
GRID = np.linspace(-30, 30, 600_001)  # a step of 1e-4


def values(row: Activation, z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    function = getattr(keras.activations, str(row.keras_name))
    return np.asarray(keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(z, "float64"))))


def defaults(function: Any) -> dict[str, Any]:
    return {
        name: p.default
        for name, p in inspect.signature(function).parameters.items()
        if name not in ("self", "kwargs")
    }


def test_every_activation_of_keras_is_there() -> None:
    functions = {n for n in dir(keras.activations) if not n.startswith("_")} - {
        "get",
        "serialize",
        "deserialize",
    }
    left_out = {"glu", "threshold", "swish", "hard_swish"}
    assert functions - left_out - set(FUNCTIONS) == {
        row.keras_name for row in ACTIVATIONS.values() if row.keras_name
    }
    assert functions - left_out <= set(ACTIVATIONS)
    assert {row.name for row in ACTIVATIONS.values() if row.keras_name is None} == set(FUNCTIONS)


SIMPLEX = {
    "two, by hand: τ = (0.8 − 1)/2": ([0.5, 0.3], [0.6, 0.4]),
    "one alone": ([2.0, 0.0], [1.0, 0.0]),
    "the third is cut off: τ = (0.9 − 1)/2": ([-1.0, 0.4, 0.5], [0.0, 0.45, 0.55]),
    "all equal": ([7.0, 7.0, 7.0, 7.0], [0.25, 0.25, 0.25, 0.25]),
    "on the simplex already": ([0.2, 0.5, 0.3], [0.2, 0.5, 0.3]),
}


@pytest.mark.parametrize("name", SIMPLEX)
def test_sparsemax_by_hand(name: str) -> None:
    z, expected = SIMPLEX[name]
    result = FUNCTIONS["sparsemax"](keras.ops.convert_to_tensor([z, z], "float64"))
    np.testing.assert_allclose(np.asarray(result), [expected, expected], atol=1e-15)


def test_kerass_sparsemax_is_no_distribution() -> None:
    """Why there is our own (docs/errata.md). Where this fails, Keras has been mended and ours can go."""
    result = np.asarray(keras.activations.sparsemax(keras.ops.convert_to_tensor([[0.5, 0.3]], "float64")))
    np.testing.assert_allclose(result, [[0.35, 0.15]], atol=1e-12)


def test_keras_squares_each_occurrence_of_a_token_apart() -> None:
    """Why an embedding under Adam does not end where keras.fit ends on TensorFlow (docs/errata.md): a token that comes twice,
    with the gradients 1 and 3, has the gradient 4 and the square 16, for which Keras takes 1 + 9. Where this fails, Keras
    has been mended."""
    ends = []
    for whole in (False, True):
        row = keras.Variable(np.zeros((1, 1)))
        optimizer = keras.optimizers.Adagrad(1.0, initial_accumulator_value=0.0, epsilon=0.0)
        optimizer.build([row])
        slices = tf.IndexedSlices(tf.constant([[1.0], [3.0]]), tf.constant([0, 0]), tf.constant([1, 1]))
        optimizer.apply([tf.convert_to_tensor(slices) if whole else slices], [row])
        ends.append(float(row.numpy()[0, 0]))
    assert ends == pytest.approx([-4 / 10**0.5, -1.0])


@pytest.mark.parametrize(
    ("activation", "loss", "fused"),
    [("softmax", "BinaryCrossentropy", "sigmoid"), ("sigmoid", "CategoricalCrossentropy", "softmax")],
)
def test_kerass_losses_look_behind_the_outputs(activation: str, loss: str, fused: str) -> None:
    """Why these pairs are refused: Keras' loss of the outputs is not the loss of their values."""
    z, t = keras.ops.convert_to_tensor([[1.0, -0.5, 0.3]], "float64"), np.array([[0.0, 1.0, 0.0]])
    y = getattr(keras.activations, activation)(z)
    function = getattr(keras.losses, loss)(dtype="float64")
    behind = function(t, getattr(keras.activations, fused)(z))
    assert float(function(t, y)) == pytest.approx(float(behind), rel=1e-12)
    assert abs(float(function(t, y)) - float(function(t, np.asarray(y)))) > 0.01


@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row.name)
def test_activation_range_and_derivative_bound(row: Activation) -> None:
    f = values(row, GRID)
    assert f.min() >= row.low - 1e-8
    assert f.max() <= row.high + 1e-8
    jumps = np.zeros(len(GRID) - 1, bool)
    if row.smoothness == "jump":
        jumps = np.any([np.abs(GRID[:-1] - kink) < 2e-4 for kink in row.kinks], axis=0)
    slope = np.abs(np.diff(f) / np.diff(GRID))[~jumps]
    if np.isfinite(row.derivative_bound):
        assert slope.max() <= row.derivative_bound * (1 + 1e-6) + 1e-7
        assert slope.max() >= row.derivative_bound * 0.998, "the bound is the least one"
    else:
        assert slope.max() > 1e9
    if np.isfinite(row.low):
        reached = values(row, np.array([-1e6, -60.0])).min()
        assert min(f.min(), reached) <= row.low + 1e-4


@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row.name)
def test_activation_kinks_are_all_and_only_the_stated_ones(row: Activation) -> None:
    h = 1e-5
    z = np.unique(np.concatenate([np.arange(-80, 81) / 8, np.array(row.kinks)]))
    right = (values(row, z + h) - values(row, z)) / h
    left = (values(row, z) - values(row, z - h)) / h
    scale = np.maximum(1.0, np.abs(values(row, z)))
    kinks = z[np.abs(right - left) > 1e-3 * scale]
    assert set(kinks) == set(row.kinks)
    assert (row.smoothness in ("C0", "jump")) == bool(row.kinks)


def test_step_is_declared_with_its_surrogate() -> None:
    step = ACTIVATIONS["step"]
    assert (step.smoothness, step.kinks, step.derivative_bound) == ("jump", (0.0,), 1.0)
    assert step.keras_name is None


def keras_classes(module: Any) -> dict[str, Any]:
    return {n: o for n, o in vars(module).items() if inspect.isclass(o)}


def test_every_optimizer_of_keras_is_there() -> None:
    classes = set(keras_classes(keras.optimizers)) - {
        "Optimizer",
        "MultiOptimizer",
        "OptimizerMap",
        "LossScaleOptimizer",
    }
    assert classes == {entry.keras_name for entry in OPTIMIZERS.values()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_has_keras_arguments_and_defaults(name: str) -> None:
    entry = OPTIMIZERS[name]
    theirs = defaults(getattr(keras.optimizers, entry.keras_name).__init__)
    choices = set(theirs) - set(REFUSED_FIELDS) - {"name", "exclude_layers", "exclude_embeddings"}
    ours = entry.model_validate({"name": name})
    assert set(ours.arguments()) == choices
    for field in choices:
        assert getattr(ours, field) == theirs[field], field
    assert choices >= entry.NUMERIC
    getattr(keras.optimizers, entry.keras_name)(**ours.arguments())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("field", ["use_ema", "gradient_accumulation_steps"])
def test_what_cannot_be_a_choice_is_refused(name: str, field: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(OptimizerSpec).validate_python({"name": name, field: 2})


def test_every_loss_of_keras_is_there() -> None:
    classes = set(keras_classes(keras.losses)) - {"Loss", "CTC"}
    assert classes == {entry.keras_name for entry in LOSSES.values() if entry.keras_name}
    assert [name for name, entry in LOSSES.items() if entry.keras_name is None] == ["half_squared_error"]


@pytest.mark.parametrize("name", [name for name, entry in LOSSES.items() if entry.keras_name])
def test_loss_has_keras_arguments_and_defaults(name: str) -> None:
    entry = LOSSES[name]
    theirs = defaults(getattr(keras.losses, str(entry.keras_name)).__init__)
    choices = set(theirs) - {"name", "dtype", "reduction", "axis"}
    ours = entry.model_validate({"name": name})
    assert set(ours.arguments()) == choices
    assert all(getattr(ours, field) == theirs[field] for field in choices)
    getattr(keras.losses, str(entry.keras_name))(**ours.arguments())


def test_every_initializer_of_keras_is_there() -> None:
    classes = {o.__name__ for o in keras_classes(keras.initializers).values()} - {"Initializer", "STFT"}
    assert classes == {entry.keras_name for name, entry in INITIALIZERS.items() if name != "auto"}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializer_builds(name: str) -> None:
    entry = INITIALIZERS[name]
    ours = entry.model_validate({"name": name})
    theirs = defaults(getattr(keras.initializers, entry.keras_name).__init__)
    assert all(theirs[field] == value for field, value in ours.arguments().items())
    built = keras.initializers.get(ours.keras_config())
    assert built(shape=(4, 4)).shape == (4, 4)


def test_every_regularizer_of_keras_is_there() -> None:
    classes = {o.__name__ for o in keras_classes(keras.regularizers).values()} - {"Regularizer"}
    assert classes == {entry.keras_name for entry in REGULARIZERS.values()}


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizer_builds(name: str) -> None:
    ours = REGULARIZERS[name].model_validate({"name": name})
    theirs = defaults(getattr(keras.regularizers, ours.keras_name).__init__)
    assert all(theirs[field] == value for field, value in ours.arguments().items())
    keras.regularizers.get(ours.keras_config())


def test_every_schedule_of_keras_is_there() -> None:
    classes = {o.__name__ for o in keras_classes(keras.optimizers.schedules).values()} - {
        "LearningRateSchedule"
    }
    assert classes == {entry.keras_name for entry in SCHEDULES.values()}


NEEDED: dict[str, dict[str, Any]] = {
    "dense": {"units": 3}, "conv2d": {"filters": 2, "kernel_size": 3}, "dropout": {"rate": 0.5},
    "separable_conv2d": {"filters": 2, "kernel_size": 3}, "depthwise_conv2d": {"kernel_size": 3},
    "conv2d_transpose": {"filters": 2, "kernel_size": 3}, "conv1d": {"filters": 2, "kernel_size": 3},
    "embedding": {"input_dim": 5, "output_dim": 2}, "multi_head_attention": {"num_heads": 2, "key_dim": 3},
    "reshape": {"target_shape": [4]}, "simple_rnn": {"units": 2}, "lstm": {"units": 2}, "gru": {"units": 2},
    "activation": {"activation": "relu"}, "batch_normalization": {"axis": -1}, "layer_normalization":
    {"axis": -1},
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [n for n, entry in LAYERS.items() if entry.keras_name and n != "stochastic_pool2d"]
)
def test_layer_builds_with_keras_argument_names(name: str) -> None:
    layer = LAYERS[name].model_validate({"type": name, **NEEDED.get(name, {})})
    built = getattr(keras.layers, layer.keras_name)(**layer.arguments("channels_last"))
    theirs = defaults(type(built).__init__)
    for field, value in layer.arguments("channels_last").items():
        if value is not None and field not in ("data_format", "kernel_size", "target_shape", "pool_size"):
            given = field in NEEDED.get(name, {})
            assert given or theirs[field] in (value, (value, value), None), field


def test_catalog_is_plain_and_complete() -> None:
    tables = catalog()
    assert {kind: len(entries) for kind, entries in tables.items()} == {
        "activations": len(ACTIVATIONS), "optimizers": len(OPTIMIZERS), "layers": len(LAYERS),
        "losses": len(LOSSES), "metrics": len(METRICS), "datasets": 21, "initializers": len(INITIALIZERS),
        "regularizers": len(REGULARIZERS), "schedules": len(SCHEDULES),
    }  # fmt: skip
    for entries in tables.values():
        for entry in entries:
            assert entry["name"]
            assert entry["formula"]
            assert entry["reference"]
            assert entry["schema"]
