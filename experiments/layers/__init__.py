"""The layers of a model, one frozen class each, and their union."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from experiments.layers.attention import Attention, MultiHeadAttention, SelfAttention
from experiments.layers.base import DataFormat, Forecast, Layer, OneKernel, Shape, Weighted
from experiments.layers.composites import Bidirectional, Branches, Composite, Residual
from experiments.layers.convolution import Conv2D, ZeroPadding2D
from experiments.layers.dense import ActivationLayer, Dense, PReLU
from experiments.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from experiments.layers.global_pooling import (
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
)
from experiments.layers.joins import Add, Average, ChannelPadding, Concatenate, Join, Reverse
from experiments.layers.normalization import BatchNormalization, LayerNormalization, UnitNormalization
from experiments.layers.pooling import AveragePool2D, MaxPool2D, Pool2D, StochasticPool2D
from experiments.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from experiments.layers.sequences import AveragePool1D, Conv1D, MaxPool1D, Pool1D
from experiments.layers.shaping import Dropout, Flatten, Reshape
from experiments.layers.tokens import Embedding
from experiments.layers.transposed import Conv2DTranspose

Plain = (
    Dense | Conv2D | SeparableConv2D | DepthwiseConv2D | Conv2DTranspose | ZeroPadding2D | MaxPool2D | AveragePool2D
    | StochasticPool2D | GlobalAveragePool2D | GlobalMaxPool2D | Flatten | Reshape | Dropout
    | Conv1D | MaxPool1D | AveragePool1D | GlobalAveragePool1D | GlobalMaxPool1D
    | Embedding | Attention | MultiHeadAttention
    | ActivationLayer | PReLU | SimpleRNN | LSTM | GRU | BatchNormalization | LayerNormalization | UnitNormalization
)  # fmt: skip
"""Layers that a spec may have and that are built as they are."""
Composed = Residual | Branches | Bidirectional
"""Layers that a spec may have and that are written out (spec/resolve.py)."""
Joining = Add | Average | Concatenate | ChannelPadding | Reverse
"""Layers that a composite becomes, and that no spec has."""

LayerSpec = Annotated[Plain | Composed, Field(discriminator="type")]
"""A layer of a spec."""
ListedLayer = Annotated[Plain | Composed | Joining, Field(discriminator="type")]
"""A layer of `model.layers`: joins are among them where `model.inputs` says what each layer reads."""
BuiltLayer = Annotated[Plain | Joining, Field(discriminator="type")]
"""A layer of a network in full."""
LAYERS: dict[str, type[Layer]] = {
    str(entry.model_fields["type"].default): entry for entry in get_args(Plain | Composed)
}
for composite in get_args(
    Composed
):  # its fields hold layers, so that it is not complete before all of them are
    composite.model_rebuild(_types_namespace={"LayerSpec": LayerSpec})

__all__ = [
    "GRU",
    "LAYERS",
    "LSTM",
    "ActivationLayer",
    "Add",
    "Attention",
    "Average",
    "AveragePool1D",
    "AveragePool2D",
    "BatchNormalization",
    "Bidirectional",
    "Branches",
    "BuiltLayer",
    "ChannelPadding",
    "Composite",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "DataFormat",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Flatten",
    "Forecast",
    "GlobalAveragePool1D",
    "GlobalAveragePool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "Join",
    "Layer",
    "LayerNormalization",
    "LayerSpec",
    "ListedLayer",
    "MaxPool1D",
    "MaxPool2D",
    "MultiHeadAttention",
    "OneKernel",
    "PReLU",
    "Pool1D",
    "Pool2D",
    "Recurrent",
    "Reshape",
    "Residual",
    "Reverse",
    "SelfAttention",
    "SeparableConv2D",
    "Shape",
    "SimpleRNN",
    "StochasticPool2D",
    "UnitNormalization",
    "Weighted",
    "ZeroPadding2D",
]
