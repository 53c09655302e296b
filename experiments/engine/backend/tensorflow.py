"""The engine's backend on TensorFlow."""

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

from experiments.engine.backend.tensors import Tensor, Tree

# Single precision is single precision on a GPU too: by default it rounds the factors of a product to TF32.
tf.config.experimental.enable_tensor_float_32_execution(False)


def value_and_gradients(
    function: Callable[[list[Tensor]], tuple[Tensor, Tree]], at: list[Tensor]
) -> tuple[Tree, list[Tensor]]:
    """A function's value and its gradient.

    Args:
        function: takes the tensors of `at`; returns (scalar to differentiate, anything else).
        at: where to evaluate it.

    Returns:
        (what `function` returned, one gradient per tensor of `at`). A tensor that the scalar does not depend on has
        the gradient 0; one of which rows are taken, as of an embedding, has a gradient of its whole shape.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(at)
        value = function(at)
    slopes = tape.gradient(value[0], at, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return value, [tf.convert_to_tensor(slope) for slope in slopes]


def over_lanes(function: Callable[..., Tree], *stacked: Tree) -> Tree:
    """Apply `function` to every lane at once, as one vectorised program.

    Args:
        function: of one lane's slice of every argument.
        stacked: trees of tensors whose first axis is the lanes.

    Returns:
        The results, stacked along a new first axis.

    Raises:
        ValueError: an operation has no vectorised form. Nothing falls back to a slow loop.
    """
    return tf.vectorized_map(lambda slices: function(*slices), stacked, fallback_to_while_loop=False)


def loop(start: Tensor, stop: Tensor, body: Callable[[Tensor, Tree], Tree], carry: Tree) -> Tree:
    """`carry = body(i, carry)` for i in start..stop-1. Shapes and dtypes of the carry do not change."""

    def step(i: Tensor, *flat: Tensor) -> tuple[Tensor, ...]:
        new = tf.nest.flatten(body(i, tf.nest.pack_sequence_as(carry, flat)))
        return (i + 1, *new)

    flat = tf.nest.flatten(carry)
    result = tf.while_loop(lambda i, *_: i < stop, step, (start, *flat), parallel_iterations=1)
    return tf.nest.pack_sequence_as(carry, list(result[1:]))


def compiled(function: Callable[..., Tree], *, fused: bool) -> Callable[..., Tree]:
    """`function` as one graph, traced once for each combination of its arguments' shapes.

    Args:
        function: of trees of tensors.
        fused: compile the graph with XLA.
    """
    return tf.function(function, jit_compile=fused, autograph=False, reduce_retracing=False)  # type: ignore[no-any-return]


def on(device: str) -> AbstractContextManager[Any]:
    """A context in which tensors are made on `cpu` or `gpu`."""
    return tf.device({"cpu": "/CPU:0", "gpu": "/GPU:0"}[device])  # type: ignore[no-any-return]


def tensor(value: Any, dtype: str | None = None) -> Tensor:
    """`value` (a number, an array or a tensor) as a tensor; dtype: its own unless given."""
    return tf.convert_to_tensor(value, dtype=dtype)


def array(value: Tensor) -> np.ndarray[Any, Any]:
    """A tensor's values on the host. Waits for the device."""
    return np.asarray(value)


def take(values: Tensor, index: Tensor, axis: int = 0) -> Tensor:
    """The slices of `values` at `index` along an axis. A gather: XLA refuses slices whose start is computed."""
    return tf.gather(values, index, axis=axis)


def largest(values: Tensor) -> Tensor:
    """Index of the largest value along the last axis, the first of equals. int32.

    Keras' own cannot be vectorised.
    """
    return tf.argmax(values, axis=-1, output_type=tf.int32)


def where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """`yes` where the condition holds, `no` elsewhere; shapes are broadcast."""
    return tf.where(condition, yes, no)


def versions() -> dict[str, str]:
    """The packages that compute, and their versions."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


def use_threads(count: int) -> None:
    """Let an operation use `count` threads, and run one operation at a time. Call it before anything is computed."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def threads() -> int:
    """Threads of one operation; 0: as many as the machine has cores."""
    return int(tf.config.threading.get_intra_op_parallelism_threads())


_STATELESS = (
    "stateless_apply", "assign", "assign_add", "assign_sub",
    "_backend_update_step", "_apply_weight_decay", "_var_key",
)  # fmt: skip


class _Functional(TFOptimizer):  # type: ignore[misc]
    """Keras' optimizer base for TensorFlow without tf.distribute.

    Keras refuses `stateless_apply` on TensorFlow for tf.distribute's sake alone. This class takes TFOptimizer's
    position *below* the concrete class, because Nadam overrides `_backend_update_step` and calls super().
    """


for _name in _STATELESS:
    setattr(_Functional, _name, getattr(BaseOptimizer, _name))


def functional(cls: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """A subclass of a Keras optimizer whose `stateless_apply` works on this backend, with or without XLA."""
    return _functional(cls)  # type: ignore[arg-type]


@cache
def _functional(cls: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    return type(cls.__name__, (cls, _Functional), {"__module__": __name__})


def updated(
    optimizer: keras.optimizers.Optimizer,
    state: Sequence[Tensor],
    gradients: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """One update of an optimizer that `functional` made.

    Args:
        optimizer: built on the model's trainable variables.
        state: the values of `optimizer.variables`.
        gradients, weights: one per trainable variable.

    Returns:
        (weights, state) after the update, in the dtypes they came in.
    """
    new_weights, new_state = optimizer.stateless_apply(list(state), list(gradients), list(weights))
    return _as(new_weights, weights), _as(new_state, state)


def _as(new: Sequence[Tensor], old: Sequence[Tensor]) -> list[Tensor]:
    return [tf.cast(value, before.dtype) for value, before in zip(new, old, strict=True)]
