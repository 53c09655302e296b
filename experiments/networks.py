"""The model as a person chooses it (ModelChoice) and as it is built (ModelSpec)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from experiments.activations import ActivationChoice, activation
from experiments.fields import Flag, Fraction, LongText, Strict
from experiments.initializers import InitializerSpec
from experiments.layers import BuiltLayer, DataFormat, Embedding, Flatten, ListedLayer, Shape
from experiments.layers.base import Units, size, times
from experiments.layers.windows import Edge, Padding, Window
from experiments.regularizers import RegularizerSpec

MAX_LAYERS = 1000
CountFromInput = Annotated[int, Field(strict=True, ge=-1, lt=MAX_LAYERS)]
INPUT = -1
"""Stands for the network's input where the index of a layer could."""


def in_a_row(inputs: Sequence[Sequence[int]]) -> bool:
    """Whether every layer reads the one before it, and no other."""
    return all(tuple(own) == (index - 1,) for index, own in enumerate(inputs))


class ModelSpec(Strict):
    """A network in full: every layer from the input to the output, every activation and initialiser named."""

    layers: tuple[BuiltLayer, ...] = Field(min_length=1, max_length=MAX_LAYERS)
    inputs: tuple[tuple[int, ...], ...] = ()
    """Of each layer the indices of the layers that it reads, all before it; INPUT: the network's input. Empty: the layers
    stand in a row."""
    data_format: DataFormat = "channels_last"

    LATER: ClassVar = ("weights",)
    """Fields of layers that earlier versions did not know, left out of hashes where they have their defaults."""

    @cached_property
    def canonical(self) -> str:
        """As `Strict.canonical`, and as earlier versions wrote it where nothing new is asked for."""
        document = json.loads(super().canonical)
        for layer in document["layers"]:
            for name in self.LATER:
                if layer.get(name, False) is None:
                    del layer[name]
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    @model_serializer(mode="wrap")
    def _without_empty_inputs(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Layers in a row are written, and hashed, as before there were any others."""
        document: dict[str, Any] = handler(self)
        return document if self.inputs else {key: value for key, value in document.items() if key != "inputs"}

    @cached_property
    def wiring(self) -> tuple[tuple[int, ...], ...]:
        """Of each layer the indices of the layers that it reads."""
        return self.inputs or tuple((index - 1,) for index in range(len(self.layers)))

    @cached_property
    def sequential(self) -> bool:
        """Whether Keras' Sequential can hold Keras' own layers of it: they stand in a row, each called with its input alone."""
        return not self.inputs and all(layer.keras_call == "x" for layer in self.layers)

    @cached_property
    def rows(self) -> int:
        """Of the embedding that reads the network's input; 0: none does."""
        return next((layer.input_dim or 0 for layer in self.layers if isinstance(layer, Embedding)), 0)

    @cached_property
    def names(self) -> list[str]:
        """Of the layers, as they are called in a Keras model, in metrics and in tables."""
        return [f"{index}-{layer.type}" for index, layer in enumerate(self.layers)]

    @cached_property
    def activations(self) -> tuple[ActivationChoice, ...]:
        """The activations in order, the output's last; `linear` where a separate activation layer follows."""
        chosen = (getattr(layer, "activation", None) for layer in self.layers)
        return tuple(choice for choice in chosen if choice is not None)

    @cached_property
    def activation(self) -> str:
        """That of the hidden layers: its name, `mixed`, or the output's where there is no hidden layer."""
        choices = [(getattr(layer, "activation", None), layer) for layer in self.layers]
        named = [
            (activation(choice).name, activation(choice).identity) if choice else (layer.type, False)
            for choice, layer in choices
            if choice or layer.activates
        ]
        names = [name for name, _ in named]
        hidden = {name for name, identity in named if not identity}
        hidden = {name for name in names[:-1] if name in hidden} or set(names[:-1])
        if not hidden:
            return names[-1] if names else "linear"
        return hidden.pop() if len(hidden) == 1 else "mixed"

    @cached_property
    def vectorizable(self) -> bool:
        """Whether the vectorised map over lanes takes every layer."""
        return all(layer.lanes for layer in self.layers) and all(
            activation(choice).vectorizable for choice in self.activations
        )

    def architecture(self, shape: Shape) -> str:
        """One line: `784-32-10`, `28x28x1-conv32(5x5)-maxpool-…-1024-10`."""
        flat = isinstance(self.layers[0], Flatten) or len(shape) == 1
        head = str(size(shape)) if flat else times(shape)
        return "-".join([head, *(layer.label for layer in self.layers if layer.label)])


PoolType = Literal["max_pool2d", "average_pool2d", "stochastic_pool2d"]


class ConvBlock(Strict):
    """Settings of the CONV layers of a pattern: one value for all, or a list that is consumed in order."""

    filters: Units | tuple[Units, ...]
    kernel_size: Edge | tuple[Window, ...] = 3
    strides: Edge | tuple[Window, ...] = 1
    padding: Padding = "same"


class PoolBlock(Strict):
    """Settings of the POOL layers of a pattern."""

    type: PoolType = "max_pool2d"
    pool_size: Edge | tuple[Window, ...] = 2
    strides: Edge | tuple[Window, ...] | None = None
    padding: Padding = "valid"


class FcBlock(Strict):
    """Settings of the FC layers of a pattern, without the last, which is the output layer."""

    units: Units | tuple[Units, ...] = ()


Shortcut = Literal["identity", "projection"]


class ResBlock(Strict):
    """Settings of the RES blocks of a pattern."""

    shortcut: Shortcut | tuple[Shortcut, ...] = "identity"


class EmbedBlock(Strict):
    """Settings of the EMBED layer of a pattern."""

    output_dim: Units


class AttnBlock(Strict):
    """Settings of the ATTN layers of a pattern."""

    num_heads: Units | tuple[Units, ...] = 1
    key_dim: Units | tuple[Units, ...]


class DropBlock(Strict):
    """Settings of the DROP layers of a pattern."""

    rate: Fraction | tuple[Fraction, ...] = 0.5


class PadBlock(Strict):
    """Settings of the PAD layers of a pattern."""

    padding: Annotated[int, Field(strict=True, ge=0, le=4096)] = 1


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class ModelChoice(Strict):
    """One of `layers`, `hidden` and `pattern`, and defaults for every layer that does not name its own."""

    activation: ActivationChoice | None = None
    """Activation of every hidden layer that names none. Default: relu; recurrent layers tanh."""
    kernel_initializer: InitializerSpec | None = None
    """Default: Keras' (glorot_uniform). `auto`: the one that suits each layer's activation."""
    bias_initializer: InitializerSpec | None = None
    recurrent_initializer: InitializerSpec | None = None
    kernel_regularizer: RegularizerSpec | None = None
    bias_regularizer: RegularizerSpec | None = None
    data_format: DataFormat = "channels_last"
    layers: Annotated[tuple[ListedLayer, ...], Field(min_length=1, max_length=MAX_LAYERS)] | None = None
    inputs: Annotated[tuple[tuple[CountFromInput, ...], ...], Field(max_length=MAX_LAYERS)] | None = None
    """Of each of `layers` the positions of those that it reads, from 0; -1: the network's input. Default: the one before it.
    A run in full has it where its layers do not stand in a row."""
    hidden: Annotated[tuple[Units, ...], Field(max_length=MAX_LAYERS), BeforeValidator(_tuple)] | None = None
    pattern: LongText | None = None
    optional: Flag = True
    """Build the optional parts (`?`) of the pattern."""
    conv: ConvBlock | None = None
    pool: PoolBlock | None = None
    fc: FcBlock | None = None
    drop: DropBlock | None = None
    pad: PadBlock | None = None
    res: ResBlock | None = None
    embed: EmbedBlock | None = None
    attn: AttnBlock | None = None


FORMS = ("layers", "hidden", "pattern")
"""The three ways to say which layers there are; setting one in a sweep displaces the others."""
PATTERN_FIELDS = ("optional", "conv", "pool", "fc", "drop", "pad", "res", "embed", "attn")
