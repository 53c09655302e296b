"""Layers without weights: flatten, reshape, dropout."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from experiments.fields import Count, Fraction
from experiments.layers.base import DataFormat, Forecast, Layer, Shape, refuse, size, times


class Flatten(Layer):
    """All numbers of a sample in one row, in channels-last order whatever the data format."""

    keras_name: ClassVar[str] = "Flatten"
    formula: ClassVar[str] = "height · width · channels"
    has_data_format: ClassVar[bool] = True
    type: Literal["flatten"] = "flatten"

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        return Forecast(output_shape=(size(shape),), formula=f"{'·'.join(map(str, shape))} = {size(shape)}")

    @property
    def label(self) -> str:
        return ""


class Reshape(Layer):
    """The same numbers in another shape, e.g. an image's rows as a sequence: [28, 28]."""

    keras_name: ClassVar[str] = "Reshape"
    formula: ClassVar[str] = "the product of the sizes stays"
    type: Literal["reshape"] = "reshape"
    target_shape: tuple[Count, ...] = Field(min_length=1, max_length=3)

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        if size(shape) != size(self.target_shape):
            raise refuse(
                "target_shape",
                f"{times(self.target_shape)} holds {size(self.target_shape)} numbers, the input "
                f"{times(shape)} "
                f"has {size(shape)}",
                f"sizes whose product is {size(shape)}",
            )
        return Forecast(output_shape=self.target_shape)

    @property
    def label(self) -> str:
        return f"as {times(self.target_shape)}"


class Dropout(Layer):
    """Training: every value is 0 with probability `rate`, else divided by 1 - rate. Testing: the identity."""

    keras_name: ClassVar[str] = "Dropout"
    formula: ClassVar[str] = "training: a · mask / (1 - rate); testing: a"
    reference: ClassVar[str] = "Srivastava et al. 2014"
    type: Literal["dropout"] = "dropout"
    rate: Fraction

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        return Forecast(output_shape=shape, flops=2 * size(shape))

    @property
    def label(self) -> str:
        return f"drop{self.rate:g}"
