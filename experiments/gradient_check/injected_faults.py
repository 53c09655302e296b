"""Faults put into a gradient on purpose, to see whether the check catches them.

Each leaves the loss untouched and makes only the gradient wrong: either the finished arrays are spoilt, or a layer
is given a wrong backward pass, y = stop(right) + (wrong − stop(wrong)), whose value is `right` to the last bit and
whose slope is that of `wrong`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from experiments.errors import GradusError
from experiments.gradient_check.certificates import Part
from experiments.gradient_check.faults import SENTENCES
from experiments.gradient_check.objective import Array, Objective
from experiments.keras_ext.attention import MultiHeadAttention, SelfAttention
from experiments.layers import Join

CHANGED = 1e-3
"""A fault counts where it changes a derivative by at least this share of its tensor's largest."""
Spoil = Callable[[Part, list[Array]], list[Array]]


class FaultError(GradusError):
    """A fault that cannot be injected: unknown, or the network has no place for it."""


@dataclass(frozen=True)
class Fault:
    """`inject` changes the objective's layers or gives a function that spoils the gradients of a part.

    It returns None and has done nothing where the network has no place for the fault.
    """

    sentence: str
    inject: Callable[[Objective], Spoil | None]
    rewrites: bool = False
    """Whether layers are changed; else only the finished arrays."""


def rewrites_layers(name: str) -> bool:
    """Whether a fault changes the objective it is put into. An unknown one does not."""
    return name in FAULTS and FAULTS[name].rewrites


def inject(name: str, objective: Objective) -> Spoil:
    """Put a fault into an objective that was not evaluated yet.

    Args:
        name: A name of `FAULTS`.
        objective: Its layers may be changed.

    Returns:
        A function that takes a part and its gradient and gives the gradient with the fault.

    Raises:
        FaultError: The fault is unknown, or the network has no place for it.
    """
    if name not in FAULTS:
        raise FaultError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
    spoil = FAULTS[name].inject(objective)
    if spoil is None:
        raise FaultError(f"{name}: {FAULTS[name].sentence}; this network has no place for it")
    return spoil


def applicable(objective: Objective) -> list[str]:
    """The faults that this network has a place for. The objective cannot be used afterwards."""
    return [name for name, fault in FAULTS.items() if fault.inject(objective) is not None]


def changed(right: Sequence[Array], faulty: Sequence[Array]) -> bool:
    """Whether a derivative differs by CHANGED of its tensor's largest, or of a hundredth of the network's largest.

    Args:
        right, faulty: One array of derivatives per tensor.
    """
    largest = max(float(np.max(np.abs(g), initial=0.0)) for g in right)
    return any(
        float(np.max(np.abs(a - b), initial=0.0))
        > CHANGED * max(float(np.max(np.abs(a), initial=0.0)), 1e-2 * largest)
        for a, b in zip(right, faulty, strict=True)
    )


def _unspoilt(part: Part, gradients: list[Array]) -> list[Array]:
    return gradients


def _pretend(right: Any, wrong: Any) -> Any:
    return ops.stop_gradient(right) + (wrong - ops.stop_gradient(wrong))


def _kernels(objective: Objective) -> list[int]:
    return [i for i, v in enumerate(objective.variables) if "kernel" in v.name]


def _at(index: int, change: Callable[[Array], Array]) -> Spoil:
    return lambda part, gradients: [
        change(g) if i == index and part == "loss" else g for i, g in enumerate(gradients)
    ]


def _scale(objective: Objective) -> Spoil | None:
    return _at(_kernels(objective)[0], lambda g: 1.01 * g) if _kernels(objective) else None


def _sign(objective: Objective) -> Spoil | None:
    return _at(_kernels(objective)[-1], lambda g: -g) if _kernels(objective) else None


def _drop_bias(objective: Objective) -> Spoil | None:
    biases = {i for i, v in enumerate(objective.variables) if v.name.endswith("bias")}
    if not biases:
        return None
    return lambda part, gradients: [0 * g if i in biases else g for i, g in enumerate(gradients)]


def _off_by_one(objective: Objective) -> Spoil | None:
    wide = [i for i in _kernels(objective) if objective.variables[i].shape[-1] > 1]
    return _at(wide[0], lambda g: np.roll(g, 1, axis=-1)) if wide else None


