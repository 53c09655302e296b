"""A run's network made of Keras' own layers and operations alone, so that it loads where this project is not.

It computes what the run's network computes at inference, bit for bit: the same operations in the same order (but for
convolutions on JAX with a CPU, which differ in the last bits: keras_ext/convolution.py). Our dropout
becomes Keras', which is the identity at inference. A convolution over channels-first images turns the image, works on
channels last and turns the result back, as ours does. Stochastic pooling, and activations that Keras lacks, become the
operations of which they consist. Only within a recurrent layer such an activation cannot be taken apart: there its source
travels with the model, as the module FUNCTIONS_FILE, which is to be imported before the model is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from experiments.engine import models
from experiments.engine.initial_weights import noting_draws
from experiments.engine.models import FUNCTIONS
from experiments.keras_ext import formulas, functions, noise
from experiments.keras_ext.attention import SelfAttention
from experiments.keras_ext.convolution import ChannelsLast
from experiments.keras_ext.pooling import StochasticPool2D
from experiments.keras_ext.sequences import Reverse
from experiments.runs import RunSpec

FUNCTIONS_FILE = "gradus_functions.py"


def travelling_source(architecture: str) -> bytes | None:
    """The source of our own functions, where a network (as Keras' JSON) names one of them; else None."""
    return Path(functions.__file__).read_bytes() if '"gradus>' in architecture else None


def portable(spec: RunSpec) -> keras.Model:
    """The network of a run in Keras' own terms, with weights of 0.

    Layers with weights have the names and weights of `models.build`; the batch may have any size.
    """
    inputs = keras.Input(spec.data_shape.formatted(spec.model.data_format), dtype=keras.config.floatx())
    parts = [
        _parts(models.layer(entry, name, spec.model.data_format), name)
        for entry, name in zip(spec.model.layers, spec.model.names, strict=True)
    ]
    layers = [part for of_layer in parts for part in of_layer]
    with noting_draws([part for part in layers if isinstance(part, keras.layers.Layer)]):
        outputs = models.connected(spec.model.wiring, parts, inputs)
    if not spec.model.inputs and all(isinstance(part, keras.layers.Layer) for part in layers):
        return keras.Sequential([inputs, *layers], name="network")
    return keras.Model(inputs, outputs, name="network")


def same_variables(model: keras.Model, target: keras.Model) -> list[int | None]:
    """For each of `target.variables` the index of its counterpart in `model.variables`.

    None: it has none, as the state of a generator of random numbers.

    Args:
        model: the network of a run (`models.build`).
        target: the same run's `portable` network.
    """
    indices = {id(variable): index for index, variable in enumerate(model.variables)}
    counterparts: dict[int, int] = {}
    for layer in target.layers:
        if layer.weights:
            own = [weight for weight in model.get_layer(layer.name).weights if weight.name != noise.WORDS]
            for weight, other in zip(layer.weights, own, strict=True):
                counterparts[id(weight)] = indices[id(other)]
    return [counterparts.get(id(variable)) for variable in target.variables]


def _parts(layer: keras.layers.Layer, name: str) -> list[Any]:
    """What stands for one layer of a run's network: layers, or functions of a symbolic tensor."""
    if isinstance(layer, noise.Dropout):
        return [keras.layers.Dropout(layer.rate, name=name)]
    if isinstance(layer, StochasticPool2D):
        return [layer.still]
    if isinstance(layer, Reverse):
        return [layer.call]
    if isinstance(layer, SelfAttention):
        return [layer.keras_own()]
    activation = getattr(layer, "activation", None)
    ours = formulas.operations(activation) or (activation if activation in FUNCTIONS.values() else None)
    channels_first = isinstance(layer, ChannelsLast) and layer.data_format == "channels_first"
    if not (ours or channels_first) or isinstance(layer, keras.layers.RNN):
        return [_as_keras_own(layer)]
    changes: dict[str, Any] = {"activation": "linear"}
    if channels_first:
        changes["data_format"] = "channels_last"
    parts: list[Any] = [_as_keras_own(layer, **changes)]
    if channels_first:
        parts = [
            keras.layers.Permute((2, 3, 1), name=f"{name}-channels-last"),
            *parts,
            keras.layers.Permute((3, 1, 2), name=f"{name}-channels-first"),
        ]
    if ours:
        return [*parts, ours]
    if activation is not keras.activations.linear:
        parts.append(keras.layers.Activation(activation, name=f"{name}-activation"))
    return parts


def _as_keras_own(layer: keras.layers.Layer, **changes: Any) -> keras.layers.Layer:
    """A layer of Keras' own class with the same configuration, but for some changes."""
    cls: Any = next(base for base in type(layer).__mro__ if base.__module__.startswith("keras."))
    own: keras.layers.Layer = cls.from_config({**layer.get_config(), **changes})
    return own
