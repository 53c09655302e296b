"""A Python number of a Keras optimizer (rho, beta_1, momentum, ...) that differs from lane to lane.

Keras keeps such settings as Python floats, so a compiled program would have them as constants: one program
per value. A `LaneNumber` takes their place while the update is traced. To Python it is the float of some
lane, so `if self.momentum > 0` takes the branch that all lanes of the program share; in arithmetic with
tensors it is the lane's own value, a float64 scalar tensor that takes its partner's precision.

Rounding follows Keras. On TensorFlow `ops.cast(0.9, "float64")` goes through float32, as `tf.convert_to_tensor(0.9)`
does, and `ops.multiply(x, 0.9)` does not; on JAX neither does. All of it holds here, so that lanes equal `keras.fit`
of their backend in float64.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from experiments.engine.backend import Tensor

_exact = False


def rounds() -> bool:
    """Whether numbers that Keras holds as Python floats are rounded to float32, as in `fit`: on TensorFlow, but for `exactly`."""
    return keras.backend.backend() == "tensorflow" and not _exact


@contextmanager
def exactly() -> Iterator[None]:
    """Within it, no number is rounded to float32 on TensorFlow either, so that two backends compute with the same.

    Networks that are built and programs that are traced within it keep to that.
    """
    global _exact
    _exact = True
    try:
        yield
    finally:
        _exact = False


_Number: Any = float if keras.backend.backend() == "tensorflow" else object
"""Keras on TensorFlow rounds a float as `fit` does; JAX would take a float's own value and forget the tensor."""


class LaneNumber(_Number):  # type: ignore[misc]
    """A number for Python's comparisons, a scalar tensor for the backend's arithmetic. Final."""

    def __new__(cls, value: float, tensor: Tensor) -> LaneNumber:
        return cast(LaneNumber, super().__new__(cls, value) if _Number is float else super().__new__(cls))

    dtype = float
    """What Keras' type promotion sees: a weak Python float."""

    def __init__(self, value: float, tensor: Tensor) -> None:
        self.value = value
        self.tensor = tensor

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Tensor:
        """TensorFlow's way to ask for a tensor; without a dtype a Python float becomes float32 there."""
        unasked = "float32" if rounds() else keras.config.floatx()
        return ops.cast(self.tensor, unasked if dtype is None else dtype.name)

    def __jax_array__(self) -> Tensor:
        """JAX's way, which knows no dtype: that of the network, as a Python float would take its partner's."""
        return ops.cast(self.tensor, keras.config.floatx())

    def __float__(self) -> float:
        return self.value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __neg__(self) -> LaneNumber:
        return LaneNumber(-self.value, -self.tensor)


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[LaneNumber, object], Any]:
    def apply(self: LaneNumber, other: object) -> Any:
        if isinstance(other, LaneNumber):
            return LaneNumber(function(self.value, other.value), function(self.tensor, other.tensor))
        if isinstance(other, int | float):
            constant = ops.convert_to_tensor(np.float64(other))
            return LaneNumber(function(self.value, other), function(self.tensor, constant))
        partner = ops.convert_to_tensor(other)
        return function(ops.cast(self.tensor, partner.dtype), partner)

    return apply


def _swapped(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: function(b, a)


def _comparison(function: Callable[[float, float], bool]) -> Callable[[LaneNumber, object], bool]:
    return lambda self, other: function(self.value, float(cast(float, other)))


for _name in ("add", "sub", "mul", "truediv", "pow"):
    _function = getattr(operator, _name)
    setattr(LaneNumber, f"__{_name}__", _arithmetic(_function))
    setattr(LaneNumber, f"__r{_name}__", _arithmetic(_swapped(_function)))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(LaneNumber, f"__{_name}__", _comparison(getattr(operator, _name)))


@contextmanager
def settings(target: object, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Within it, `target`'s float attributes are lane numbers; afterwards what they were.

    values: attribute name -> float64 scalar tensor of the lane that is being traced.
    """
    before = {name: getattr(target, name) for name in values}
    for name, tensor in values.items():
        setattr(target, name, LaneNumber(cast(float, before[name]), tensor))
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(target, name, value)
