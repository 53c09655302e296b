"""The fully connected layer, and activations as layers of their own."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from experiments.activations import ActivationChoice
from experiments.initializers import InitializerSpec
from experiments.layers.base import DataFormat, Forecast, Layer, OneKernel, Shape, Units, Wanted, refuse, size
from experiments.regularizers import RegularizerSpec


class Dense(OneKernel):
    """a = f(x W + b), W of (inputs, units); over a sequence: the same W at every step."""

    keras_name: ClassVar[str] = "Dense"
    formula: ClassVar[str] = "a = f(x W + b); parameters (inputs + 1) · units"
    reference: ClassVar[str] = "Rosenblatt 1958"
    wants: ClassVar[Wanted] = "vector"
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
    activates: ClassVar[bool] = True
    type: Literal["activation"] = "activation"
    activation: ActivationChoice | None = None

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        return Forecast(output_shape=shape, flops=size(shape))

    @property
    def label(self) -> str:
        return ""


class PReLU(Layer):
    """ReLU with a slope α below 0 that is learnt: of every number, or shared along axes (1: the first after the batch)."""

    keras_name: ClassVar[str] = "PReLU"
    formula: ClassVar[str] = "a = max(0, z) + α min(0, z); an α for each number that is not shared"
    reference: ClassVar[str] = "He et al. 2015, arXiv:1502.01852"
    kinked: ClassVar[bool] = True
    activates: ClassVar[bool] = True
    type: Literal["prelu"] = "prelu"
    alpha_initializer: InitializerSpec | None = None
    alpha_regularizer: RegularizerSpec | None = None
    shared_axes: (
        Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=3)], ...], Field(max_length=3)] | None
    ) = None
    """He et al. share α within a channel: [1, 2] of images in channels-last order."""

    def drawn(self) -> dict[str, str]:
        return {"alpha": "alpha_initializer"}

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        shared = set(self.shared_axes or ())
        if shared and max(shared) > len(shape):
            raise refuse(
                "shared_axes",
                f"axis {max(shared)} of a sample with {len(shape)} dimensions",
                f"axes from 1 to {len(shape)}",
            )
        slopes = [1 if axis in shared else length for axis, length in enumerate(shape, start=1)]
        return Forecast(
            output_shape=shape,
            parameters=prod(slopes),
            flops=3 * size(shape),
            formula=f"{'·'.join(map(str, slopes))} = {prod(slopes):,} parameters",
        )
