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
    BatchNormalization,
    Composite,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Join,
    Layer,
    LayerNormalization,
    Recurrent,
    Reshape,
    Shape,
)
from experiments.layers.base import DataFormat, spatial
from experiments.layers.normalization import channel_axis
from experiments.losses import Loss
from experiments.networks import FORMS, INPUT, PATTERN_FIELDS, ModelChoice, ModelSpec, in_a_row
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
    row = chosen(choice, shape, loss)
    output = _output(row)
    network = _Network(choice, shape)
    if choice.inputs is None:
        end = network.row(row, INPUT, (), output, loss.output_activation)
    else:
        end = network.graph(row, choice.inputs, output, loss.output_activation)
    inputs = tuple(network.inputs)
    model = ModelSpec.model_construct(
        layers=cast(Any, tuple(network.layers)),
        inputs=() if in_a_row(inputs) else inputs,
        data_format=choice.data_format,
    )
    last = model.activations[-1] if model.activations else "linear"
    check_output(loss, shape, network.shape(end), last, row[-1].path)
    return model


def _output(row: Sequence[Placed]) -> int | None:
    """The index of the output layer: the last one that has an activation. None: none has.

    Raises:
        SpecError: a composite stands after it, or the network has no other layer with an activation.
    """
    output = None
    for index, origin in enumerate(row):
        if "activation" in type(origin.layer).model_fields:
            output = index
        elif isinstance(origin.layer, Composite):
            output = None
    composites = [origin for origin in row if isinstance(origin.layer, Composite)]
    if output is None and composites:
        kind = composites[-1].layer.type
        raise SpecError.one(
            composites[-1].path, f"no layer with an activation follows {kind}, so that the network has no output layer",
            "a dense layer at the end",
        )  # fmt: skip
    return output


def chosen(choice: ModelChoice, shape: DataShape, loss: Loss) -> list[Placed]:
    """The layers by whichever form was used, composites among them. Raises SpecError."""
    given = [form for form in FORMS if getattr(choice, form) is not None]
    if choice.inputs is not None and choice.layers is None:
        raise SpecError.one(
            "model.inputs", "it says what each of `layers` reads, and there are none", "model.layers"
        )
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