def _batch_sum(objective: Objective) -> Spoil | None:
    n = int(objective.batch().x.shape[0])
    return (lambda part, gradients: [n * g if part == "loss" else g for g in gradients]) if n > 1 else None


def _drop_penalty(objective: Objective) -> Spoil | None:
    if "penalty" not in objective.parts:
        return None
    return lambda part, gradients: [0 * g if part == "penalty" else g for g in gradients]


def _transpose(objective: Objective) -> Spoil | None:
    """δ W in place of δ Wᵀ on the way back through the last dense layer that has weights below it.

    Where W is not square its numbers are laid out in Wᵀ's shape, as a reshape in place of a transpose does.
    """
    weighted = [layer for layer in objective.model.layers if layer.trainable_variables]
    dense = [
        layer
        for layer in weighted[1:]
        if isinstance(layer, keras.layers.Dense) and min(layer.kernel.shape) > 1
    ]
    if not dense:
        return None
    last = dense[-1]
    right, activation = last.call, last.activation

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        kernel = ops.stop_gradient(ops.convert_to_tensor(last.kernel))
        wrong = ops.matmul(x, ops.transpose(ops.reshape(kernel, kernel.shape[::-1])))
        extra = wrong - ops.stop_gradient(wrong)  # 0; what comes back through it is δ W
        object.__setattr__(last, "activation", lambda z: activation(z + extra))
        return right(ops.stop_gradient(x), *args, **kwargs)

    object.__setattr__(last, "call", call)
    return _unspoilt


def _stop_gradient(objective: Objective) -> Spoil | None:
    weighted = [layer for layer in objective.model.layers if layer.trainable_variables]
    if len(weighted) < 2:
        return _at(_kernels(objective)[0], lambda g: 0 * g) if _kernels(objective) else None
    last, right = weighted[-1], weighted[-1].call
    object.__setattr__(last, "call", lambda x, *args, **kwargs: right(ops.stop_gradient(x), *args, **kwargs))
    return _unspoilt


def _slope(objective: Objective) -> Spoil | None:
    """φ′ forgotten, as if it were 1, in the first layer whose activation is not linear."""
    for entry, layer in zip(objective.spec.model.layers, objective.model.layers, strict=True):
        holder = getattr(layer, "cell", layer)
        if getattr(entry, "activation", "linear") != "linear":
            right = holder.activation
            object.__setattr__(holder, "activation", lambda z, right=right: _pretend(right(z), z))
            return _unspoilt
    return None


WINDOWED = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.MaxPooling1D,
    keras.layers.AveragePooling1D,
)
GLOBAL = (
    keras.layers.GlobalMaxPooling2D, keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D, keras.layers.GlobalAveragePooling1D,
)  # fmt: skip
STRIDING = (
    keras.layers.Conv2D, keras.layers.SeparableConv2D, keras.layers.DepthwiseConv2D, keras.layers.Conv2DTranspose,
    keras.layers.Conv1D, *WINDOWED,
)  # fmt: skip


def _places(layer: Any, rank: int) -> tuple[int, ...]:
    """The axes of a layer's input that are no batch and no channels."""
    return tuple(range(1, rank - 1) if layer.data_format == "channels_last" else range(2, rank))


def _pool_mean(objective: Objective) -> Spoil | None:
    """A mean where a sum belongs: max pooling spreads δ over its window, average pooling gives δ to each."""
    for layer in objective.model.layers:
        if isinstance(layer, WINDOWED + GLOBAL):
            right, takes_mean = layer.call, "Average" in type(layer).__name__

            def call(
                x: Any, layer: Any = layer, right: Any = right, takes_mean: bool = takes_mean, **kwargs: Any
            ) -> Any:
                if isinstance(layer, GLOBAL):
                    axes = _places(layer, len(x.shape))
                    size, mean = [x.shape[axis] for axis in axes], ops.mean(x, axis=axes)
                else:
                    size = layer.pool_size
                    mean = ops.average_pool(x, size, layer.strides, layer.padding, layer.data_format)
                return _pretend(right(x, **kwargs), (float(np.prod(size)) if takes_mean else 1.0) * mean)

            object.__setattr__(layer, "call", call)
            return _unspoilt
    return None


