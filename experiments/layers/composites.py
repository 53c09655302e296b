"""Composites: layers that stand beside each other, and the join that brings them together.

A composite is how a person writes them. The network in full has only plain layers, each with the layers it reads
(`networks.ModelSpec.inputs`): `spec.resolve` writes a composite out, and nothing after it needs to know of any.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from experiments.layers.base import DataFormat, Forecast, Layer, Shape, Wanted, refuse, spatial, times
from experiments.layers.convolution import Conv2D
from experiments.layers.dense import Dense
from experiments.layers.joins import Add, Average, ChannelPadding, Concatenate, Join, Reverse
from experiments.layers.normalization import BatchNormalization
from experiments.layers.pooling import AveragePool2D
from experiments.layers.recurrent import GRU, LSTM, SimpleRNN

if TYPE_CHECKING:
    from experiments.layers import LayerSpec

MOST_IN_ROW, MOST_BRANCHES = 1000, 100


class Composite(Layer):
    """Rows of layers that read the same input, and the join of their outputs. Abstract."""

    keras_name: ClassVar[str] = ""

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        """A composite has none: what it becomes has one for each layer. Raises SpecError."""
        raise refuse("", f"{self.type} holds layers", "the layers that spec.resolve makes of it")

    @abstractmethod
    def rows(self) -> list[list[tuple[str, Layer]]]:
        """The rows that a person wrote: of each layer its path within the composite."""

    def implied_row(
        self, shape: Shape, outputs: Sequence[Shape], data_format: DataFormat
    ) -> Sequence[Layer] | None:
        """A further row that follows from the shapes; empty: the input itself. None: there is none.

        Args:
            shape: of the composite's input.
            outputs: of the rows that a person wrote.

        Raises:
            SpecError: no such row makes the outputs fit.
        """
        return None

    @abstractmethod
    def joining(self) -> Join:
        """What brings the rows together."""


class Residual(Composite):
    """The sum of some layers and of their input.

    An identity shortcut to an output with more channels, or a smaller image, skips pixels and adds channels of zeros (He et
    al. 2016, option A). A projection is a linear layer without bias (a convolution of 1×1 over images) of the output's
    shape, followed by batch normalisation where the layers have it, as theirs is (option B).
    """

    formula: ClassVar[str] = "y = F(x) + x; with a projection y = F(x) + W x"
    reference: ClassVar[str] = "He et al. 2016, Deep residual learning, arXiv:1512.03385"
    type: Literal["residual"] = "residual"
    layers: Annotated[tuple[LayerSpec, ...], Field(min_length=1, max_length=MOST_IN_ROW)]
    shortcut: Literal["identity", "projection"] = "identity"

    def rows(self) -> list[list[tuple[str, Layer]]]:
        return [_numbered("layers", self.layers)]

    def implied_row(
        self, shape: Shape, outputs: Sequence[Shape], data_format: DataFormat
    ) -> Sequence[Layer] | None:
        (output,) = outputs
        if self.shortcut == "projection":
            return self._projection(shape, output, data_format)
        return () if output == shape else self._padded(shape, output, data_format)

    def joining(self) -> Join:
        return Add()

    def _projection(self, shape: Shape, output: Shape, data_format: DataFormat) -> Sequence[Layer]:
        normalised = any(isinstance(layer, BatchNormalization) for layer in self.layers)
        after = [BatchNormalization()] if normalised else []
        if len(shape) == len(output) == 3:
            strides, filters = _strides(shape, output, data_format), spatial(output, data_format)[2]
            return [
                Conv2D(filters=filters, kernel_size=1, strides=strides, use_bias=False, activation="linear"),
                *after,
            ]
        if len(shape) != len(output) or shape[:-1] != output[:-1]:
            raise refuse("shortcut", _unequal(shape, output), "layers that keep the number of dimensions")
        return [Dense(units=output[-1], use_bias=False, activation="linear"), *after]

    def _padded(self, shape: Shape, output: Shape, data_format: DataFormat) -> Sequence[Layer]:
        channels = [spatial(s, data_format)[2] for s in (shape, output) if len(s) == 3]
        if len(channels) < 2 or channels[1] < channels[0]:
            raise refuse(
                "shortcut",
                f"{_unequal(shape, output)}, and an identity cannot be added to it",
                "projection, or layers that keep the shape",
            )
        strides, missing = _strides(shape, output, data_format), channels[1] - channels[0]
        skipped = [AveragePool2D(pool_size=1, strides=strides)] if strides != (1, 1) else []
        padded = [ChannelPadding(before=missing // 2, after=missing - missing // 2)] if missing else []
        return [*skipped, *padded]


class Branches(Composite):
    """Rows of layers beside each other, as in an inception module. An empty row is the input itself."""

    formula: ClassVar[str] = (
        "concatenate: the branches' channels one after the other; add, average: number by number"
    )
    reference: ClassVar[str] = "Szegedy et al. 2015, Going deeper with convolutions, arXiv:1409.4842"
    type: Literal["branches"] = "branches"
    branches: Annotated[
        tuple[Annotated[tuple[LayerSpec, ...], Field(max_length=MOST_IN_ROW)], ...],
        Field(min_length=2, max_length=MOST_BRANCHES),
    ]
    join: Literal["concatenate", "add", "average"] = "concatenate"

    def rows(self) -> list[list[tuple[str, Layer]]]:
        return [_numbered(f"branches[{index}]", row) for index, row in enumerate(self.branches)]

    def joining(self) -> Join:
        return _JOINS[self.join]


class Bidirectional(Composite):
    """A recurrent layer that reads the sequence forwards, one that reads it backwards, and their outputs joined."""

    formula: ClassVar[str] = "h_t = (forwards_t, backwards_t); sum, ave: number by number"
    reference: ClassVar[str] = "Schuster & Paliwal 1997"
    wants: ClassVar[Wanted] = "sequence"
    type: Literal["bidirectional"] = "bidirectional"
    layer: Annotated[SimpleRNN | LSTM | GRU, Field(discriminator="type")]
    merge_mode: Literal["concat", "sum", "ave"] = "concat"

    def rows(self) -> list[list[tuple[str, Layer]]]:
        rows: list[list[tuple[str, Layer]]] = []
        for backwards in (self.layer.go_backwards, not self.layer.go_backwards):
            row: list[tuple[str, Layer]] = [
                ("layer", self.layer.model_copy(update={"go_backwards": backwards}))
            ]
            if len(rows) == 1 and self.layer.return_sequences:
                row.append(("layer", Reverse()))
            rows.append(row)
        return rows

    def joining(self) -> Join:
        return _MERGE_MODES[self.merge_mode]


_MERGE_MODES: dict[str, Join] = {"concat": Concatenate(), "sum": Add(), "ave": Average()}
_JOINS: dict[str, Join] = {"concatenate": Concatenate(), "add": Add(), "average": Average()}


def _numbered(field: str, layers: Sequence[Layer]) -> list[tuple[str, Layer]]:
    return [(f"{field}[{index}]", layer) for index, layer in enumerate(layers)]


def _strides(shape: Shape, output: Shape, data_format: DataFormat) -> tuple[int, int]:
    """The steps in which a window of 1×1 goes over an image of `shape` to give the height and width of `output`."""
    strides = []
    for length, wanted in zip(spatial(shape, data_format)[:2], spatial(output, data_format)[:2], strict=True):
        stride = next((s for s in range(1, length + 1) if -(-length // s) == wanted), None)
        if stride is None:
            raise refuse(
                "shortcut",
                f"{_unequal(shape, output)}: no step makes {wanted} of {length} (⌈{length}/S⌉ = {wanted})",
                "padding: same in the layers",
            )
        strides.append(stride)
    return strides[0], strides[1]


def _unequal(shape: Shape, output: Shape) -> str:
    return f"the layers make {times(output)} of {times(shape)}"