def _named(origin: Placed, later: Sequence[Layer], choice: ModelChoice, output: str | None) -> Layer:
    """The layer with every default of the model and of Keras written in.

    later: the layers after it
    output: the activation that the loss wants, for the output layer
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
    for name in fields:
        source = layer.follows.get(name, name)
        if source not in DEFAULTS or (given and name.endswith("initializer")):
            continue
        default = getattr(choice, source)
        if getattr(layer, name) is None and default is not None:
            update[name] = default
    for name in fields:
        value = update.get(name, getattr(layer, name, None))
        if isinstance(value, Auto):
            wanted = activation(chosen).initializer if chosen else "glorot_uniform"
            update[name] = initializer(wanted)
    return layer.model_copy(update=update) if update else layer


def initializer(name: str) -> Initializer:
    """An initialiser of the table with its defaults."""
    return INITIALIZERS[name].model_validate({"name": name})


def _hidden_activation(layer: Layer, later: Sequence[Layer], choice: ModelChoice) -> ActivationChoice:
    """The activation of a hidden layer that names none: linear where an activation layer follows, else the model's,
    else the layer type's.
    """
    if not layer.activates:
        for other in later:
            if other.activates:
                return "linear"
            if not isinstance(other, BETWEEN):
                break
    return choice.activation or layer.default_activation or "linear"


class _Network:
    """The network as it grows, layer by layer, with what each layer reads and gives."""

    def __init__(self, choice: ModelChoice, shape: DataShape) -> None:
        self.choice, self.data_format = choice, choice.data_format
        self.layers: list[Layer] = []
        self.inputs: list[tuple[int, ...]] = []
        self._shapes = [shape.formatted(choice.data_format)]
        self._lows = [shape.low]
        self._data = shape

    def shape(self, index: int) -> Shape:
        """Of the outputs of a layer, or of INPUT."""
        return self._shapes[index + 1]

    def row(
        self, row: Sequence[Placed], source: int, after: Sequence[Layer], output: int | None = None,
        activation: str | None = None,
    ) -> int:  # fmt: skip
        """Add layers of which each reads the one before it, composites written out. Returns the last one's index.

        Args:
            source: the index of what the first one reads.
            after: what follows the row: an activation there is that of its last layer.
            output, activation: the output layer's position in the row, and what the loss wants of it.

        Raises:
            SpecError: at the first layer that does not fit.
        """
        for position, origin in enumerate(row):
            later = [*(other.layer for other in row[position + 1 :]), *after]
            if isinstance(origin.layer, Join):
                message = f"{origin.layer.type} reads several layers, and nothing says which"
                raise SpecError.one(origin.path, message, "a residual layer or branches, or model.inputs")
            if isinstance(origin.layer, Composite):
                source = self._composite(origin.layer, origin.path, source, later)
            else:
                wanted = activation if position == output else None
                layer = _named(origin, later, self.choice, wanted)
                source = self._add(Placed(origin.path, layer), (source,))
        return source

    def graph(
        self, row: Sequence[Placed], inputs: Sequence[Sequence[int]], output: int | None, activation: str
    ) -> int:
        """Add layers of which each reads those that `inputs` says. Returns the last one's index.

        Raises:
            SpecError: `inputs` does not suit the layers, or a layer does not fit.
        """
        if len(inputs) != len(row):
            allowed = f"one list for each of the {len(row)} layers"
            raise SpecError.one("model.inputs", f"{len(inputs)} lists for {len(row)} layers", allowed)
        indices = {INPUT: INPUT}
        for position, (origin, sources) in enumerate(zip(row, inputs, strict=True)):
            joins = isinstance(origin.layer, Join)
            if isinstance(origin.layer, Composite) or any(source >= position for source in sources):
                message = f"{origin.layer.type} is read as a single layer after those that it reads"
                raise SpecError.one(
                    f"model.inputs[{position}]", message, f"positions from -1 to {position - 1}"
                )
            if len(sources) < 1 + joins or (len(sources) > 1 and not joins):
                message = f"{origin.layer.type} reads {'two layers or more' if joins else 'one layer'}, not {len(sources)}"
                raise SpecError.one(
                    f"model.inputs[{position}]", message, "as many positions as the layer reads"
                )
            later = [other.layer for other in row[position + 1 :]]
            layer = _named(origin, later, self.choice, activation if position == output else None)
            read = tuple(indices[source] for source in sources)
            indices[position] = self._add(Placed(origin.path, layer), read)
        return indices[len(row) - 1]

    def _composite(self, composite: Composite, path: str, source: int, later: Sequence[Layer]) -> int:
        written = path.startswith("model.layers")  # a layer of a pattern has no path of its own
        rows = [
            [Placed(f"{path}.{within}" if written else path, layer) for within, layer in row]
            for row in composite.rows()
        ]
        implied = _implied(composite, self.shape(source), self.data_format)
        if implied is not None:
            source = self._add(Placed(path, implied), (source,))
        ends = [self.row(row, source, later) for row in rows]
        try:
            further = composite.implied_row(
                self.shape(source), [self.shape(end) for end in ends], self.data_format
            )
        except SpecError as error:
            raise SpecError(Placed(path, composite).blamed(error)) from None
        if further is not None:
            ends.append(self.row([Placed(path, layer) for layer in further], source, ()))
        return self._add(Placed(path, composite.joining()), tuple(ends))

    def _add(self, origin: Placed, sources: tuple[int, ...]) -> int:
        """Add a layer, with an implied flatten or reshape layer before it, and its axis. Returns its index."""
        layer, current = origin.layer, self.shape(sources[0])
        implied = _implied(layer, current, self.data_format)
        if implied is not None:
            sources = (self._add(Placed(origin.path, implied), sources),)
            current = self.shape(sources[0])
        if "axis" in type(layer).model_fields and getattr(layer, "axis", 0) is None:
            layer = layer.model_copy(update={"axis": channel_axis(current, self.data_format)})
        try:
            if isinstance(layer, Embedding):
                layer = _with_rows(layer, self._data, reads_data=sources == (INPUT,))
            forecast = step(layer, [self.shape(source) for source in sources], self.data_format)
        except SpecError as error:
            raise SpecError(origin.blamed(error)) from None
        lows = [self._lows[source + 1] for source in sources]
        if layer.non_negative and lows[0] < 0:
            raise SpecError.one(
                origin.path,
                f"{layer.type} draws with probabilities a/Σa; its inputs start at {lows[0]:g}",
                "an activation before it that is never negative, as relu or sigmoid",
            )
        self.layers.append(layer)
        self.inputs.append(sources)
        self._shapes.append(forecast.output_shape)
        self._lows.append(layer.lowest(lows) if isinstance(layer, Join) else lowest(layer, lows[0]))
        return len(self.layers) - 1


def _with_rows(layer: Embedding, data: DataShape, *, reads_data: bool) -> Embedding:
    """The embedding with a row for every token of the data.

    Raises:
        SpecError: there are no tokens, another layer stands between them and it, or it has too few rows.
    """
    if not reads_data:
        raise SpecError.one(
            "",
            "embedding looks up a row for a whole number, and the layer before it gives other numbers",
            "embedding as the first layer",
        )
    if not data.tokens:
        raise SpecError.one(
            "",
            f"embedding looks up a row for a whole number, and the inputs are numbers from {data.low:g} to {data.high:g}",
            "dataset: recall, or inline rows of whole numbers from 0 on",
        )
    if layer.input_dim is not None and layer.input_dim < data.tokens:
        raise SpecError.one(
            "input_dim",
            f"{layer.input_dim} rows, and the data have tokens from 0 to {data.tokens - 1}",
            f"{data.tokens} or more; without input_dim there are as many",
        )
    return layer if layer.input_dim is not None else layer.model_copy(update={"input_dim": data.tokens})


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
