"""What Keras lacks, the perceptron's step and the delta rule's ½Σ(t−y)², and what of Keras cannot be mapped over lanes."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="gradus")  # type: ignore[untyped-decorator]
def step(z: Any) -> Any:
    """1 where z >= 0, else 0. The backward pass takes f'(z) = 1 (straight-through; Bengio et al. 2013,
    arXiv:1308.3432), which makes gradient descent on ½(t−y)² Rosenblatt's delta rule.
    """
    value = ops.cast(ops.greater_equal(z, 0.0), z.dtype)
    return ops.stop_gradient(value) + (z - ops.stop_gradient(z))


@keras.saving.register_keras_serializable(package="gradus")  # type: ignore[untyped-decorator]
def sparsemax(z: Any) -> Any:
    """The point of the simplex nearest to z, over the last axis: max(z − τ, 0), with τ such that it sums to 1.

    Martins & Astudillo 2016, arXiv:1602.02068, algorithm 1: with z sorted downwards, k is the largest number for
    which 1 + k z₍ₖ₎ exceeds the sum of the first k, and τ = (that sum − 1) / k. Keras 3.15's own adds up the *running*
    sums instead, so that its outputs do not sum to 1: docs/errata.md.
    """
    falling = ops.flip(ops.sort(z, axis=-1), axis=-1)
    rank = ops.arange(1, z.shape[-1] + 1, dtype=z.dtype)
    support = ops.cast(1 + ops.multiply(rank, falling) > ops.cumsum(falling, axis=-1), z.dtype)
    k = ops.sum(support, axis=-1, keepdims=True)
    tau = (ops.sum(support * falling, axis=-1, keepdims=True) - 1) / k
    return ops.maximum(z - tau, 0.0)


def leaky_relu(z: Any) -> Any:
    """z where z >= 0, else 0.2 z, in the precision of z. Keras on TensorFlow rounds 0.2 to float32 whatever that is."""
    return ops.where(z >= 0, z, z * 0.2)


def gelu(z: Any) -> Any:
    """z Φ(z) = ½ z (1 + erf(z/√2)) (Hendrycks & Gimpel 2016, arXiv:1606.08415), in the precision of z. Keras on TensorFlow rounds
    √½ to float32 whatever that is."""
    return 0.5 * z * (1 + ops.erf(z * math.sqrt(0.5)))


@keras.saving.register_keras_serializable(package="gradus")
class HalfSquaredError(keras.losses.Loss):  # type: ignore[misc]
    """½ Σ_k (t_k − y_k)², mean over the batch. Its gradient in y is y − t; Keras' mse has 2/K times that."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.cast(y_true, y_pred.dtype)
        return ops.sum(ops.square(y_true - y_pred), axis=-1) * 0.5  # (batch,)


class Hinge(keras.losses.Loss):  # type: ignore[misc]
    """max(1 − (2t − 1) y, 0), mean over the outputs, t of 0 and 1. Keras' own asks at run time whether its
    targets are 0 and 1 or already −1 and 1, and that branch cannot be compiled for many lanes.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(_missing_margin(y_true, y_pred), axis=-1)  # (batch,)


class SquaredHinge(keras.losses.Loss):  # type: ignore[misc]
    """max(1 − (2t − 1) y, 0)², mean over the outputs; see Hinge."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(_missing_margin(y_true, y_pred)), axis=-1)  # (batch,)


def _missing_margin(y_true: Any, y_pred: Any) -> Any:
    signs = 2 * ops.cast(y_true, y_pred.dtype) - 1
    return ops.maximum(1 - signs * y_pred, 0)  # (batch, outputs)
