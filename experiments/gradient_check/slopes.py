"""Activations with their slopes, written out by hand in NumPy, for `backprop`.

Each entry gives φ(z) and the pull-back z, a, g ↦ gᵀ ∂φ/∂z, where a = φ(z) and g = ∂E/∂a. For a function
that acts on each unit alone the pull-back is g · φ′(z); softmax and its logarithm mix the units of a row.
Parameters that Keras gives a function (negative_slope, alpha, …) have Keras' defaults. At a kink the slope
is one of the two one-sided slopes; a gradient check never looks there. Sparsemax is missing on purpose:
Keras 3.15 computes its threshold wrongly (keras-team/keras#23425), so the formula and Keras disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, expit

from experiments.activations import ActivationChoice, activation
from experiments.engine import lane_numbers

Array = NDArray[np.floating]

ROOT_HALF = float(np.sqrt(0.5))
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. (2017), arXiv:1706.02515


@dataclass(frozen=True)
class Slope:
    """φ(z), and the pull-back of g = ∂E/∂a to ∂E/∂z; every array (n, units)."""

    value: Callable[[Array], Array]
    pull: Callable[[Array, Array, Array], Array]


def _each(value: Callable[[Array], Array], slope: Callable[[Array, Array], Array]) -> Slope:
    """A function of each unit alone, with φ′ as a function of z and a = φ(z)."""
    return Slope(value, lambda z, a, g: g * slope(z, a))


def _constant(value: float) -> float:
    """A constant of Keras as its backend gets it: in single precision on TensorFlow, whatever the precision of the rest."""
    return float(np.float32(value)) if lane_numbers.rounds() else value


def _gelu_slope(z: Array, root: float) -> Array:
    slope: Array = 0.5 * erfc(-z * root) + z * root * np.exp(-((z * root) ** 2)) / np.sqrt(np.pi)
    return slope


def _between(z: Array, low: float, high: float) -> Array:
    return ((z > low) & (z < high)).astype(np.float64)


def _softplus(z: Array) -> Array:
    value: Array = np.logaddexp(z, 0.0)
    return value


def _mish_slope(z: Array, a: Array) -> Array:
    t = np.tanh(_softplus(z))
    slope: Array = t + z * (1 - t * t) * expit(z)
    return slope


def _exp(z: Array) -> Array:
    """exp of the negative part only: the other branch of a `where` must not overflow."""
    value: Array = np.exp(np.minimum(z, 0.0))
    return value


def _softmax(z: Array) -> Array:
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    p: Array = e / np.sum(e, axis=-1, keepdims=True)
    return p


def _log_softmax(z: Array) -> Array:
    shifted = z - np.max(z, axis=-1, keepdims=True)
    value: Array = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    return value


SLOPES: dict[str, Slope] = {
    "linear": _each(lambda z: z, lambda z, a: np.ones_like(z)),
    "sigmoid": _each(expit, lambda z, a: a * (1 - a)),
    "tanh": _each(np.tanh, lambda z, a: 1 - a * a),
    "relu": _each(lambda z: np.maximum(z, 0.0), lambda z, a: (z > 0) * 1.0),
    "relu6": _each(lambda z: np.clip(z, 0.0, 6.0), lambda z, a: _between(z, 0.0, 6.0)),
    "leaky_relu": _each(
        lambda z: np.where(z > 0, z, _constant(0.2) * z), lambda z, a: np.where(z > 0, 1.0, _constant(0.2))
    ),
    "elu": _each(lambda z: np.where(z > 0, z, _exp(z) - 1), lambda z, a: np.where(z > 0, 1.0, a + 1)),
    "celu": _each(lambda z: np.where(z > 0, z, _exp(z) - 1), lambda z, a: np.where(z > 0, 1.0, a + 1)),
    "selu": _each(
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * (_exp(z) - 1)),
        lambda z, a: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * _exp(z)),
    ),
    "exponential": _each(np.exp, lambda z, a: a),
    "gelu": _each(  # z Φ(z), Φ the normal distribution
        lambda z: 0.5 * z * erfc(-z * _constant(ROOT_HALF)), lambda z, a: _gelu_slope(z, _constant(ROOT_HALF))
    ),
    "silu": _each(lambda z: z * expit(z), lambda z, a: a + expit(z) * (1 - a)),
    "mish": _each(lambda z: z * np.tanh(_softplus(z)), _mish_slope),
    "softplus": _each(_softplus, lambda z, a: expit(z)),
    "log_sigmoid": _each(lambda z: -_softplus(-z), lambda z, a: expit(-z)),
    "softsign": _each(lambda z: z / (1 + np.abs(z)), lambda z, a: 1 / (1 + np.abs(z)) ** 2),
    "squareplus": _each(
        lambda z: 0.5 * (z + np.sqrt(z * z + 4)), lambda z, a: 0.5 * (1 + z / np.sqrt(z * z + 4))
    ),
    "hard_sigmoid": _each(lambda z: np.clip(z + 3, 0, 6) / 6, lambda z, a: _between(z, -3, 3) / 6),
    "hard_silu": _each(
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z, a: np.clip(z + 3, 0, 6) / 6 + z * _between(z, -3, 3) / 6,
    ),
    "hard_tanh": _each(lambda z: np.clip(z, -1.0, 1.0), lambda z, a: _between(z, -1, 1)),
    "soft_shrink": _each(
        lambda z: np.sign(z) * np.maximum(np.abs(z) - 0.5, 0.0), lambda z, a: (np.abs(z) > 0.5) * 1.0
    ),
    "hard_shrink": _each(lambda z: z * (np.abs(z) > 0.5), lambda z, a: (np.abs(z) > 0.5) * 1.0),
    "tanh_shrink": _each(lambda z: z - np.tanh(z), lambda z, a: np.tanh(z) ** 2),
    "sparse_plus": _each(
        lambda z: np.where(z <= -1, 0.0, np.where(z < 1, 0.25 * (z + 1) ** 2, z)),
        lambda z, a: np.clip(0.5 * (z + 1), 0.0, 1.0),
    ),
    "sparse_sigmoid": _each(
        lambda z: np.clip(0.5 * (z + 1), 0.0, 1.0), lambda z, a: 0.5 * _between(z, -1, 1)
    ),
    # The step has no useful slope; by decree it counts as 1, which makes gradient descent the delta rule.
    "step": _each(lambda z: (z >= 0) * 1.0, lambda z, a: np.ones_like(z)),
    "softmax": Slope(_softmax, lambda z, a, g: a * (g - np.sum(g * a, axis=-1, keepdims=True))),
    "log_softmax": Slope(_log_softmax, lambda z, a, g: g - np.exp(a) * np.sum(g, axis=-1, keepdims=True)),
}


def covered(choice: ActivationChoice) -> bool:
    """Whether the slope of an activation is written out here, or follows from its formula."""
    return not isinstance(choice, str) or choice in SLOPES


def slope_of(choice: ActivationChoice) -> Slope:
    """An entry of `SLOPES`; of a formula its symbolic derivative."""
    entry = activation(choice)
    known = entry.study
    if known is None:
        return SLOPES[entry.name]
    return _each(known.value, lambda z, a: known.slope_at(z))
