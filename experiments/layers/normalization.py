"""Normalisation over the batch, over the features of one sample, and to length one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from experiments.fields import Flag, Positive, UnitInterval
from experiments.initializers import InitializerSpec
from experiments.layers.base import DataFormat, Forecast, Layer, Shape, Wanted, refuse, size
from experiments.regularizers import RegularizerSpec

Axis = Annotated[int, Field(strict=True, ge=-3, le=3)]


def channel_axis(shape: Shape, data_format: DataFormat) -> int:
    """Keras' axis (the batch is 0) of an image's channels, else the last."""
    return 1 if len(shape) == 3 and data_format == "channels_first" else -1


def along(axis: int | None, shape: Shape, data_format: DataFormat) -> int:
    """The size along Keras' `axis`. Raises SpecError where there is none."""
    axis = channel_axis(shape, data_format) if axis is None else axis
    index = axis if axis < 0 else axis - 1
    if axis == 0 or not -len(shape) <= index < len(shape):
        raise refuse(
            "axis", f"axis {axis} of a sample with {len(shape)} dimensions", f"1 to {len(shape)}, or -1"
        )
    return shape[index]


def _gamma_and_beta(scale: bool, center: bool) -> dict[str, str]:
    """As `Layer.drawn`."""
    there = {"gamma": scale, "beta": center}
    return {name: f"{name}_initializer" for name, present in there.items() if present}


class BatchNormalization(Layer):
    keras_name: ClassVar[str] = "BatchNormalization"
    formula: ClassVar[str] = "gamma (x - mean) / sqrt(var + epsilon) + beta, over the batch"
    keeps_sign: ClassVar[bool] = False
    reference: ClassVar[str] = "Ioffe & Szegedy 2015, arXiv:1502.03167"
    coupled: ClassVar[bool] = True
    type: Literal["batch_normalization"] = "batch_normalization"
    axis: Axis | None = None
    """None: the channels of an image, else the features."""
    momentum: UnitInterval = 0.99
    epsilon: Positive = 0.001
    center: Flag = True
    scale: Flag = True
    beta_initializer: InitializerSpec | None = None
    gamma_initializer: InitializerSpec | None = None
    beta_regularizer: RegularizerSpec | None = None
    gamma_regularizer: RegularizerSpec | None = None

    def drawn(self) -> dict[str, str]:
        return _gamma_and_beta(self.scale, self.center)

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        features = along(self.axis, shape, data_format)
        vectors = int(self.center) + int(self.scale) + 2
        return Forecast(
            output_shape=shape,
            parameters=vectors * features,
            frozen=2 * features,
            flops=4 * size(shape),
            formula=f"{vectors}·{features} = {vectors * features:,} parameters, "
            f"{2 * features:,} of them not trained",
        )

    @property
    def label(self) -> str:
        return "bn"


class LayerNormalization(Layer):
    keras_name: ClassVar[str] = "LayerNormalization"
    formula: ClassVar[str] = "gamma (x - mean) / sqrt(var + epsilon) + beta, over the features of one sample"
    keeps_sign: ClassVar[bool] = False
    reference: ClassVar[str] = "Ba, Kiros & Hinton 2016, arXiv:1607.06450"
    type: Literal["layer_normalization"] = "layer_normalization"
    axis: Axis | None = None
    epsilon: Positive = 0.001
    center: Flag = True
    scale: Flag = True
    beta_initializer: InitializerSpec | None = None
    gamma_initializer: InitializerSpec | None = None
    beta_regularizer: RegularizerSpec | None = None
    gamma_regularizer: RegularizerSpec | None = None

    def drawn(self) -> dict[str, str]:
        return _gamma_and_beta(self.scale, self.center)

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        features = along(self.axis, shape, data_format)
        vectors = int(self.center) + int(self.scale)
        return Forecast(
            output_shape=shape,
            parameters=vectors * features,
            flops=8 * size(shape),
            formula=f"{vectors}·{features} = {vectors * features:,} parameters",
        )

    @property
    def label(self) -> str:
        return "ln"


class UnitNormalization(Layer):
    """Each sample divided by its length: what the circle loss wants as an embedding."""

    keras_name: ClassVar[str] = "UnitNormalization"
    formula: ClassVar[str] = "x / |x|"
    wants: ClassVar[Wanted] = "vector"
    type: Literal["unit_normalization"] = "unit_normalization"

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        return Forecast(output_shape=shape, flops=3 * size(shape))

    @property
    def label(self) -> str:
        return "unit"
