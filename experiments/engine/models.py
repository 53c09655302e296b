"""RunSpec -> keras.Model and its loss; a data set as the arrays that they take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from experiments.activations import ActivationChoice
from experiments.activations import activation as known
from experiments.datasets import Data
from experiments.engine import backend, lane_numbers
from experiments.engine.initial_weights import (
    Draw,
    in_order_of,
    initial_weights,
    noting_draws,
    with_given,
)
from experiments.keras_ext import attention, convolution, formulas, functions, noise, pooling, sequences
from experiments.layers import Layer, Recurrent, Weighted
from experiments.losses import Loss
from experiments.networks import INPUT
from experiments.runs import RunSpec

Array = npt.NDArray[Any]
Wiring = Sequence[Sequence[int]]
OURS: dict[str, type[keras.layers.Layer]] = {
    "Attention": attention.Attention,
    "Conv2D": convolution.Conv2D,
    "Conv2DTranspose": convolution.Conv2DTranspose,
    "DepthwiseConv2D": convolution.DepthwiseConv2D,
    "MultiHeadAttention": attention.MultiHeadAttention,
    "Reverse": sequences.Reverse,
    "SeparableConv2D": convolution.SeparableConv2D,
    "Dropout": noise.Dropout,
    "StochasticPool2D": pooling.StochasticPool2D,
}
"""Layers that stand for Keras' own, or that Keras lacks."""
FUNCTIONS: dict[str, Callable[[Any], Any]] = {"step": functions.step, "sparsemax": functions.sparsemax}
"""Activations that Keras lacks or gets wrong."""
EXACT: dict[str, Callable[[Any], Any]] = {"leaky_relu": functions.leaky_relu, "gelu": functions.gelu}
"""Activations of which Keras rounds a constant on TensorFlow, without that (`lane_numbers.exactly`)."""
LOSSES: dict[str, type[keras.losses.Loss]] = {
    "half_squared_error": functions.HalfSquaredError,
    "hinge": functions.Hinge,
    "squared_hinge": functions.SquaredHinge,
}
"""Losses that stand for Keras' own, or that Keras lacks."""


def build(spec: RunSpec, *, seed: int | None = None, dtype: str | None = None) -> keras.Model:
    """The network of a run with its initial weights.

    Args:
        spec: the run. Layer i of the network is called `<i>-<type>`.
        seed: of the weights; default: the run's own.
        dtype: of weights and arithmetic; default: Keras' floatx.
    """
    model, draws = blank(spec, dtype)
    for draw, value in zip(draws, initial_weights(draws, spec.seed if seed is None else seed), strict=True):
        draw.variable.assign(value)
    return model


def blank(spec: RunSpec, dtype: str | None = None) -> tuple[keras.Model, list[Draw]]:
    """The network of a run with weights of 0, and how each of them is drawn, in the order of `model.variables`."""
    shape = spec.data_shape.formatted(spec.model.data_format)
    layers = [
        layer(entry, name, spec.model.data_format, dtype)
        for entry, name in zip(spec.model.layers, spec.model.names, strict=True)
    ]
    inputs = keras.Input(shape, dtype=dtype or keras.config.floatx())
    with noting_draws(layers) as draws:
        if spec.model.inputs:
            model: keras.Model = Network(layers, spec.model.inputs, inputs)
        else:
            model = keras.Sequential([inputs, *layers], name="network")
    draws = in_order_of(model.variables, draws)
    given = {
        index: layer.weights for index, layer in enumerate(spec.model.layers) if isinstance(layer, Weighted)
    }
    return model, with_given(
        draws, {index: weights for index, weights in given.items() if weights is not None}
    )


