"""The engine's backend on JAX. Every name is documented in `tensorflow`, whose contract it keeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax
from jax._src.xla_bridge import backends_are_initialized
from keras.src.backend.common import dtypes
from keras.src.backend.jax import numpy as keras_numpy
from keras.src.utils import module_utils

from experiments.engine.backend.tensors import Tensor, Tree

# Without these two, double precision is rounded to single in silence, by JAX and by Keras' type promotion (which treats
# JAX as if it had no double precision): batch normalisation of a float64 network would compute in float32, and a
# gradient check would certify nothing. A float32 network computes in float32 as before.
jax.config.update("jax_enable_x64", True)
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
# A product of single-precision matrices is computed in single precision. By default a GPU rounds the factors to TF32, with
# 11 instead of 24 bits, and no lane would equal what it is compared with.
jax.config.update("jax_default_matmul_precision", "highest")
# Where TensorFlow is installed too, Keras would load it to ask whether an object is one of its shapes, when it writes a
# network down: five seconds and 300 MB for nothing.
module_utils.tensorflow._available = False
COMPILER_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""On a CPU, products and sums by XLA's own code: with the library that it would call, an update of 32 MLPs took a fifth longer."""
_threads = 0
_any_matmul = keras_numpy.matmul


@jax.custom_vjp  # type: ignore[untyped-decorator]
def _product(x: Tensor, weights: Tensor) -> Tensor:
    """(..., inputs) x (inputs, units) -> (..., units). Its gradient of `weights` is x^T dy and comes out in the order of
    `weights`. JAX's own comes out as (dy^T x)^T: over lanes XLA then copies all weights, twice in each update."""
    return lax.dot_general(x, weights, (((x.ndim - 1,), (0,)), ((), ())))


def _product_forward(x: Tensor, weights: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    return _product(x, weights), (x, weights)


def _product_backward(factors: tuple[Tensor, Tensor], dy: Tensor) -> tuple[Tensor, Tensor]:
    x, weights = factors
    samples = tuple(range(x.ndim - 1))
    return (
        lax.dot_general(dy, weights, (((dy.ndim - 1,), (1,)), ((), ()))),
        lax.dot_general(x, dy, ((samples, samples), ((), ()))),
    )


_product.defvjp(_product_forward, _product_backward)


def _matmul(x1: Any, x2: Any) -> Any:
    """Keras' matmul, by `_product` where a layer multiplies by a matrix of its weights."""
    a, b = (value.value if isinstance(value, keras.Variable) else value for value in (x1, x2))
    tensors = isinstance(a, jax.Array) and isinstance(b, jax.Array)
    if tensors and a.ndim >= 2 and b.ndim == 2 and a.dtype == b.dtype:
        return _product(a, b)
    return _any_matmul(x1, x2)


keras_numpy.matmul = _matmul


def value_and_gradients(
    function: Callable[[list[Tensor]], tuple[Tensor, Tree]], at: list[Tensor]
) -> tuple[Tree, list[Tensor]]:
    """A function's value and its gradient."""
    value, gradients = jax.value_and_grad(function, has_aux=True)(list(at))
    return value, gradients


def over_lanes(function: Callable[..., Tree], *stacked: Tree) -> Tree:
    """Apply `function` to every lane at once, as one vectorised program."""
    return jax.vmap(function)(*stacked)


def loop(start: Tensor, stop: Tensor, body: Callable[[Tensor, Tree], Tree], carry: Tree) -> Tree:
    """`carry = body(i, carry)` for i in start..stop-1. Shapes and dtypes of the carry do not change."""
    structure = jax.tree.structure(carry)

    def step(i: Tensor, leaves: list[Tensor]) -> list[Tensor]:
        new = jax.tree.leaves(body(i, jax.tree.unflatten(structure, leaves)))
        return [value.astype(old.dtype) for value, old in zip(new, leaves, strict=True)]

    return jax.tree.unflatten(structure, lax.fori_loop(start, stop, step, jax.tree.leaves(carry)))


def compiled(function: Callable[..., Tree], *, fused: bool) -> Callable[..., Tree]:
    """`function` compiled by XLA, which is JAX's only way to compile: `fused` makes no difference."""
    whole, part = jax.jit(function, compiler_options=COMPILER_OPTIONS), jax.jit(function)

    def call(*arguments: Tree) -> Tree:
        """JAX refuses compiler options of a function that is called while another is traced: those of the other count."""
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments))
        return (part if traced else whole)(*arguments)

    return call


def on(device: str) -> AbstractContextManager[Any]:
    """A context in which tensors are made on `cpu` or `gpu`."""
    return jax.default_device(jax.devices(device)[0])  # type: ignore[no-any-return]


def tensor(value: Any, dtype: str | None = None) -> Tensor:
    """`value` as a tensor. Numbers and arrays are copied to the device; nothing is compiled for that."""
    if isinstance(value, jax.Array):
        return value if dtype is None else value.astype(dtype)
    return jnp.asarray(np.asarray(value, dtype))


def array(value: Tensor) -> np.ndarray[Any, Any]:
    """A tensor's values on the host. Waits for the device."""
    return np.asarray(value)


def take(values: Tensor, index: Tensor, axis: int = 0) -> Tensor:
    """The slices of `values` at `index` along an axis. Indices are within bounds."""
    if np.ndim(index) == 0:
        return lax.dynamic_index_in_dim(values, index, axis, keepdims=False)
    return jnp.take(values, index, axis=axis, mode="clip")


def largest(values: Tensor) -> Tensor:
    """Index of the largest value along the last axis, the first of equals. int32."""
    return jnp.argmax(values, axis=-1).astype("int32")


def where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """`yes` where the condition holds, `no` elsewhere; shapes are broadcast."""
    return jnp.where(condition, yes, no)


def versions() -> dict[str, str]:
    """The packages that compute, and their versions."""
    return {"jax": jax.__version__, "keras": keras.__version__}


def use_threads(count: int) -> None:
    """Let XLA's CPU client use `count` threads. Call it before anything is computed."""
    global _threads
    if count == _threads:
        return
    if backends_are_initialized():
        raise RuntimeError(
            "JAX has computed something already; its number of threads cannot be changed any more"
        )
    os.environ["NPROC"] = str(count)  # what XLA reads in place of the number of cores
    _threads = count


def threads() -> int:
    """Threads of the CPU client; 0: as many as the machine has cores."""
    return _threads


def functional(cls: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """A Keras optimizer whose `stateless_apply` works on this backend: on JAX, every one as it is."""
    return cls


def updated(
    optimizer: keras.optimizers.Optimizer,
    state: Sequence[Tensor],
    gradients: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """One update of an optimizer that `functional` made."""
    new_weights, new_state = optimizer.stateless_apply(list(state), list(gradients), list(weights))
    return _as(new_weights, weights), _as(new_state, state)


def _as(new: Sequence[Tensor], old: Sequence[Tensor]) -> list[Tensor]:
    return [value.astype(before.dtype) for value, before in zip(new, old, strict=True)]