def _stride(objective: Objective) -> Spoil | None:
    """The backward pass walks with another stride than the forward pass (2 for 1, else 1)."""
    for layer in objective.model.layers:
        if isinstance(layer, STRIDING):
            right, stride = layer.call, tuple(layer.strides)

            def call(x: Any, layer: Any = layer, right: Any = right, stride: Any = stride) -> Any:
                value = right(x)
                object.__setattr__(layer, "strides", (1,) * len(stride))
                wrong = right(x)
                object.__setattr__(layer, "strides", stride)
                for axis, step in zip(_places(layer, len(x.shape)), stride, strict=True):
                    walked = np.arange(value.shape[axis]) * (2 if step == 1 else 1)
                    wrong = ops.take(wrong, np.minimum(walked, wrong.shape[axis] - 1), axis=axis)
                return _pretend(value, wrong)

            object.__setattr__(layer, "call", call)
            return _unspoilt
    return None


def _truncate(objective: Objective) -> Spoil | None:
    """Nothing is carried back through time: the state is taken as given at every step."""
    for layer in objective.model.layers:
        if isinstance(layer, keras.layers.RNN):
            cell, right = layer.cell, layer.cell.call

            def call(inputs: Any, states: Any, right: Any = right, **kwargs: Any) -> Any:
                return right(inputs, keras.tree.map_structure(ops.stop_gradient, states), **kwargs)

            object.__setattr__(cell, "call", call)
            return _unspoilt
    return None


def _attention_scale(objective: Objective) -> Spoil | None:
    for layer in objective.model.layers:
        if isinstance(layer, MultiHeadAttention) and layer.key_dim > 1:
            right = layer.scaled
            object.__setattr__(layer, "scaled", lambda query, right=right: _pretend(right(query), query))
            return _unspoilt
    return None


def _softmax_diagonal(objective: Objective) -> Spoil | None:
    """∂a_i/∂s_j = a_i (δ_ij − a_j) without its part beside the diagonal."""
    for layer in objective.model.layers:
        if isinstance(layer, SelfAttention):
            right = layer.softmax

            def softmax(scores: Any, right: Any = right) -> Any:
                shares = right(scores)
                slope = ops.stop_gradient(shares * (1 - shares))
                return _pretend(shares, slope * scores)

            object.__setattr__(layer, "softmax", softmax)
            return _unspoilt
    return None


def _wrong_row(objective: Objective) -> Spoil | None:
    tables = [i for i, v in enumerate(objective.variables) if v.name == "embeddings"]
    return _at(tables[0], lambda g: np.roll(g, 1, axis=0)) if tables else None


def _drop_shortcut(objective: Objective) -> Spoil | None:
    """Nothing passes back through the last input of the last join, which of a residual layer is its shortcut."""
    joins = [
        layer
        for entry, layer in zip(objective.spec.model.layers, objective.model.layers, strict=True)
        if isinstance(entry, Join)
    ]
    if not joins:
        return None
    right = joins[-1].call

    def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        *others, last = inputs
        return right([*others, ops.stop_gradient(last)], *args, **kwargs)

    object.__setattr__(joins[-1], "call", call)
    return _unspoilt


FAULTS: dict[str, Fault] = {
    "scale": Fault(SENTENCES["scale"], _scale),
    "sign": Fault(SENTENCES["sign"], _sign),
    "drop-bias": Fault(SENTENCES["drop-bias"], _drop_bias),
    "transpose": Fault(SENTENCES["transpose"], _transpose, rewrites=True),
    "off-by-one": Fault(SENTENCES["off-by-one"], _off_by_one),
    "batch-sum": Fault(SENTENCES["batch-sum"], _batch_sum),
    "slope": Fault(SENTENCES["slope"], _slope, rewrites=True),
    "stop-gradient": Fault(SENTENCES["stop-gradient"], _stop_gradient, rewrites=True),
    "pool-mean": Fault(SENTENCES["pool-mean"], _pool_mean, rewrites=True),
    "stride": Fault(SENTENCES["stride"], _stride, rewrites=True),
    "drop-shortcut": Fault(SENTENCES["drop-shortcut"], _drop_shortcut, rewrites=True),
    "attention-scale": Fault(SENTENCES["attention-scale"], _attention_scale, rewrites=True),
    "softmax-diagonal": Fault(SENTENCES["softmax-diagonal"], _softmax_diagonal, rewrites=True),
    "wrong-row": Fault(SENTENCES["wrong-row"], _wrong_row),
    "truncate": Fault(SENTENCES["truncate"], _truncate, rewrites=True),
    "drop-penalty": Fault(SENTENCES["drop-penalty"], _drop_penalty),
}
