"""Which side of every kink a network is on, so that a difference quotient never straddles one unseen.

While a watched model is called, each function with kinks notes where it stands: the side of every kink point of
an activation, which value of a window max pooling took or stochastic pooling drew, which branch the loss is on.
Two calls with equal notes lie on one smooth piece (up to a kink that is crossed and crossed back).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from experiments.activations import ActivationChoice, activation
from experiments.engine import backend
from experiments.keras_ext.pooling import StochasticPool2D
from experiments.losses import Loss
from experiments.runs import RunSpec

Notes = list[Any]
MAX_POOLS = (
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling1D,
)


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
    """Of every pair that counts: the distance d = 1 − yᵢ·yⱼ at 0, and of unequal classes at 1 + m, where their weight
    is cut. A sample's distance to itself counts only where the diagonal is kept."""
    margin = float(getattr(entry, "margin"))  # noqa: B009
    labels = ops.reshape(t, (-1, 1))
    equal = ops.equal(labels, ops.transpose(labels))
    itself = ops.cast(ops.eye(y.shape[0]), "bool")
    counts = ops.logical_not(itself) if getattr(entry, "remove_diagonal", True) else ops.ones_like(itself)
    distance = 1 - ops.matmul(y, ops.transpose(y))
    used, apart = (ops.cast(mask, y.dtype) for mask in (counts, ops.logical_not(equal)))
    return [*sides(distance * used, (0.0,)), *sides((distance - 1 - margin) * apart, (0.0,))]


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


def penalty_notes(regularizer: Any, values: Any) -> Notes:
    """The branch that a Keras regulariser of `values` is on; nothing where it is smooth, as Σw² is."""
    if isinstance(regularizer, keras.regularizers.OrthogonalRegularizer):
        rows = values if regularizer.mode == "rows" else ops.transpose(values)
        return sides(ops.matmul(rows, ops.transpose(rows)), (0.0,))  # Σ|cosine|: the cosines have these signs
    return sides(values, (0.0,)) if float(getattr(regularizer, "l1", 0.0)) else []


def _effective(regularizer: Any) -> Any:
    """The regulariser; None where all its strengths are 0.

    Keras holds an orthogonal regulariser's strength as a float32 tensor, which no float64 weight can be multiplied by.
    """
    if isinstance(regularizer, keras.regularizers.OrthogonalRegularizer):
        regularizer.factor = float(regularizer.factor)
    strengths = [float(getattr(regularizer, name, 0.0)) for name in ("l1", "l2", "factor")]
    return regularizer if any(strengths) else None


def kinked_penalty(regularizer: Any) -> bool:
    """Whether a Keras regulariser has kinks."""
    orthogonal = isinstance(regularizer, keras.regularizers.OrthogonalRegularizer)
    return orthogonal or bool(float(getattr(regularizer, "l1", 0.0)))


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


def pooled(layer: Any, x: Any) -> Any:
    """The values of each window of a max-pooling layer along a new last axis."""
    if isinstance(layer, keras.layers.GlobalMaxPooling2D):
        size = x.shape[1:3] if layer.data_format == "channels_last" else x.shape[2:4]
        return windows(x, size, size, "valid", layer.data_format)
    if isinstance(layer, keras.layers.GlobalMaxPooling1D):
        return ops.transpose(x, (0, 2, 1))
    if isinstance(layer, keras.layers.MaxPooling1D):
        size, strides = (*layer.pool_size, 1), (*layer.strides, 1)
        return windows(ops.expand_dims(x, 2), size, strides, layer.padding, "channels_last")
    return windows(x, layer.pool_size, layer.strides, layer.padding, layer.data_format)


class Watch:
    """Notes of one model. `during(call)` gives the call's result and what was noted meanwhile."""

    def __init__(self, spec: RunSpec, model: keras.Model) -> None:
        self.spec = spec
        self._notes: Notes | None = None
        self.kinked = spec.loss.smoothness != "Cinf"
        self.regularizers = [_effective(getattr(v, "regularizer", None)) for v in model.trainable_variables]
        """Per trainable variable its Keras regulariser; None where it has none, or one of strength 0."""
        self.penalties = any(regularizer is not None for regularizer in self.regularizers)
        """Whether the network has regularisers."""
        self.kinked |= any(kinked_penalty(regularizer) for regularizer in self.regularizers)
        for entry, layer in zip(spec.model.layers, model.layers, strict=True):
            for name in ("activation", "recurrent_activation"):
                if hasattr(entry, name):
                    self._activation(layer, name, getattr(entry, name))
            if isinstance(layer, MAX_POOLS):
                self._pool(layer)
            if isinstance(layer, StochasticPool2D):
                self._draws(layer)
            if isinstance(layer, keras.layers.UnitNormalization | keras.layers.PReLU):
                self._signs(layer)
            if getattr(layer, "activity_regularizer", None) is not None:
                self._activity(layer)

    def during(self, call: Callable[[], Any]) -> tuple[Any, Notes]:
        with self._collect() as notes:
            result = call()
        return result, list(notes)

    def loss(self, t: Any, y: Any) -> Notes:
        note = LOSS_NOTES.get(self.spec.loss.name)
        return [] if note is None else note(self.spec.loss, t, y)

    def weights(self, values: Sequence[Any]) -> Notes:
        """The branches of the weights' penalties; values: one tensor per trainable variable."""
        return [
            note
            for regularizer, value in zip(self.regularizers, values, strict=True)
            if regularizer is not None
            for note in penalty_notes(regularizer, value)
        ]

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

    def _activation(self, layer: Any, attribute: str, choice: ActivationChoice) -> None:
        entry = activation(choice)
        if entry.smoothness == "Cinf":
            return
        self.kinked = True
        holder = getattr(layer, "cell", layer)
        if holder is not layer:
            layer.unroll = True  # a note made inside a loop could not leave it
        function = getattr(holder, attribute)
        points = entry.kinks or entry.bends

        def noting(z: Any) -> Any:
            a = function(z)
            self._note(sides(a, (0.0,)) if entry.joint else sides(z, points))
            return a

        object.__setattr__(holder, attribute, noting)

    def _pool(self, layer: Any) -> None:
        self.kinked = True
        call = layer.call

        def noting(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            self._note([backend.largest(pooled(layer, inputs))])
            return call(inputs, *args, **kwargs)

        object.__setattr__(layer, "call", noting)

    def _signs(self, layer: Any) -> None:
        """The signs of a layer's inputs: PReLU has its kink at 0, and a vector divided by its length jumps where it passes
        the origin, where all its signs change. One does pass it where all its values come from one number, such as the β of
        a normalisation over a single channel."""
        self.kinked = True
        call = layer.call

        def noting(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            self._note(sides(inputs, (0.0,)))
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

    def _activity(self, layer: Any) -> None:
        self.penalties = True
        regularizer = layer.activity_regularizer
        self.kinked |= kinked_penalty(regularizer)

        def noting(outputs: Any) -> Any:
            self._note(penalty_notes(regularizer, outputs))
            return regularizer(outputs)

        object.__setattr__(layer, "activity_regularizer", noting)
