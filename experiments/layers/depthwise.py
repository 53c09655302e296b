"""Convolutions channel by channel, alone and followed by a convolution of 1×1."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.initializers import InitializerSpec
from experiments.layers.base import DataFormat, Forecast, Shape, Units, Wanted, Weighted, image, pair, spatial
from experiments.layers.windows import Edge, Padding, Slide, Window, slide, unread
from experiments.regularizers import RegularizerSpec

Multiplier = Annotated[int, Field(strict=True, ge=1, le=1024)]


class Depthwise(Weighted):
    """A window of its own for each channel. Abstract."""

    wants: ClassVar[Wanted] = "image"
    lanes: ClassVar[bool] = False
    alone: ClassVar[bool] = True
    has_data_format: ClassVar[bool] = True
    kernel_size: Window
    strides: Edge = 1
    """Of height and width: TensorFlow takes one number here."""
    padding: Padding = "valid"
    dilation_rate: Window = 1
    depth_multiplier: Multiplier = 1
    """Outputs for each channel."""
    depthwise_initializer: InitializerSpec | None = None
    depthwise_regularizer: RegularizerSpec | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if self.strides > 1 and max(pair(self.dilation_rate)) > 1:
            raise PydanticCustomError(
                "misfit", "strides and dilation_rate are both above 1", {"allowed": "one of them 1"}
            )
        return self

    def fan_in(self, kernel: Shape) -> int:
        return kernel[0] * kernel[1]

    def slides(self, shape: Shape, data_format: DataFormat) -> tuple[Slide, Slide, int]:
        """Rows and columns of the output, and the channels of the input. Raises SpecError."""
        height, width, channels = spatial(shape, data_format)
        (fh, fw), (dh, dw) = pair(self.kernel_size), pair(self.dilation_rate)
        rows = slide(height, fh, self.strides, self.padding, dh, "kernel_size")
        return rows, slide(width, fw, self.strides, self.padding, dw, "kernel_size"), channels


class DepthwiseConv2D(Depthwise):
    keras_name: ClassVar[str] = "DepthwiseConv2D"
    formula: ClassVar[str] = "W₂ as conv2d; parameters (F·F + 1) · channels · depth_multiplier"
    reference: ClassVar[str] = "Howard et al. 2017, arXiv:1704.04861"
    kernels: ClassVar[dict[str, str]] = {"kernel": "depthwise_initializer"}
    follows: ClassVar[dict[str, str]] = {
        "depthwise_initializer": "kernel_initializer",
        "depthwise_regularizer": "kernel_regularizer",
    }
    type: Literal["depthwise_conv2d"] = "depthwise_conv2d"

    def weight_shapes(self, shape: Shape, data_format: DataFormat) -> dict[str, Shape]:
        channels = spatial(shape, data_format)[2]
        kernel = (*pair(self.kernel_size), channels, self.depth_multiplier)
        bias = {"bias": (channels * self.depth_multiplier,)} if self.use_bias else {}
        return {"kernel": kernel, **bias}

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        rows, columns, channels = self.slides(shape, data_format)
        (fh, fw), bias, outputs = pair(self.kernel_size), int(self.use_bias), channels * self.depth_multiplier
        parameters = (fh * fw + bias) * outputs
        return Forecast(
            output_shape=image(rows.size, columns.size, outputs, data_format),
            parameters=parameters,
            flops=rows.size * columns.size * outputs * (2 * fh * fw - 1 + bias),
            formula=f"{rows.formula}; ({fh}·{fw} + {bias})·{channels}·{self.depth_multiplier} = {parameters:,} parameters",
            warnings=unread(rows, columns),
        )

    @property
    def label(self) -> str:
        fh, fw = pair(self.kernel_size)
        return f"dwconv({fh}x{fw})"


class SeparableConv2D(Depthwise):
    """A depthwise convolution and a convolution of 1×1 over its channels. The forecast's formula also counts a conv2d's parameters."""

    keras_name: ClassVar[str] = "SeparableConv2D"
    formula: ClassVar[str] = (
        "W₂ as conv2d; parameters (F·F + filters) · channels · depth_multiplier + filters"
    )
    reference: ClassVar[str] = "Chollet 2017, arXiv:1610.02357"
    kernels: ClassVar[dict[str, str]] = {
        "depthwise_kernel": "depthwise_initializer",
        "pointwise_kernel": "pointwise_initializer",
    }
    follows: ClassVar[dict[str, str]] = {
        **DepthwiseConv2D.follows,
        "pointwise_initializer": "kernel_initializer",
        "pointwise_regularizer": "kernel_regularizer",
    }
    type: Literal["separable_conv2d"] = "separable_conv2d"
    filters: Units
    pointwise_initializer: InitializerSpec | None = None
    pointwise_regularizer: RegularizerSpec | None = None

    def weight_shapes(self, shape: Shape, data_format: DataFormat) -> dict[str, Shape]:
        channels = spatial(shape, data_format)[2]
        depthwise = (*pair(self.kernel_size), channels, self.depth_multiplier)
        pointwise = (1, 1, channels * self.depth_multiplier, self.filters)
        bias = {"bias": (self.filters,)} if self.use_bias else {}
        return {"depthwise_kernel": depthwise, "pointwise_kernel": pointwise, **bias}

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        rows, columns, channels = self.slides(shape, data_format)
        (fh, fw), bias, between = pair(self.kernel_size), int(self.use_bias), channels * self.depth_multiplier
        parameters = fh * fw * between + (between + bias) * self.filters
        places = rows.size * columns.size
        return Forecast(
            output_shape=image(rows.size, columns.size, self.filters, data_format),
            parameters=parameters,
            flops=places * (between * (2 * fh * fw - 1) + self.filters * (2 * between - 1 + bias)),
            formula=f"{rows.formula}; {fh}·{fw}·{between} + ({between} + {bias})·{self.filters} = {parameters:,} parameters; "
            f"conv2d: ({fh}·{fw}·{channels} + {bias})·{self.filters} = {(fh * fw * channels + bias) * self.filters:,}",
            warnings=unread(rows, columns),
        )

    @property
    def label(self) -> str:
        fh, fw = pair(self.kernel_size)
        return f"sepconv{self.filters}({fh}x{fw})"
