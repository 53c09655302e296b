"""The transposed convolution: each pixel of the input is spread over a window of the output."""

from __future__ import annotations

from typing import ClassVar, Literal

from experiments.layers.base import (
    DataFormat,
    Forecast,
    OneKernel,
    Shape,
    Units,
    Wanted,
    image,
    pair,
    spatial,
)
from experiments.layers.windows import Padding, Window


class Conv2DTranspose(OneKernel):
    keras_name: ClassVar[str] = "Conv2DTranspose"
    formula: ClassVar[str] = (
        "valid: W₂ = (W₁ - 1)·S + max(F, S), same: W₁·S; parameters (F·F·channels + 1) · filters"
    )
    reference: ClassVar[str] = "Zeiler et al. 2010; Dumoulin & Visin 2016, arXiv:1603.07285"
    wants: ClassVar[Wanted] = "image"
    lanes: ClassVar[bool] = False
    alone: ClassVar[bool] = True
    has_data_format: ClassVar[bool] = True
    type: Literal["conv2d_transpose"] = "conv2d_transpose"
    filters: Units
    kernel_size: Window
    strides: Window = 1
    padding: Padding = "valid"

    def weight_shapes(self, shape: Shape, data_format: DataFormat) -> dict[str, Shape]:
        kernel = (*pair(self.kernel_size), self.filters, spatial(shape, data_format)[2])
        return {"kernel": kernel, **({"bias": (self.filters,)} if self.use_bias else {})}

    def fan_in(self, kernel: Shape) -> int:
        """On average over the places of the output."""
        sh, sw = pair(self.strides)
        return max(1, kernel[0] * kernel[1] * kernel[3] // (sh * sw))

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        height, width, channels = spatial(shape, data_format)
        (fh, fw), (sh, sw) = pair(self.kernel_size), pair(self.strides)
        rows, formula = self._spread(height, fh, sh)
        columns, _ = self._spread(width, fw, sw)
        bias = int(self.use_bias)
        parameters = (fh * fw * channels + bias) * self.filters
        products = height * width * channels * fh * fw * self.filters
        return Forecast(
            output_shape=image(rows, columns, self.filters, data_format),
            parameters=parameters,
            flops=2 * products + bias * rows * columns * self.filters,
            formula=f"{formula}; ({fh}·{fw}·{channels} + {bias})·{self.filters} = {parameters:,} parameters",
        )

    def _spread(self, length: int, window: int, stride: int) -> tuple[int, str]:
        """The output's size in one direction, and how it comes about."""
        if self.padding == "same":
            return length * stride, f"{length}·{stride} = {length * stride}"
        result = (length - 1) * stride + max(window, stride)
        return result, f"({length} - 1)·{stride} + {max(window, stride)} = {result}"

    @property
    def label(self) -> str:
        fh, fw = pair(self.kernel_size)
        return f"deconv{self.filters}({fh}x{fw})"
