"""Tensors whose derivative is 0 in every right program: biases that what follows removes."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.layers import (
    ActivationLayer,
    BatchNormalization,
    Flatten,
    Join,
    Layer,
    MultiHeadAttention,
    Recurrent,
    Weighted,
)
from experiments.layers.normalization import channel_axis
from experiments.networks import INPUT
from experiments.runs import RunSpec

NORMALISATION = "batch normalisation removes it: its derivative is 0"
SOFTMAX = "softmax removes it: its derivative is 0"


def removed_biases(spec: RunSpec, names: Sequence[str]) -> dict[str, str]:
    """The tensors, by name, whose effect is subtracted again, and by what.

    A softmax takes the bias of an attention's keys out: it adds the same number to all scores of a query, and softmax(s + c)
    is softmax(s).

    The mean over the batch contains a bias whole: x + b − mean(x + b) = x − mean(x) (Ioffe & Szegedy 2015, section
    3.2). That holds for the bias of a linear dense or convolutional layer, for the beta of a batch normalisation, and for
    the biases of an attention's output and values (whose shares add up to 1), where a batch normalisation over the same
    features comes next.

    Args:
        spec: The run whose network it is.
        names: `<layer>/<variable>` of every trainable tensor.
    """
    layers, readers = spec.model.layers, _readers(spec)
    removed: dict[str, str] = {}
    for index, (name, layer) in enumerate(zip(spec.model.names, layers, strict=True)):
        removed |= {f"{name}/{weight}": SOFTMAX for weight in layer.idle}
        if _normalised_next(spec, readers, index):
            removed |= {f"{name}/{weight}": NORMALISATION for weight in _added(layer)}
    return {name: removed[name] for name in names if name in removed}


def _readers(spec: RunSpec) -> list[list[int]]:
    """Of each layer the indices of those that read it."""
    readers: list[list[int]] = [[] for _ in spec.model.layers]
    for index, sources in enumerate(spec.model.wiring):
        for source in sources:
            if source != INPUT:
                readers[source].append(index)
    return readers


def _added(layer: Layer) -> tuple[str, ...]:
    """The weights of a layer that are added to its outputs, each to one feature."""
    if isinstance(layer, Weighted) and not isinstance(layer, Recurrent):
        linear = layer.activation in (None, "linear") and layer.activity_regularizer is None
        return ("bias",) if linear else ()
    if isinstance(layer, MultiHeadAttention):
        return ("value_bias", "output_bias")
    return ("beta",) if isinstance(layer, BatchNormalization) else ()


def _normalised_next(spec: RunSpec, readers: Sequence[Sequence[int]], index: int) -> bool:
    """Whether a batch normalisation comes next on every way from a layer on."""
    return bool(readers[index]) and all(_removes(spec, readers, index, later) for later in readers[index])


def _removes(spec: RunSpec, readers: Sequence[Sequence[int]], index: int, later: int) -> bool:
    layer = spec.model.layers[later]
    if isinstance(layer, BatchNormalization):
        shape = spec.forecast.layers[index].output_shape
        feature = channel_axis(shape, spec.model.data_format) % (len(shape) + 1)
        return layer.axis is None or layer.axis % (len(shape) + 1) == feature
    linear = isinstance(layer, ActivationLayer) and layer.activation == "linear"
    return (linear or isinstance(layer, Flatten | Join)) and _normalised_next(spec, readers, later)
