"""Pooling over a whole image or sequence: one number for each channel."""

from __future__ import annotations

from typing import ClassVar, Literal

from experiments.layers.base import DataFormat, Forecast, Layer, Shape, Wanted, size, spatial


class GlobalPool(Layer):
    """Each channel's one value instead of all its places. Abstract."""

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        channels = shape[-1] if len(shape) == 2 else spatial(shape, data_format)[2]
        return Forecast(
            output_shape=(channels,),
            flops=size(shape),
            formula=f"{size(shape) // channels} places of each of {channels} channels -> 1",
        )


class GlobalAveragePool2D(GlobalPool):
    keras_name: ClassVar[str] = "GlobalAveragePooling2D"
    formula: ClassVar[str] = "mean of each channel over the image"
    reference: ClassVar[str] = "Lin, Chen & Yan 2014, arXiv:1312.4400"
    wants: ClassVar[Wanted] = "image"
    has_data_format: ClassVar[bool] = True
    type: Literal["global_average_pool2d"] = "global_average_pool2d"

    @property
    def label(self) -> str:
        return "gap"


class GlobalMaxPool2D(GlobalPool):
    keras_name: ClassVar[str] = "GlobalMaxPooling2D"
    formula: ClassVar[str] = "max of each channel over the image"
    wants: ClassVar[Wanted] = "image"
    has_data_format: ClassVar[bool] = True
    kinked: ClassVar[bool] = True
    type: Literal["global_max_pool2d"] = "global_max_pool2d"

    @property
    def label(self) -> str:
        return "gmp"


class GlobalAveragePool1D(GlobalPool):
    keras_name: ClassVar[str] = "GlobalAveragePooling1D"
    formula: ClassVar[str] = "mean of each feature over the steps"
    wants: ClassVar[Wanted] = "sequence"
    type: Literal["global_average_pool1d"] = "global_average_pool1d"

    @property
    def label(self) -> str:
        return "gap"


class GlobalMaxPool1D(GlobalPool):
    keras_name: ClassVar[str] = "GlobalMaxPooling1D"
    formula: ClassVar[str] = "max of each feature over the steps"
    reference: ClassVar[str] = "Collobert et al. 2011; Kim 2014, arXiv:1408.5882"
    wants: ClassVar[Wanted] = "sequence"
    kinked: ClassVar[bool] = True
    type: Literal["global_max_pool1d"] = "global_max_pool1d"

    @property
    def label(self) -> str:
        return "gmp"
