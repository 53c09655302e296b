"""From a person's choice of a model to the network in full: implied layers and every default written out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from experiments.activations import ActivationChoice, activation
from experiments.datasets import DataShape
from experiments.errors import Problem, SpecError
from experiments.initializers import INITIALIZERS, Auto, Initializer
from experiments.layers import (
    ActivationLayer,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerNormalization,
    Recurrent,
    Reshape,
    Shape,
)
from experiments.layers.base import DataFormat, spatial
from experiments.layers.normalization import channel_axis
from experiments.losses import Loss
from experiments.networks import FORMS, PATTERN_FIELDS, ModelChoice, ModelSpec
from experiments.spec.outputs import check_output, output_units
from experiments.spec.patterns import pattern_layers
from experiments.theory import step

DEFAULTS = (
    "kernel_initializer",
    "bias_initializer",
    "recurrent_initializer",
    "kernel_regularizer",
    "bias_regularizer",
)
BETWEEN = (BatchNormalization, LayerNormalization, Dropout)
"""Layers that may stand between a weighted sum and the activation layer that belongs to it."""


@dataclass(frozen=True)
class Placed:
    """A layer and where in the spec it comes from."""

    path: str
    layer: Layer

    def blamed(self, error: SpecError) -> list[Problem]:
        """The layer's problems with the path that a person wrote. A layer of a pattern has no fields there."""
        if self.path.startswith("model.layers"):
            return list(error.under(self.path).problems)
        return [
            Problem(self.path, f"{self.layer.type}: {problem.message}", problem.allowed)
            for problem in error.problems
        ]


def resolve(choice: ModelChoice, shape: DataShape, loss: Loss) -> ModelSpec:
    """The network in full.

    Args:
        choice: the model as a person chose it
        shape: the data's shapes, which decide the output layer and the implied layers
        loss: decides the output layer's activation

    Raises:
        SpecError: with paths under `model`.
    """
    placed = _chosen(choice, shape, loss)
    activated = [i for i, origin in enumerate(placed) if "activation" in type(origin.layer).model_fields]
    output = activated[-1] if activated else None
    named = [
        _named(origin, placed[index + 1 :], choice, loss.output_activation if index == output else None)
        for index, origin in enumerate(placed)
    ]
    fitted, problems = _fitted(named, shape, choice.data_format)
    if problems:
        raise SpecError(problems)
    model = ModelSpec.model_construct(
        layers=cast(Any, tuple(placed.layer for placed in fitted.placed)), data_format=choice.data_format
    )
    check_output(
        loss,
        shape,
        fitted.shape,
        model.activations[-1] if model.activations else "linear",
        fitted.placed[-1].path,
    )
    return model


def _chosen(choice: ModelChoice, shape: DataShape, loss: Loss) -> list[Placed]:
    """The layers by whichever form was used. Raises SpecError."""
    given = [form for form in FORMS if getattr(choice, form) is not None]
    if len(given) != 1:
        both = " and ".join(f"`{form}`" for form in given)
        which = f"{both} are given" if given else "none of them is given"
        raise SpecError.one("model", f"a model is one of layers, hidden and pattern; {which}", list(FORMS))
    if choice.pattern is None:
        stray = sorted(set(PATTERN_FIELDS) & choice.model_fields_set - {"optional"})
        stray = [name for name in stray if getattr(choice, name) is not None]
        if stray:
            raise SpecError(
                [Problem(f"model.{name}", "only a pattern uses this field", "leave it out") for name in stray]
            )
    output = Dense(units=output_units(loss, shape))
    if choice.layers is not None:
        return [Placed(f"model.layers[{index}]", layer) for index, layer in enumerate(choice.layers)]
    if choice.hidden is not None:
        hidden = [Placed(f"model.hidden[{i}]", Dense(units=units)) for i, units in enumerate(choice.hidden)]
        return [*hidden, Placed("model.hidden", output)]
    return [Placed(path, layer) for path, layer in pattern_layers(choice, output)]


