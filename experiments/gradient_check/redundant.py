"""Biases that a following batch normalisation removes, so that their derivative is 0 in every right program."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.layers import ActivationLayer, BatchNormalization, Conv2D, Dense, Flatten, Layer
from experiments.layers.normalization import channel_axis
from experiments.runs import RunSpec


def removed_biases(spec: RunSpec, names: Sequence[str]) -> frozenset[str]:
    """The tensors, by name, whose effect a batch normalisation subtracts again.

    The mean over the batch contains a bias whole: x + b − mean(x + b) = x − mean(x) (Ioffe & Szegedy 2015, section
    3.2). That holds for the bias of a linear dense or convolutional layer, and for the beta of a batch
    normalisation, where a batch normalisation over the same features comes next.

    Args:
        spec: The run whose network it is.
        names: `<layer>/<variable>` of every trainable tensor.
    """
    layers = spec.model.layers
    removed = {
        f"{index}-{layer.type}/{'beta' if isinstance(layer, BatchNormalization) else 'bias'}"
        for index, layer in enumerate(layers)
        if _adds_a_bias(layer) and _normalised_next(spec, layers, index)
    }
    return frozenset(name for name in names if name in removed)


def _adds_a_bias(layer: Layer) -> bool:
    if isinstance(layer, Dense | Conv2D):
        return layer.activation in (None, "linear") and layer.activity_regularizer is None
    return isinstance(layer, BatchNormalization)


def _normalised_next(spec: RunSpec, layers: Sequence[Layer], index: int) -> bool:
    for later in range(index + 1, len(layers)):
        layer = layers[later]
        if isinstance(layer, BatchNormalization):
            shape = spec.forecast.layers[later - 1].output_shape
            feature = channel_axis(shape, spec.model.data_format) % (len(shape) + 1)
            return layer.axis is None or layer.axis % (len(shape) + 1) == feature
        passes = isinstance(layer, ActivationLayer) and layer.activation == "linear"
        if not (passes or isinstance(layer, Flatten)):
            return False
    return False
