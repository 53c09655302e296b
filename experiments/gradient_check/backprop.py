"""Backpropagation by hand: the formulas of a textbook for dense networks, in NumPy, float64.

Notation, for layers l = 1 … L and n points, one point a row::

    a⁰ = x                                  # (n, inputs)
    zˡ = aˡ⁻¹ Wˡ + bˡ                       # (n, units)      weighted sum
    aˡ = φˡ(zˡ)                             # (n, units)      activation
    E  = 1/n · Σ over points of e(t, aᴸ)    #                 error, a number
    δˡ = ∂E/∂zˡ                             # (n, units)
    δᴸ = φᴸ′(zᴸ) · ∂E/∂aᴸ                   #                 softmax and cross-entropy together: (y − t)/n
    δˡ = φˡ′(zˡ) · (δˡ⁺¹ Wˡ⁺¹ᵀ)             #                 hidden: for the sigmoid a(1 − a) Σ w δ
    ∂E/∂Wˡ = aˡ⁻¹ᵀ δˡ,   ∂E/∂bˡ = Σ δˡ      #                 the sum over the points

Gradient descent then moves by Δw = −η ∂E/∂w. For one point, the sigmoid and half the squared error this
is the textbook's Δw = η δ x with δ = y(1 − y)(t − y): there δ points downhill, here uphill.

This module is one of three independent ways to the same gradient (`gradient_check` has the others); `by_hand` applies it to
a run. It imports
neither Keras nor a backend. Source: Rumelhart, Hinton & Williams (1986), "Learning representations by
back-propagating errors", Nature 323; Nielsen (2015), "Neural Networks and Deep Learning", ch. 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.activations import ActivationChoice, activation
from experiments.gradient_check.slopes import SLOPES, Array, covered, slope_of

TINY = 1e-7  # Keras clips probabilities to [1e-7, 1 − 1e-7] before it takes their logarithm


@dataclass(frozen=True)
class Layer:
    """One dense layer: kernel (inputs, units), bias (units,) or None, and its activation."""

    kernel: Array
    bias: Array | None
    activation: ActivationChoice


@dataclass(frozen=True)
class LayerGradient:
    """∂E/∂W, of the kernel's shape, and ∂E/∂b, of the bias' shape (None where there is no bias)."""

    kernel: Array
    bias: Array | None


@dataclass(frozen=True)
class Loss:
    """e(t, y) for every point (n,), and ∂e/∂y (n, outputs)."""

    value: Callable[[Array, Array], Array]
    slope: Callable[[Array, Array], Array]


def _clipped(y: Array) -> Array:
    clipped: Array = np.clip(y, TINY, 1.0 - TINY)
    return clipped


def _inside(y: Array) -> Array:
    """1 where clipping leaves y alone, so its slope is 1; else 0."""
    return ((y > TINY) & (y < 1.0 - TINY)).astype(np.float64)


def _normalised(y: Array) -> Array:
    normalised: Array = y / np.sum(y, axis=-1, keepdims=True)
    return normalised


def _cross_entropy_slope(t: Array, y: Array) -> Array:
    """Through the clipping and through the division by the row's sum, which Keras does for any output."""
    q = _normalised(y)
    by_q = -t / _clipped(q) * _inside(q)
    slope: Array = (by_q - np.sum(by_q * q, axis=-1, keepdims=True)) / np.sum(y, axis=-1, keepdims=True)
    return slope


LOSSES: dict[str, Loss] = {
    # e = ½ Σ (t − y)²; the delta rule's error
    "half_squared_error": Loss(lambda t, y: 0.5 * np.sum((t - y) ** 2, axis=-1), lambda t, y: y - t),
    # e = 1/K Σ (t − y)², K outputs: its gradient is 2/K times the one above
    "mean_squared_error": Loss(
        lambda t, y: np.mean((t - y) ** 2, axis=-1), lambda t, y: 2.0 / t.shape[-1] * (y - t)
    ),
    "mean_absolute_error": Loss(
        lambda t, y: np.mean(np.abs(t - y), axis=-1), lambda t, y: np.sign(y - t) / t.shape[-1]
    ),
    # e = −Σ t ln y
    "categorical_crossentropy": Loss(
        lambda t, y: -np.sum(t * np.log(_clipped(_normalised(y))), axis=-1), _cross_entropy_slope
    ),
    # e = −1/K Σ (t ln y + (1 − t) ln(1 − y))
    "binary_crossentropy": Loss(
        lambda t, y: -np.mean(t * np.log(_clipped(y)) + (1 - t) * np.log(1 - _clipped(y)), axis=-1),
        lambda t, y: _inside(y) * (_clipped(y) - t) / (_clipped(y) * (1 - _clipped(y))) / t.shape[-1],
    ),
}


