"""Backpropagation by hand through dense networks whose layers stand beside each other: residual layers and branches.

The formulas are those of `backprop`. What is new is one rule: where an output is read by several layers, the gradients
that come back from them are added up. Through a sum the gradient passes to every input as it is, through a mean of n inputs
as 1/n of it, through a concatenation each input gets its own share. So a residual layer y = F(x) + x passes δ back
whole, beside what comes back through F: ∂E/∂x = δ + F′(x)ᵀ δ (He et al. 2016, Identity mappings, equation 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.activations import activation
from experiments.gradient_check.backprop import LOSSES, TOGETHER
from experiments.gradient_check.slopes import Array, slope_of
from experiments.layers import ActivationLayer, Add, Average, Concatenate, Dense, Flatten, Layer
from experiments.networks import INPUT
from experiments.runs import RunSpec

Outputs = dict[int, Array]
"""Index of a layer, or INPUT -> its outputs, or the gradient there; (n, …)."""


def covered_layers(layers: Sequence[Layer]) -> bool:
    """Whether there is a formula here for each of these layers."""
    known = (Dense, ActivationLayer, Flatten, Add, Average, Concatenate)
    return all(isinstance(layer, known) for layer in layers) and not any(
        getattr(layer, "activity_regularizer", None) for layer in layers
    )


def branching_gradient(
    spec: RunSpec, weights: Sequence[Array], x: NDArray[np.floating], t: NDArray[np.floating]
) -> list[Array]:
    """The gradient of a run's loss, without weight penalties.

    Args:
        spec: The run; its layers are `covered_layers`.
        weights: Its trainable tensors, layer by layer, kernel before bias.
        x: Inputs, (n, *input).
        t: Targets as the loss takes them, (n, outputs).

    Returns:
        One array per tensor of `weights`.
    """
    own = _owned(spec.model.layers, weights)
    outputs: Outputs = {INPUT: np.asarray(x, np.float64)}
    sums: Outputs = {}
    for index, (layer, sources) in enumerate(zip(spec.model.layers, spec.model.wiring, strict=True)):
        sums[index] = _sum(layer, own[index], [outputs[source] for source in sources], spec)
        chosen = getattr(layer, "activation", None)
        outputs[index] = sums[index] if chosen is None else slope_of(chosen).value(sums[index])
    back: Outputs = {index: np.zeros_like(value) for index, value in outputs.items()}
    gradients: list[list[Array]] = []
    last = len(spec.model.layers) - 1
    for index in range(last, -1, -1):
        layer, sources = spec.model.layers[index], spec.model.wiring[index]
        chosen = getattr(layer, "activation", None)
        if index == last:
            delta = _output_delta(spec, sums[index], outputs[index], np.asarray(t, np.float64))
        elif chosen is None:
            delta = back[index]
        else:
            delta = slope_of(chosen).pull(sums[index], outputs[index], back[index])
        gradients.append(_weights(layer, own[index], outputs[sources[0]], delta))
        read = [outputs[source] for source in sources]
        for source, slope in zip(sources, _pulled(layer, own[index], read, delta, spec), strict=True):
            back[source] = back[source] + slope
    return [array for of_layer in reversed(gradients) for array in of_layer]


def _owned(layers: Sequence[Layer], weights: Sequence[Array]) -> list[list[Array]]:
    """Each layer's own weights."""
    remaining = iter(weights)
    counts = [1 + int(layer.use_bias) if isinstance(layer, Dense) else 0 for layer in layers]
    return [[np.asarray(next(remaining), np.float64) for _ in range(count)] for count in counts]


def _sum(layer: Layer, own: list[Array], inputs: list[Array], spec: RunSpec) -> Array:
    """What a layer makes of its inputs before its activation."""
    if isinstance(layer, Dense):
        weighted: Array = inputs[0] @ own[0]
        return weighted + own[1] if layer.use_bias else weighted
    if isinstance(layer, Flatten):
        return _last(inputs[0], spec).reshape(len(inputs[0]), -1)
    if isinstance(layer, Concatenate):
        return np.concatenate(inputs, axis=_axis(layer))
    total: Array = sum(inputs[1:], inputs[0])
    return total / len(inputs) if isinstance(layer, Average) else total


def _output_delta(spec: RunSpec, z: Array, y: Array, t: Array) -> Array:
    """∂E/∂z of the last layer, E the mean over the points."""
    chosen = getattr(spec.model.layers[-1], "activation", "linear")
    together = TOGETHER.get((activation(chosen).name, spec.loss.name))
    if together is not None:
        return together[1](z, t) / len(t)
    return slope_of(chosen).pull(z, y, LOSSES[spec.loss.name].slope(t, y) / len(t))


def _weights(layer: Layer, own: list[Array], inputs: Array, delta: Array) -> list[Array]:
    """∂E/∂W and ∂E/∂b of a dense layer; nothing of every other."""
    if not isinstance(layer, Dense):
        return []
    rows, deltas = inputs.reshape(-1, inputs.shape[-1]), delta.reshape(-1, delta.shape[-1])
    return [rows.T @ deltas, *([deltas.sum(axis=0)] if layer.use_bias else [])]


def _pulled(layer: Layer, own: list[Array], inputs: list[Array], delta: Array, spec: RunSpec) -> list[Array]:
    """∂E/∂input for each input."""
    if isinstance(layer, Dense):
        return [delta @ own[0].T]
    if isinstance(layer, Flatten):
        return [_as_given(delta.reshape(_last(inputs[0], spec).shape), spec)]
    if isinstance(layer, Concatenate):
        ends = np.cumsum([value.shape[_axis(layer)] for value in inputs])[:-1]
        return list(np.split(delta, ends, axis=_axis(layer)))
    return [delta / len(inputs) if isinstance(layer, Average) else delta for _ in inputs]


def _axis(layer: Concatenate) -> int:
    return -1 if layer.axis is None else layer.axis


def _last(images: Array, spec: RunSpec) -> Array:
    """Images with their channels last, in which order Keras flattens them."""
    return np.moveaxis(images, 1, -1) if _channels_first(images, spec) else images


def _as_given(images: Array, spec: RunSpec) -> Array:
    """The inverse of `_last`."""
    return np.moveaxis(images, -1, 1) if _channels_first(images, spec) else images


def _channels_first(images: Array, spec: RunSpec) -> bool:
    return images.ndim == 4 and spec.model.data_format == "channels_first"
