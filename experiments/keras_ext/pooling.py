"""Stochastic pooling (Zeiler & Fergus 2013, arXiv:1301.3557), in either data format."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from experiments.keras_ext.noise import Noisy
from experiments.layers.base import pair


@keras.saving.register_keras_serializable(package="gradus")
class StochasticPool2D(Noisy):
    """Training: one value a_i of each window, drawn with p_i = a_i / Σa. Otherwise: Σ p_i a_i.

    Inputs are not negative (after ReLU or sigmoid); a negative one is never drawn. A window of zeros gives 0.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = pair(pool_size)
        self.strides = self.pool_size if strides is None else pair(strides)
        self.padding = padding
        self.data_format = data_format

    @property
    def _axes(self) -> tuple[int, int]:
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        shape = list(input_shape)
        for axis, window, stride in zip(self._axes, self.pool_size, self.strides, strict=True):
            length = input_shape[axis]
            assert length is not None
            shape[axis] = -(-length // stride) if self.padding == "same" else (length - window) // stride + 1
        return tuple(shape)

    def windows(self, inputs: Any) -> Any:
        """The values of each window along a new last axis. (..., window)"""
        out = self.compute_output_shape(tuple(inputs.shape))
        pads = [(0, 0)] * 4
        for axis, window, stride in zip(self._axes, self.pool_size, self.strides, strict=True):
            missing = max(0, (out[axis] - 1) * stride + window - inputs.shape[axis])  # type: ignore[operator]
            pads[axis] = (missing // 2, missing - missing // 2)
        if any(before or after for before, after in pads):
            inputs = ops.pad(inputs, pads)
        parts = []
        for row in range(self.pool_size[0]):
            for column in range(self.pool_size[1]):
                take = [slice(None)] * 4
                for axis, first, stride in zip(self._axes, (row, column), self.strides, strict=True):
                    take[axis] = slice(first, first + (out[axis] - 1) * stride + 1, stride)  # type: ignore[operator]
                parts.append(inputs[tuple(take)])
        return ops.stack(parts, axis=-1)

    def noisy(self, inputs: Any) -> Any:
        values = self.windows(inputs)  # (batch, ..., window)
        upper = ops.cumsum(ops.maximum(ops.stop_gradient(values), 0.0), axis=-1)
        total = upper[..., -1:]
        point = ops.expand_dims(self.draw(ops.shape(values)[:-1]), -1) * total
        lower = ops.concatenate([ops.zeros_like(total), upper[..., :-1]], axis=-1)
        drawn = ops.logical_and(ops.greater_equal(point, lower), ops.less(point, upper))
        return ops.sum(ops.where(drawn, values, ops.zeros_like(values)), axis=-1)

    def still(self, inputs: Any) -> Any:
        values = self.windows(inputs)
        weights = ops.maximum(values, 0.0)
        total = ops.sum(weights, axis=-1)
        safe = ops.where(ops.equal(total, 0.0), ops.ones_like(total), total)
        return ops.sum(weights * values, axis=-1) / safe

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }
