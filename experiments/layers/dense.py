"""The fully connected layer, and the activation as a layer of its own."""

from __future__ import annotations

from typing import ClassVar, Literal

from experiments.activations import ActivationChoice
from experiments.layers.base import DataFormat, Forecast, Layer, Shape, Units, Weighted, size


class Dense(Weighted):
    """a = f(x W + b), W of (inputs, units); over a sequence: the same W at every step."""

    keras_name: ClassVar[str] = "Dense"
    formula: ClassVar[str] = "a = f(x W + b); parameters (inputs + 1) · units"
    reference: ClassVar[str] = "Rosenblatt 1958"
    wants: ClassVar[Literal["any", "vector", "sequence", "image"]] = "vector"
    type: Literal["dense"] = "dense"
    units: Units

    def weight_shapes(self, shape: Shape, data_format: DataFormat) -> dict[str, Shape]:
        return {"kernel": (shape[-1], self.units), **({"bias": (self.units,)} if self.use_bias else {})}

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        inputs, bias = shape[-1], int(self.use_bias)
        parameters = (inputs + bias) * self.units
        return Forecast(
            output_shape=(*shape[:-1], self.units),
            parameters=parameters,
            flops=size(shape[:-1]) * (2 * inputs - 1 + bias) * self.units,
            formula=f"({inputs} + {bias})·{self.units} = {parameters:,} parameters",
        )

    @property
    def label(self) -> str:
        return str(self.units)


class ActivationLayer(Layer):
    keras_name: ClassVar[str] = "Activation"
    formula: ClassVar[str] = "a = f(z)"
    default_activation: ClassVar[str | None] = "relu"
    type: Literal["activation"] = "activation"
    activation: ActivationChoice | None = None

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        return Forecast(output_shape=shape, flops=size(shape))

    @property
    def label(self) -> str:
        return ""