class Network(keras.Model):  # type: ignore[misc]
    """Layers of which each reads those that the wiring says. Final.

    Its layers and weights stand in the order of `ModelSpec.layers`, as those of a Sequential do; Keras' own model with
    branches puts them in another.

    Args:
        layers: one Keras layer for each of the network.
        wiring: `ModelSpec.inputs`.
        inputs: a symbolic tensor for the input, with which the layers are built.
    """

    def __init__(self, layers: Sequence[keras.layers.Layer], wiring: Wiring, inputs: Any) -> None:
        super().__init__(name="network")
        self.parts, self.wiring = list(layers), wiring
        connected(wiring, [[layer] for layer in layers], inputs)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        called = [
            [partial(layer, training=training) if layer._call_has_training_arg else layer]
            for layer in self.parts
        ]
        return connected(self.wiring, called, inputs)


def connected(wiring: Wiring, parts: Sequence[Sequence[Callable[[Any], Any]]], inputs: Any) -> Any:
    """The network's output.

    Args:
        wiring: `ModelSpec.wiring`.
        parts: of each layer what stands for it: functions of a tensor, one after the other. A layer that reads several
            others gets a list.
        inputs: a tensor, symbolic or not.
    """
    outputs: list[Any] = []
    for sources, functions_of_layer in zip(wiring, parts, strict=True):
        read = [inputs if source == INPUT else outputs[source] for source in sources]
        value = read[0] if len(read) == 1 else read
        for function in functions_of_layer:
            value = function(value)
        outputs.append(value)
    return outputs[-1]


def count_parameters(model: keras.Model) -> int:
    """Weights of a built network, trainable or not. Whole numbers are none: they are the state of a generator."""
    return sum(int(np.prod(v.shape)) for v in model.weights if keras.backend.is_float_dtype(v.dtype))


def layer(entry: Layer, name: str, data_format: Any, dtype: str | None = None) -> keras.layers.Layer:
    """One entry of the table as a Keras layer."""
    values = entry.arguments(data_format)
    for field in ("activation", "recurrent_activation"):
        if field in values:
            values[field] = activation(getattr(entry, field))
    if isinstance(entry, Recurrent):
        values["unroll"] = (
            True  # the list of outputs that a loop over the steps fills cannot be mapped over lanes
        )
    known = OURS.get(entry.keras_name)
    cls = known if known is not None else getattr(keras.layers, entry.keras_name)
    return cls(**values, name=name, dtype=dtype)


def activation(choice: ActivationChoice) -> Callable[[Any], Any]:
    """The function of an entry of the activation table, or of a formula."""
    entry = known(choice)
    if entry.study is not None:
        return formulas.function(entry.formula)
    if backend.name == "tensorflow" and not lane_numbers.rounds() and entry.name in EXACT:
        return EXACT[entry.name]
    return FUNCTIONS[entry.name] if entry.keras_name is None else keras.activations.get(entry.keras_name)


def loss(entry: Loss, dtype: str | None = None) -> keras.losses.Loss:
    """The loss as Keras computes it: the mean over the batch."""
    cls = LOSSES.get(entry.name) or getattr(keras.losses, str(entry.keras_name))
    return cls(**entry.arguments(), dtype=dtype)


def targets(spec: RunSpec, y: Array) -> Array:
    """The targets as the loss takes them: class numbers, one row of 0 and 1 per sample, or values.

    y: (samples,) class numbers or (samples, k) values -> (samples,) int32, or (samples, units) floatx
    """
    floatx = keras.config.floatx()
    if spec.encoding == "integer":
        return y.astype(np.int32)
    if spec.encoding == "one_hot":
        return np.eye(spec.data_shape.classes, dtype=floatx)[y]
    return y.astype(floatx).reshape(len(y), -1)


def inputs(spec: RunSpec, x: Array) -> Array:
    return np.ascontiguousarray(x, dtype=keras.config.floatx())


def arrays(spec: RunSpec, data: Data) -> dict[str, tuple[Array, Array]]:
    """Inputs and targets of the parts that have samples: `train`, `val`, `test`."""
    parts = {
        "train": (data.x_train, data.y_train),
        "val": (data.x_validation, data.y_validation),
        "test": (data.x_test, data.y_test),
    }
    return {name: (inputs(spec, x), targets(spec, y)) for name, (x, y) in parts.items() if len(x)}