def _named(origin: Placed, later: Sequence[Placed], choice: ModelChoice, output: str | None) -> Placed:
    """The layer with every default of the model and of Keras written in.

    later: the layers after it
    output: the activation that the loss wants, for the last layer that has one
    """
    layer = origin.layer
    update: dict[str, object] = {}
    fields = type(layer).model_fields
    chosen: ActivationChoice | None = getattr(layer, "activation", None)
    if "activation" in fields and chosen is None:
        chosen = output or _hidden_activation(layer, later, choice)
        update["activation"] = chosen
    if isinstance(layer, Recurrent) and not isinstance(chosen, str):
        raise SpecError.one(
            origin.path,
            f"{layer.type} takes an activation by its name, not {chosen}: a stored recurrent layer could not be loaded "
            "elsewhere",
            "activation: tanh in this layer",
        )
    given = getattr(layer, "weights", None) is not None
    for name in DEFAULTS:
        default = None if given and name.endswith("initializer") else getattr(choice, name)
        if name in fields and getattr(layer, name) is None and default is not None:
            update[name] = default
    for name in fields:
        value = update.get(name, getattr(layer, name, None))
        if isinstance(value, Auto):
            wanted = activation(chosen).initializer if chosen else "glorot_uniform"
            update[name] = initializer(wanted)
    return Placed(origin.path, layer.model_copy(update=update) if update else layer)


def initializer(name: str) -> Initializer:
    """An initialiser of the table with its defaults."""
    return INITIALIZERS[name].model_validate({"name": name})


def _hidden_activation(layer: Layer, later: Sequence[Placed], choice: ModelChoice) -> ActivationChoice:
    """The activation of a hidden layer that names none: linear where an activation layer follows, else the model's,
    else the layer type's.
    """
    if not isinstance(layer, ActivationLayer):
        for other in later:
            if isinstance(other.layer, ActivationLayer):
                return "linear"
            if not isinstance(other.layer, BETWEEN):
                break
    return choice.activation or layer.default_activation or "linear"


@dataclass(frozen=True)
class Fitted:
    placed: list[Placed]
    shape: Shape


def _fitted(placed: list[Placed], shape: DataShape, data_format: DataFormat) -> tuple[Fitted, list[Problem]]:
    """The layers with implied flatten and reshape layers and axes. Stops at the first layer that does not fit."""
    current, result, low = shape.formatted(data_format), list[Placed](), shape.low
    for origin in placed:
        layer = origin.layer
        implied = _implied(layer, current, data_format)
        if implied is not None:
            result.append(Placed(origin.path, implied))
            current = implied.forecast(current, data_format).output_shape
        if "axis" in type(layer).model_fields and getattr(layer, "axis", 0) is None:
            layer = layer.model_copy(update={"axis": channel_axis(current, data_format)})
        try:
            forecast = step(layer, current, data_format)
        except SpecError as error:
            return Fitted(result, current), origin.blamed(error)
        if layer.non_negative and low < 0:
            problem = Problem(
                origin.path,
                f"{layer.type} draws with probabilities a/Σa; its inputs start at {low:g}",
                "an activation before it that is never negative, as relu or sigmoid",
            )
            return Fitted(result, current), [problem]
        low = lowest(layer, low)
        result.append(Placed(origin.path, layer))
        current = forecast.output_shape
    return Fitted(result, current), []


def lowest(layer: Layer, low: float) -> float:
    """A lower bound of a layer's outputs, given one of its inputs."""
    chosen = getattr(layer, "activation", None)
    if chosen is not None:
        return activation(chosen).low
    return low if layer.keeps_sign else -math.inf


def _implied(layer: Layer, shape: Shape, data_format: DataFormat) -> Layer | None:
    """Flatten before a dense layer on an image; an image's rows as a sequence before a recurrent layer."""
    if len(shape) != 3:
        return None
    if layer.wants == "vector":
        return Flatten()
    if layer.wants == "sequence":
        height, width, channels = spatial(shape, data_format)
        return Reshape(target_shape=(height, width * channels))
    return None
