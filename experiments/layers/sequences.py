"""Convolution and pooling over sequences (steps, features). An image is read row by row."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from experiments.layers.base import DataFormat, Forecast, Layer, OneKernel, Shape, Units, Wanted
from experiments.layers.windows import Edge, Padding, Slide, slide


class Conv1D(OneKernel):
    keras_name: ClassVar[str] = "Conv1D"
    formula: ClassVar[str] = "steps₂ = ⌊(steps₁ - F)/S⌋ + 1; parameters (F·features + 1) · filters"
    reference: ClassVar[str] = "Waibel et al. 1989; van den Oord et al. 2016, arXiv:1609.03499 (causal)"
    wants: ClassVar[Wanted] = "sequence"
    lanes: ClassVar[bool] = False
    alone: ClassVar[bool] = True
    type: Literal["conv1d"] = "conv1d"
    filters: Units
    kernel_size: Edge
    strides: Edge = 1
    padding: Literal["valid", "same", "causal"] = "valid"
    """causal: an output depends on no later step."""
    dilation_rate: Edge = 1

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if self.strides > 1 and self.dilation_rate > 1:
            raise PydanticCustomError(
                "misfit", "strides and dilation_rate are both above 1", {"allowed": "one of them 1"}
            )
        return self

    def weight_shapes(self, shape: Shape, data_format: DataFormat) -> dict[str, Shape]:
        kernel = (self.kernel_size, shape[-1], self.filters)
        return {"kernel": kernel, **({"bias": (self.filters,)} if self.use_bias else {})}

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        steps, features = shape
        padding: Padding = "valid" if self.padding == "valid" else "same"
        out = slide(steps, self.kernel_size, self.strides, padding, self.dilation_rate, "kernel_size")
        bias, fan_in = int(self.use_bias), self.kernel_size * features
        parameters = (fan_in + bias) * self.filters
        return Forecast(
            output_shape=(out.size, self.filters),
            parameters=parameters,
            flops=out.size * self.filters * (2 * fan_in - 1 + bias),
            formula=f"{out.formula}; ({self.kernel_size}·{features} + {bias})·{self.filters} = {parameters:,} parameters",
            warnings=_unread(out),
        )

    @property
    def label(self) -> str:
        return f"conv{self.filters}({self.kernel_size})"


class Pool1D(Layer):
    """A window's one value instead of all of it; feature by feature, no parameters."""

    wants: ClassVar[Wanted] = "sequence"
    pool_size: Edge = 2
    strides: Edge | None = None
    """None: as large as the window."""
    padding: Padding = "valid"

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        steps, features = shape
        out = slide(steps, self.pool_size, self.strides or self.pool_size, self.padding, field="pool_size")
        return Forecast(
            output_shape=(out.size, features),
            flops=out.size * features * self.pool_size,
            formula=out.formula,
            warnings=_unread(out),
        )


class MaxPool1D(Pool1D):
    keras_name: ClassVar[str] = "MaxPooling1D"
    formula: ClassVar[str] = "max of the window"
    kinked: ClassVar[bool] = True
    type: Literal["max_pool1d"] = "max_pool1d"

    @property
    def label(self) -> str:
        return "maxpool"


class AveragePool1D(Pool1D):
    keras_name: ClassVar[str] = "AveragePooling1D"
    formula: ClassVar[str] = "mean of the window"
    type: Literal["average_pool1d"] = "average_pool1d"

    @property
    def label(self) -> str:
        return "avgpool"


def _unread(out: Slide) -> tuple[str, ...]:
    """The warning for the end that no window reaches."""
    return (f"the last {out.unread} of the steps are never read ({out.formula})",) if out.unread else ()
