"""All that the engine asks of TensorFlow: gradient, vectorised map, loop, compilation, devices, optimizers.

Another backend would be another module with these names; nothing else in the engine calls TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow.optimizer import TFOptimizer
from keras.src.optimizers.base_optimizer import BaseOptimizer

Tensor = Any
"""A tensor of the backend."""
Tree = Any
"""Lists, tuples and dicts of tensors."""


def value_and_gradients(
    function: Callable[[list[Tensor]], tuple[Tensor, Tree]], at: list[Tensor]
) -> tuple[Tree, list[Tensor]]:
    """(function(at), gradients of its first result with respect to each tensor of `at`).

    A tensor that the result does not depend on has the gradient 0.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(at)
        value = function(at)
    return value, tape.gradient(value[0], at, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def over_lanes(function: Callable[..., Tree], *stacked: Tree) -> Tree:
    """`function` of each lane's slice (first axis) of `stacked`, as one program, the results stacked.

    Raises ValueError where an operation has no vectorised form: nothing falls back to a slow loop.
    """
    return tf.vectorized_map(lambda slices: function(*slices), stacked, fallback_to_while_loop=False)


def loop(start: Tensor, stop: Tensor, body: Callable[[Tensor, Tree], Tree], carry: Tree) -> Tree:
    """`carry = body(i, carry)` for i in start..stop-1; shapes and dtypes of the carry do not change."""

    def step(i: Tensor, *flat: Tensor) -> tuple[Tensor, ...]:
        new = tf.nest.flatten(body(i, tf.nest.pack_sequence_as(carry, flat)))
        return (i + 1, *new)

    flat = tf.nest.flatten(carry)
    result = tf.while_loop(lambda i, *_: i < stop, step, (start, *flat), parallel_iterations=1)
    return tf.nest.pack_sequence_as(carry, list(result[1:]))


def compiled(function: Callable[..., Tree], *, fused: bool) -> Callable[..., Tree]:
    """`function` as one graph; `fused`: compiled by XLA."""
    return tf.function(function, jit_compile=fused, autograph=False, reduce_retracing=False)  # type: ignore[no-any-return]


def on(device: str) -> AbstractContextManager[Any]:
    """Place what is made inside on `cpu` or `gpu`."""
    return tf.device({"cpu": "/CPU:0", "gpu": "/GPU:0"}[device])  # type: ignore[no-any-return]


def tensor(value: Any, dtype: str | None = None) -> Tensor:
    return tf.convert_to_tensor(value, dtype=dtype)


def array(value: Tensor) -> np.ndarray[Any, Any]:
    return np.asarray(value)


def take(values: Tensor, index: Tensor, axis: int = 0) -> Tensor:
    """Rows of `values`; a gather, since XLA refuses slices whose start is computed."""
    return tf.gather(values, index, axis=axis)


def largest(values: Tensor) -> Tensor:
    """Index of the largest along the last axis, the first of equals. int32. (Keras' own cannot be
    vectorised.)"""
    return tf.argmax(values, axis=-1, output_type=tf.int32)


def where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return tf.where(condition, yes, no)


def map_tree(function: Callable[..., Tensor], *trees: Tree) -> Tree:
    return tf.nest.map_structure(function, *trees)


def versions() -> dict[str, str]:
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


def use_threads(count: int) -> None:
    """Let one operation use so many threads, and run one operation at a time. Before anything is computed."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def threads() -> int:
    """Threads of one operation; 0: as many as cores."""
    return int(tf.config.threading.get_intra_op_parallelism_threads())


_STATELESS = (
    "stateless_apply", "assign", "assign_add", "assign_sub",
    "_backend_update_step", "_apply_weight_decay", "_var_key",
)  # fmt: skip


class _Functional(TFOptimizer):  # type: ignore[misc]
    """Keras' optimizer base for TensorFlow without tf.distribute, for whose sake alone Keras refuses
    `stateless_apply` here. It takes TFOptimizer's place *below* the concrete class: Nadam overrides
    `_backend_update_step` and calls super()."""


for _name in _STATELESS:
    setattr(_Functional, _name, getattr(BaseOptimizer, _name))


@cache
def functional(cls: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """A subclass of a Keras optimizer whose `stateless_apply` works on this backend, with or without XLA."""
    return type(cls.__name__, (cls, _Functional), {"__module__": __name__})


def updated(
    optimizer: keras.optimizers.Optimizer,
    state: Sequence[Tensor],
    gradients: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """(weights, optimizer state) after one update, in the dtypes they came in."""
    new_weights, new_state = optimizer.stateless_apply(list(state), list(gradients), list(weights))
    return _as(new_weights, weights), _as(new_state, state)


def _as(new: Sequence[Tensor], old: Sequence[Tensor]) -> list[Tensor]:
    return [tf.cast(value, before.dtype) for value, before in zip(new, old, strict=True)]
