"""What a composite becomes (composites.py) beside plain layers: joins of several inputs, the padding that makes a shortcut
fit, and the turn of what was read backwards."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import fsum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from experiments.layers.base import (
    DataFormat,
    Forecast,
    Layer,
    Shape,
    Wanted,
    image,
    refuse,
    size,
    spatial,
    times,
)
from experiments.layers.normalization import Axis, channel_axis


class Join(Layer):
    """A layer with several inputs. Abstract."""

    @abstractmethod
    def joined(self, shapes: Sequence[Shape], data_format: DataFormat) -> Forecast:
        """The forecast for inputs of these shapes. Raises SpecError where they do not fit together."""

    @abstractmethod
    def lowest(self, lows: Sequence[float]) -> float:
        """A lower bound of the outputs, given one of each input."""

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        """Of a single input."""
        return self.joined([shape], data_format)


class Sum(Join):
    """One number of each input at every place. Abstract."""

    def joined(self, shapes: Sequence[Shape], data_format: DataFormat) -> Forecast:
        if len(set(shapes)) > 1:
            raise refuse(
                "",
                f"outputs of the shapes {listed(shapes)} cannot be put together number by number",
                "one shape; join: concatenate for images that differ in their channels only",
            )
        return Forecast(output_shape=shapes[0], flops=(len(shapes) - 1) * size(shapes[0]))


class Add(Sum):
    keras_name: ClassVar[str] = "Add"
    formula: ClassVar[str] = "a + b + …"
    type: Literal["add"] = "add"

    def lowest(self, lows: Sequence[float]) -> float:
        return fsum(lows)


class Average(Sum):
    keras_name: ClassVar[str] = "Average"
    formula: ClassVar[str] = "(a + b + …) / n"
    type: Literal["average"] = "average"

    def lowest(self, lows: Sequence[float]) -> float:
        return fsum(lows) / len(lows)


class Concatenate(Join):
    """The channels of images, the features of all else, one input's after the other's."""

    keras_name: ClassVar[str] = "Concatenate"
    formula: ClassVar[str] = "channels: c₁ + c₂ + …"
    type: Literal["concatenate"] = "concatenate"
    axis: Axis | None = None
    """None: the channels of an image, else the features."""

    def joined(self, shapes: Sequence[Shape], data_format: DataFormat) -> Forecast:
        first = shapes[0]
        index = channel_axis(first, data_format)
        index = len(first) - 1 if index == -1 else index - 1
        rest = {shape[:index] + shape[index + 1 :] for shape in shapes}
        if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
            raise refuse(
                "",
                f"outputs of the shapes {listed(shapes)} cannot stand side by side: they differ in more than their channels",
                "equal heights and widths: padding: same and equal strides in every branch",
            )
        parts = [shape[index] for shape in shapes]
        return Forecast(
            output_shape=(*first[:index], sum(parts), *first[index + 1 :]),
            formula=f"{' + '.join(map(str, parts))} = {sum(parts)}",
        )

    def lowest(self, lows: Sequence[float]) -> float:
        return min(lows)


class ChannelPadding(Layer):
    """Channels of zeros around those of an image: Keras' ZeroPadding2D, told that the channels are a side."""

    keras_name: ClassVar[str] = "ZeroPadding2D"
    formula: ClassVar[str] = "channels: before + c + after"
    reference: ClassVar[str] = "He et al. 2016, arXiv:1512.03385, section 3.3, option A"
    wants: ClassVar[Wanted] = "image"
    type: Literal["channel_padding"] = "channel_padding"
    before: Annotated[int, Field(strict=True, ge=0)]
    after: Annotated[int, Field(strict=True, ge=0)]

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        height, width, channels = spatial(shape, data_format)
        padded = self.before + channels + self.after
        return Forecast(
            output_shape=image(height, width, padded, data_format),
            formula=f"{self.before} + {channels} + {self.after} = {padded}",
        )

    @property
    def label(self) -> str:
        return "pad"

    def arguments(self, data_format: DataFormat = "channels_last") -> dict[str, object]:
        own, none = (self.before, self.after), (0, 0)
        if data_format == "channels_last":  # (height, [width, channels]), read as channels first
            return {"padding": (none, own), "data_format": "channels_first"}
        return {"padding": (own, none), "data_format": "channels_last"}


class Reverse(Layer):
    """The steps of a sequence in the other order: Keras' bidirectional layer does it to what was read backwards."""

    keras_name: ClassVar[str] = "Reverse"
    formula: ClassVar[str] = "step t becomes step T + 1 - t"
    wants: ClassVar[Wanted] = "sequence"
    type: Literal["reverse"] = "reverse"

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        return Forecast(output_shape=shape)

    @property
    def label(self) -> str:
        return ""


def listed(shapes: Sequence[Shape]) -> str:
    return " and ".join(times(shape) for shape in dict.fromkeys(shapes))
