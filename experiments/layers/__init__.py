"""The layers of a model, one frozen class each, and their union."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from experiments.layers.base import DataFormat, Forecast, Layer, Shape, Weighted
from experiments.layers.convolution import Conv2D, ZeroPadding2D
from experiments.layers.dense import ActivationLayer, Dense
from experiments.layers.normalization import BatchNormalization, LayerNormalization, UnitNormalization
from experiments.layers.pooling import AveragePool2D, MaxPool2D, Pool2D, StochasticPool2D
from experiments.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from experiments.layers.shaping import Dropout, Flatten, Reshape

LayerSpec = Annotated[
    Dense | Conv2D | ZeroPadding2D | MaxPool2D | AveragePool2D | StochasticPool2D | Flatten | Reshape |
    Dropout
    | ActivationLayer | SimpleRNN | LSTM | GRU | BatchNormalization | LayerNormalization | UnitNormalization,
    Field(discriminator="type"),
]  # fmt: skip

LAYERS: dict[str, type[Layer]] = {
    str(entry.model_fields["type"].default): entry
    for entry in (
        Dense, Conv2D, ZeroPadding2D, MaxPool2D, AveragePool2D, StochasticPool2D, Flatten, Reshape, Dropout,
        ActivationLayer, SimpleRNN, LSTM, GRU, BatchNormalization, LayerNormalization, UnitNormalization,
    )
}  # fmt: skip

__all__ = [
    "GRU",
    "LAYERS",
    "LSTM",
    "ActivationLayer",
    "AveragePool2D",
    "BatchNormalization",
    "Conv2D",
    "DataFormat",
    "Dense",
    "Dropout",
    "Flatten",
    "Forecast",
    "Layer",
    "LayerNormalization",
    "LayerSpec",
    "MaxPool2D",
    "Pool2D",
    "Recurrent",
    "Reshape",
    "Shape",
    "SimpleRNN",
    "StochasticPool2D",
    "UnitNormalization",
    "Weighted",
    "ZeroPadding2D",
]
