"""The third way to the gradient: a network of dense layers handed over to `backprop`."""

from __future__ import annotations

import numpy as np

from experiments.gradient_check.backprop import Layer, backprop, covers
from experiments.gradient_check.objective import Array, Objective, Values
from experiments.layers import ActivationLayer, Dense, Flatten


def by_hand(objective: Objective, values: Values) -> list[Array] | None:
    """The gradient of the loss by the textbook's formulas, one array per tensor; None where they do not cover it.

    They cover dense layers in a row, over vectors, with any activation and loss of `backprop`.
    """
    spec = objective.spec
    stack = _dense_layers(objective, values)
    structural = {"name", "from_logits", "label_smoothing"}
    odd = (
        any(value for key, value in spec.loss.arguments().items() if key in structural)
        or spec.loss.integer_targets
    )
    if stack is None or odd or not covers([layer.activation for layer in stack], spec.loss.name):
        return None
    x = np.asarray(objective.x, np.float64).reshape(len(objective.x), -1)
    _, gradients = backprop(stack, x, np.asarray(objective.t, np.float64), spec.loss.name)
    parts = [part for g in gradients for part in ((g.kernel,) if g.bias is None else (g.kernel, g.bias))]
    return [np.asarray(part, np.float64) for part in parts]


def _dense_layers(objective: Objective, values: Values) -> list[Layer] | None:
    """Dense layers with their activations; an activation layer after a linear one belongs to it."""
    stack: list[Layer] = []
    rest = [np.asarray(v, np.float64) for v in values]
    for entry in objective.spec.model.layers:
        if isinstance(entry, Dense) and not (entry.activity_regularizer):
            kernel = rest.pop(0)
            stack.append(Layer(kernel, rest.pop(0) if entry.use_bias else None, entry.activation or "linear"))
        elif isinstance(entry, ActivationLayer) and stack and stack[-1].activation == "linear":
            stack[-1] = Layer(stack[-1].kernel, stack[-1].bias, entry.activation or "linear")
        elif not (isinstance(entry, Flatten) and not stack):
            return None
    return stack or None
