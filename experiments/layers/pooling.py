"""Max, average and stochastic pooling over images, in either data format."""

from __future__ import annotations

from typing import ClassVar, Literal

from experiments.layers.base import DataFormat, Forecast, Layer, Shape, Wanted, image, pair, spatial
from experiments.layers.windows import Padding, Window, slide, unread


class Pool2D(Layer):
    """A window's one value instead of all of it; channel by channel, no parameters."""

    wants: ClassVar[Wanted] = "image"
    has_data_format: ClassVar[bool] = True
    pool_size: Window = 2
    strides: Window | None = None
    """None: as large as the window."""
    padding: Padding = "valid"

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        height, width, channels = spatial(shape, data_format)
        ph, pw = pair(self.pool_size)
        sh, sw = pair(self.strides if self.strides is not None else self.pool_size)
        rows = slide(height, ph, sh, self.padding, field="pool_size")
        columns = slide(width, pw, sw, self.padding, field="pool_size")
        return Forecast(
            output_shape=image(rows.size, columns.size, channels, data_format),
            flops=rows.size * columns.size * channels * ph * pw,
            formula=rows.formula,
            warnings=unread(rows, columns),
        )


class MaxPool2D(Pool2D):
    keras_name: ClassVar[str] = "MaxPooling2D"
    formula: ClassVar[str] = "max of the window"
    kinked: ClassVar[bool] = True
    type: Literal["max_pool2d"] = "max_pool2d"

    @property
    def label(self) -> str:
        return "maxpool"


class AveragePool2D(Pool2D):
    keras_name: ClassVar[str] = "AveragePooling2D"
    formula: ClassVar[str] = "mean of the window"
    type: Literal["average_pool2d"] = "average_pool2d"

    @property
    def label(self) -> str:
        return "avgpool"


class StochasticPool2D(Pool2D):
    """Training: one value of the window, drawn with p = a/Σa. Testing: Σ p a. For inputs that are not negative."""

    keras_name: ClassVar[str] = "StochasticPool2D"
    formula: ClassVar[str] = "training: a_i with probability a_i / Σa; testing: Σ a_i² / Σa"
    reference: ClassVar[str] = "Zeiler & Fergus 2013, arXiv:1301.3557"
    non_negative: ClassVar[bool] = True
    type: Literal["stochastic_pool2d"] = "stochastic_pool2d"

    @property
    def label(self) -> str:
        return "stochpool"
