"""Which side of every kink a network is on, so that a difference quotient never straddles one unseen.

While a watched model is called, each function with kinks notes where it stands: the side of every kink point of
an activation, which value of a window max pooling took or stochastic pooling drew, which branch the loss is on.
Two calls with equal notes lie on one smooth piece (up to a kink that is crossed and crossed back).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from experiments.activations import ACTIVATIONS
from experiments.engine import backend
from experiments.keras_ext.pooling import StochasticPool2D
from experiments.layers.base import pair
from experiments.losses import Loss
from experiments.runs import RunSpec

BENDS: dict[str, tuple[float, ...]] = {
    "elu": (0.0,), "celu": (0.0,), "softsign": (0.0,), "sparse_plus": (-1.0, 1.0)
}  # fmt: skip
"""Where the second derivative of a C¹ activation jumps: there the quotient's error falls with h, not with h²."""

Notes = list[Any]


def sides(values: Any, points: tuple[float, ...]) -> Notes:
    """-1, 0 or 1 per value and kink point, int8."""
    return [ops.cast(ops.sign(values - point), "int8") for point in points]


def _error(entry: Loss, t: Any, y: Any) -> Notes:
    return sides(y - ops.cast(t, y.dtype), (0.0,))


def _huber(entry: Loss, t: Any, y: Any) -> Notes:
    return sides(ops.abs(y - ops.cast(t, y.dtype)), (float(getattr(entry, "delta")),))  # noqa: B009


def _floor(entry: Loss, t: Any, y: Any) -> Notes:
    return sides(y, (keras.config.epsilon(),))


def _hinge(entry: Loss, t: Any, y: Any) -> Notes:
    t = ops.cast(t, y.dtype)
    sign = backend.where(ops.any(t < 0), t, 2 * t - 1)  # Keras makes 0 and 1 into -1 and 1
    return sides(1 - sign * y, (0.0,))


def _categorical_hinge(entry: Loss, t: Any, y: Any) -> Notes:
    t = ops.cast(t, y.dtype)
    others = (1 - t) * y
    rival = ops.max(others, axis=-1) - ops.sum(t * y, axis=-1) + 1
    return [*sides(rival, (0.0,)), backend.largest(others)]


def _circle(entry: Loss, t: Any, y: Any) -> Notes:
    """Of every pair: the distance 1 − yᵢ·yⱼ and what the weights m + d and 1 + m − d are cut at."""
    margin = float(getattr(entry, "margin"))  # noqa: B009
    distance = 1 - ops.matmul(y, ops.transpose(y))
    return sides(distance, (0.0, -margin, 1 + margin))


LOSS_NOTES: dict[str, Callable[[Loss, Any, Any], Notes]] = {
    "mean_absolute_error": _error,
    "mean_absolute_percentage_error": _error,
    "mean_squared_logarithmic_error": _floor,
    "huber": _huber,
    "hinge": _hinge,
    "squared_hinge": _hinge,
    "categorical_hinge": _categorical_hinge,
    "circle": _circle,
}
"""Loss -> what decides its branch, from targets and outputs. Every loss that is not smooth is here (a test)."""


def windows(x: Any, size: Any, strides: Any, padding: str, data_format: str) -> Any:
    """The values of each pooling window along a new last axis; what lies outside the image is the least float."""
    if data_format == "channels_first":
        x = ops.transpose(x, (0, 2, 3, 1))
    spans = []
    for length, window, stride in zip(x.shape[1:3], size, strides, strict=True):
        count = -(-length // stride) if padding == "same" else (length - window) // stride + 1
        missing = max(0, (count - 1) * stride + window - length)
        spans.append((count, stride, missing // 2, missing - missing // 2))
    pads = [(0, 0), *((before, after) for _, _, before, after in spans), (0, 0)]
    x = ops.pad(x, pads, constant_values=float(np.finfo(keras.backend.standardize_dtype(x.dtype)).min))
    (rows, down, _, _), (columns, right, _, _) = spans
    parts = [
        x[:, i : i + (rows - 1) * down + 1 : down, j : j + (columns - 1) * right + 1 : right, :]
        for i in range(size[0])
        for j in range(size[1])
    ]
    return ops.stack(parts, axis=-1)


class Watch:
    """Notes of one model. `during(call)` gives the call's result and what was noted meanwhile."""

    def __init__(self, spec: RunSpec, model: keras.Model) -> None:
        self.spec = spec
        self._notes: Notes | None = None
        self.kinked = spec.loss.smoothness != "Cinf"
        for entry, layer in zip(spec.model.layers, model.layers, strict=True):
            for name in ("activation", "recurrent_activation"):
                if hasattr(entry, name):
                    self._activation(layer, name, getattr(entry, name))
            if isinstance(layer, keras.layers.MaxPooling2D):
                self._pool(layer)
            if isinstance(layer, StochasticPool2D):
                self._draws(layer)

    def during(self, call: Callable[[], Any]) -> tuple[Any, Notes]:
        with self._collect() as notes:
            result = call()
        return result, list(notes)

    def loss(self, t: Any, y: Any) -> Notes:
        note = LOSS_NOTES.get(self.spec.loss.name)
        return [] if note is None else note(self.spec.loss, t, y)

    @contextmanager
    def _collect(self) -> Iterator[Notes]:
        before, self._notes = self._notes, []
        try:
            yield self._notes
        finally:
            self._notes = before

    def _note(self, notes: Notes) -> None:
        if self._notes is not None:
            self._notes.extend(notes)

    def _activation(self, layer: Any, attribute: str, name: str) -> None:
        entry = ACTIVATIONS[name]
        if entry.smoothness == "Cinf":
            return
        self.kinked = True
        holder = getattr(layer, "cell", layer)
        if holder is not layer:
            layer.unroll = True  # a note made inside a loop could not leave it
        function = getattr(holder, attribute)
        points = entry.kinks or BENDS.get(name, ())

        def noting(z: Any) -> Any:
            a = function(z)
            self._note(sides(a, (0.0,)) if entry.joint else sides(z, points))
            return a

        object.__setattr__(holder, attribute, noting)

    def _pool(self, layer: Any) -> None:
        self.kinked = True
        call = layer.call

        def noting(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            values = windows(
                inputs, pair(layer.pool_size), pair(layer.strides), layer.padding, layer.data_format
            )
            self._note([backend.largest(values)])
            return call(inputs, *args, **kwargs)

        object.__setattr__(layer, "call", noting)

    def _draws(self, layer: Any) -> None:
        self.kinked = True
        noisy = layer.noisy

        def noting(inputs: Any) -> Any:
            result = noisy(inputs)
            values = layer.windows(inputs)  # which one was drawn: the same comparison on the result
            self._note([backend.largest(ops.cast(ops.equal(values, result[..., None]), "int8"))])
            return result

        object.__setattr__(layer, "noisy", noting)
