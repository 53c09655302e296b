"""Convolution and zero padding over images, in either data format."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.fields import Count
from experiments.layers.base import (
    DataFormat,
    Forecast,
    Layer,
    OneKernel,
    Shape,
    Units,
    Wanted,
    image,
    pair,
    refuse,
    size,
    spatial,
)
from experiments.layers.windows import Padding, Window, slide, unread

Margin = Annotated[int, Field(strict=True, ge=0, le=4096)]


class Conv2D(OneKernel):
    """The forecast's formula also counts the parameters of a dense layer with as many outputs, which shows what local
    connections and shared weights save (LeCun et al. 1998, section II.A).
    """

    keras_name: ClassVar[str] = "Conv2D"
    formula: ClassVar[str] = "W₂ = ⌊(W₁ - F + 2P)/S⌋ + 1; parameters (F·F·channels/groups + 1) · filters"
    reference: ClassVar[str] = "LeCun et al. 1998, Gradient-based learning"
    wants: ClassVar[Wanted] = "image"
    lanes: ClassVar[bool] = False
    has_data_format: ClassVar[bool] = True
    type: Literal["conv2d"] = "conv2d"
    filters: Units
    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"
    dilation_rate: Window = 1
    groups: Count = 1

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if max(pair(self.strides)) > 1 and max(pair(self.dilation_rate)) > 1:
            raise PydanticCustomError(
                "misfit", "strides and dilation_rate are both above 1", {"allowed": "one of them 1"}
            )
        if self.filters % self.groups:
            raise PydanticCustomError(
                "misfit",
                "{filters} filters cannot be divided into {groups} groups",
                {"filters": self.filters, "groups": self.groups, "allowed": "filters a multiple of groups"},
            )
        return self

    def weight_shapes(self, shape: Shape, data_format: DataFormat) -> dict[str, Shape]:
        channels = spatial(shape, data_format)[2] // self.groups
        kernel = (*pair(self.kernel_size), channels, self.filters)
        return {"kernel": kernel, **({"bias": (self.filters,)} if self.use_bias else {})}

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        height, width, channels = spatial(shape, data_format)
        if channels % self.groups:
            raise refuse(
                "groups", f"{channels} channels in {self.groups} groups", "a divisor of the channels"
            )
        (fh, fw), (sh, sw), (dh, dw) = pair(self.kernel_size), pair(self.strides), pair(self.dilation_rate)
        rows = slide(height, fh, sh, self.padding, dh, "kernel_size")
        columns = slide(width, fw, sw, self.padding, dw, "kernel_size")
        bias, fan_in = int(self.use_bias), fh * fw * (channels // self.groups)
        parameters = (fan_in + bias) * self.filters
        outputs = rows.size * columns.size * self.filters
        return Forecast(
            output_shape=image(rows.size, columns.size, self.filters, data_format),
            parameters=parameters,
            flops=outputs * (2 * fan_in - 1 + bias),
            formula=f"{rows.formula}; ({fh}·{fw}·{channels // self.groups} + {bias})·{self.filters} = "
            f"{parameters:,} parameters; fully connected: ({size(shape)} + {bias})·{outputs} = "
            f"{(size(shape) + bias) * outputs:,}",
            warnings=unread(rows, columns),
        )

    @property
    def label(self) -> str:
        fh, fw = pair(self.kernel_size)
        return f"conv{self.filters}({fh}x{fw})"


class ZeroPadding2D(Layer):
    """P zeros on every side: the integer P of the output-size formula."""

    keras_name: ClassVar[str] = "ZeroPadding2D"
    formula: ClassVar[str] = "W₂ = W₁ + 2P"
    wants: ClassVar[Wanted] = "image"
    has_data_format: ClassVar[bool] = True
    type: Literal["zero_padding2d"] = "zero_padding2d"
    padding: Margin | tuple[Margin, Margin] | tuple[tuple[Margin, Margin], tuple[Margin, Margin]] = 1

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        height, width, channels = spatial(shape, data_format)
        rows, columns = (self.padding, self.padding) if isinstance(self.padding, int) else self.padding
        (top, bottom), (left, right) = pair(rows), pair(columns)
        out = image(height + top + bottom, width + left + right, channels, data_format)
        return Forecast(output_shape=out, formula=f"{height} + {top} + {bottom} = {height + top + bottom}")

    @property
    def label(self) -> str:
        return "pad"