def _log_softmax(z: Array) -> Array:
    shifted = z - np.max(z, axis=-1, keepdims=True)
    log: Array = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    return log


# Output activation and loss whose product is simpler, and exact where y is 0 or 1 to the last bit: from
# z and t to e (n,) and to ∂e/∂z (n, outputs). Keras takes the same short cut.
TOGETHER: dict[tuple[str, str], tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    ("softmax", "categorical_crossentropy"): (
        lambda z, t: -np.sum(t * _log_softmax(z), axis=-1),
        lambda z, t: np.exp(_log_softmax(z)) * np.sum(t, axis=-1, keepdims=True) - t,
    ),
    ("sigmoid", "binary_crossentropy"): (
        lambda z, t: np.mean(np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z))), axis=-1),
        lambda z, t: (SLOPES["sigmoid"].value(z) - t) / t.shape[-1],
    ),
}


def covers(activations: Sequence[ActivationChoice], loss: str) -> bool:
    """Whether this module has a formula for each of these activations and for the loss.

    It has none for softmax with binary cross-entropy, nor for sigmoid with categorical cross-entropy: Keras then
    computes the cross-entropy of the logits without saying so, which is not the formula of the loss.
    """
    crossed = (activations[-1], loss) in {
        ("softmax", "binary_crossentropy"),
        ("sigmoid", "categorical_crossentropy"),
    }
    return loss in LOSSES and all(covered(choice) for choice in activations) and not crossed


def forward(layers: Sequence[Layer], x: Array) -> tuple[list[Array], list[Array]]:
    """One forward pass.

    Args:
        layers: The layers, first to last.
        x: Inputs, (n, inputs).

    Returns:
        Weighted sums z¹ … zᴸ and activations a⁰ … aᴸ, each (n, units).
    """
    z: list[Array] = []
    a: list[Array] = [np.asarray(x, dtype=np.float64)]
    for layer in layers:
        weighted = a[-1] @ layer.kernel
        z.append(weighted if layer.bias is None else weighted + layer.bias)  # (n, units)
        a.append(slope_of(layer.activation).value(z[-1]))
    return z, a


def backprop(
    layers: Sequence[Layer], x: NDArray[np.floating], t: NDArray[np.floating], loss: str
) -> tuple[float, list[LayerGradient]]:
    """The error E and its gradient.

    Args:
        layers: The layers, first to last.
        x: Inputs, (n, inputs).
        t: Targets, (n, outputs).
        loss: A name of `LOSSES`.

    Returns:
        E, the mean over the points, and one gradient per layer, first to last.

    Raises:
        KeyError: There is no formula for an activation or the loss (see `covers`).
    """
    t = np.asarray(t, dtype=np.float64)
    z, a = forward(layers, np.asarray(x, dtype=np.float64))
    n = t.shape[0]
    last = activation(layers[-1].activation).name
    if (last, loss) in TOGETHER:
        error, slope = TOGETHER[last, loss]
        errors, delta = error(z[-1], t), slope(z[-1], t) / n
    else:
        errors = LOSSES[loss].value(t, a[-1])
        delta = slope_of(layers[-1].activation).pull(z[-1], a[-1], LOSSES[loss].slope(t, a[-1]) / n)
    gradients: list[LayerGradient] = []
    for index in range(len(layers) - 1, -1, -1):
        layer = layers[index]
        bias = None if layer.bias is None else np.sum(delta, axis=0)  # (units,)
        gradients.append(LayerGradient(a[index].T @ delta, bias))  # (inputs, units)
        if index > 0:
            below = layers[index - 1].activation
            delta = slope_of(below).pull(z[index - 1], a[index], delta @ layer.kernel.T)  # (n, units below)
    return float(np.mean(errors)), gradients[::-1]


def delta_rule(kernel: Array, bias: Array, x: Array, t: Array, rate: float) -> tuple[Array, Array]:
    """One step of w := w + η x (t − y) for a step neuron, y = 1 where xw + b ≥ 0, else 0.

    Args:
        kernel: w, (inputs, units).
        bias: b, (units,).
        x: Inputs, (n, inputs).
        t: Targets, (n, units).
        rate: η.

    Returns:
        Kernel and bias after one step along the mean over the n points. With n = 1 it is the perceptron's own rule.
    """
    y = SLOPES["step"].value(x @ kernel + bias)
    return kernel + rate * x.T @ (t - y) / len(x), bias + rate * np.mean(t - y, axis=0)
