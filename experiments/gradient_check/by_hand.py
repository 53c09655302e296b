"""The gradient of a run by hand, where there are formulas for its layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.gradient_check.backprop import Layer, backprop, covers
from experiments.gradient_check.branching import branching_gradient, covered_layers
from experiments.gradient_check.slopes import Array
from experiments.layers import ActivationLayer, Dense, Flatten
from experiments.runs import RunSpec


def network_gradient(
    spec: RunSpec, weights: Sequence[Array], x: NDArray[np.floating], t: NDArray[np.floating]
) -> list[Array] | None:
    """The gradient of a run's loss by the formulas of `backprop` and `branching`, without weight penalties.

    Args:
        spec: The run whose network is differentiated.
        weights: Its trainable tensors, in the model's order.
        x: Inputs, (n, *input).
        t: Targets as the loss takes them, (n, outputs).

    Returns:
        One array per tensor of `weights`; None where the formulas do not cover the network. They cover dense layers
        in a row or beside each other, with the activations and losses of `backprop`.
    """
    changed = {"name", "from_logits", "label_smoothing"}  # arguments that change the loss' formula
    if (
        spec.training.class_weight
        or spec.loss.integer_targets
        or any(spec.loss.arguments().get(name) for name in changed)
    ):
        return None
    if spec.model.inputs:
        known = covered_layers(spec.model.layers) and covers(spec.model.activations, spec.loss.name)
        return branching_gradient(spec, weights, x, t) if known else None
    layers = _dense_layers(spec, weights)
    if layers is None or not covers([layer.activation for layer in layers], spec.loss.name):
        return None
    _, gradients = backprop(layers, x.reshape(len(x), -1), t, spec.loss.name)
    return [array for g in gradients for array in ((g.kernel,) if g.bias is None else (g.kernel, g.bias))]


def _dense_layers(spec: RunSpec, weights: Sequence[Array]) -> list[Layer] | None:
    """Dense layers with their activations; an activation layer after a linear one belongs to it."""
    layers: list[Layer] = []
    remaining = [np.asarray(weight, np.float64) for weight in weights]
    for entry in spec.model.layers:
        if isinstance(entry, Dense) and not entry.activity_regularizer:
            kernel = remaining.pop(0)
            bias = remaining.pop(0) if entry.use_bias else None
            layers.append(Layer(kernel, bias, entry.activation or "linear"))
        elif isinstance(entry, ActivationLayer) and layers and layers[-1].activation == "linear":
            layers[-1] = Layer(layers[-1].kernel, layers[-1].bias, entry.activation or "linear")
        elif not (isinstance(entry, Flatten) and not layers):
            return None
    return layers or None
