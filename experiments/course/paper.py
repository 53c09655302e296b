"""What can be computed on paper: each function gives one number that a lesson's check compares.

NumPy and this project's own theory, no Keras: tests hold the same against Keras' layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.datasets import Source
from experiments.datasets.curves import Linear
from experiments.errors import SpecError
from experiments.keras_code import import_keras
from experiments.spec import ExperimentSpec

Array = npt.NDArray[np.float64]
IMAGE = ((1, 1, 1, 0, 0), (0, 1, 1, 1, 0), (0, 0, 1, 1, 1), (0, 0, 1, 1, 0), (0, 1, 1, 0, 0))
FILTER = ((1, 0, 1), (0, 1, 0), (1, 0, 1))
SQUARE = ((1, 1, 2, 4), (5, 6, 7, 8), (3, 2, 1, 0), (1, 2, 3, 4))
Z = np.linspace(-10, 10, 4001)
"""Where slopes are looked for; 0 is among them."""
SLOPES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda z: (s := 1 / (1 + np.exp(-z))) * (1 - s),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: (z > 0).astype(float),
}
"""Activation -> its derivative."""
VALUES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}
"""Activation -> its values."""


def curves(activation: str) -> list[tuple[float, float, float]]:
    """(z, value, slope) of an activation from z = −4 to 4."""
    z = np.linspace(-4, 4, 161)
    return list(zip(z.tolist(), VALUES[activation](z).tolist(), SLOPES[activation](z).tolist(), strict=True))


def slope(activation: str, take: str) -> float:
    """The largest (`max`) or smallest (`min`) slope of an activation over [-10, 10], or where it is largest (`at`)."""
    values = SLOPES[activation](Z)
    if take == "at":
        return float(Z[values.argmax()])
    return float(values.max() if take == "max" else values.min())


def output_size(size: int, window: int, padding: int, stride: int) -> float:
    """⌊(W − F + 2P)/S⌋ + 1."""
    return (size - window + 2 * padding) // stride + 1


def convolution(stride: int, row: int, column: int) -> float:
    """One number of the 5 × 5 image filtered by 3 × 3: the sum of nine products."""
    return float(
        filtered(np.array(IMAGE, float)[..., None], np.array(FILTER, float)[..., None], stride)[row, column]
    )


def volume(filter: int, row: int, column: int) -> float:
    """One number of the 7 × 7 × 3 case (a 5 × 5 × 3 image with a border of zeros), two 3 × 3 × 3 filters, stride 2.

    Image: pixel (i, j) of channel c is (i + j + c) mod 3. Filter 0 has 1 on its main diagonal in every channel, filter 1 has
    −1, 0, 1 in its columns; their biases are 1 and 0.
    """
    image, kernels, biases = volume_case()
    return float(filtered(image, kernels[filter], 2)[row, column] + biases[filter])


def volume_case() -> tuple[Array, Array, Array]:
    """Image (7, 7, 3), filters (2, 3, 3, 3) and biases (2,) of the case above."""
    i, j, c = np.ogrid[:5, :5, :3]
    image = np.zeros((7, 7, 3))
    image[1:6, 1:6] = (i + j + c) % 3
    kernels = np.stack([np.eye(3), np.tile([-1.0, 0.0, 1.0], (3, 1))])
    return image, np.repeat(kernels[..., None], 3, axis=3), np.array([1.0, 0.0])


def filtered(image: Array, kernel: Array, stride: int) -> Array:
    """image (h, w, channels), kernel (f, f, channels) -> sums of products, without padding."""
    window = kernel.shape[0]
    steps = range(0, image.shape[0] - window + 1, stride)
    return np.array([[(image[r : r + window, c : c + window] * kernel).sum() for c in steps] for r in steps])


def pooling(kind: str, row: int, column: int) -> float:
    """One number of the 4 × 4 square pooled by 2 × 2: `max`, `mean`, or `stochastic` (testing: Σa² / Σa)."""
    a = np.array(SQUARE, float)[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    return float({"max": a.max(), "mean": a.mean(), "stochastic": (a**2).sum() / a.sum()}[kind])


def dense_parameters(inputs: int, units: int) -> float:
    """(n + 1) · m."""
    return (inputs + 1) * units


def parameters(spec: dict[str, Any], layer: int | None = None) -> float:
    """Parameters of the network of a spec, or of one of its layers."""
    forecast = ExperimentSpec.parse({"name": "paper", **spec}).expand()[0].spec.forecast
    return forecast.parameters if layer is None else forecast.layers[layer].parameters


def shape(spec: dict[str, Any], layer: int, axis: int) -> float:
    """One size of a layer's output."""
    return (
        ExperimentSpec.parse({"name": "paper", **spec})
        .expand()[0]
        .spec.forecast.layers[layer]
        .output_shape[axis]
    )


def refused(spec: dict[str, Any], path: str) -> float:
    """1 where a spec is refused at this field, else 0."""
    try:
        ExperimentSpec.parse({"name": "paper", **spec})
    except SpecError as error:
        return float(any(problem.path == path for problem in error.problems))
    return 0.0


def slips(code: str) -> float:
    """Slips that reading a Keras program finds."""
    program = code if "Sequential" in code else f"{code}\nSequential([Dense(1)])"
    return sum(note.kind == "slip" for note in import_keras(program).notes)


def rule(sign: int, updates: int, rate: float) -> float:
    """½|e|² after updates of w := w + sign · η xᵀe, e = xω − y, over its value before them; on a line without noise."""
    data = Linear(noise=0).load(Source())
    x = np.hstack([data.x_train, np.ones_like(data.x_train)]).astype(float)
    y, w = data.y_train.astype(float), np.zeros((2, 1))
    first = float(0.5 * ((x @ w - y) ** 2).sum())
    for _ in range(updates):
        w = w + sign * rate * x.T @ (x @ w - y)
    return float(0.5 * ((x @ w - y) ** 2).sum()) / first


def printed_derivative(step: float) -> float:
    """The printed ∂f, Σ x (y − xw), over the quotient of f = ½Σ(y − xw)²; 1 where they agree."""
    x, y, w = np.array([1.0, 2.0, -1.0]), np.array([2.0, 1.0, 0.5]), 0.3

    def f(v: float) -> float:
        return float(0.5 * ((y - x * v) ** 2).sum())

    return float((x * (y - x * w)).sum()) / ((f(w + step) - f(w - step)) / (2 * step))


def quotient_error(step: float, bits: int) -> float:
    """Relative error of (f(w + ε) − f(w − ε)) / 2ε for f = σ at w = 1, in floating point of 32 or 64 bits."""
    kind = np.float32 if bits == 32 else np.float64
    w, h = kind(1), kind(step)

    def sigmoid(z: Any) -> Any:
        return kind(1) / (kind(1) + np.exp(-z))

    quotient = float((sigmoid(w + h) - sigmoid(w - h)) / (kind(2) * h))
    exact = float(SLOPES["sigmoid"](np.array([1.0]))[0])
    return abs(quotient - exact) / exact


def delta(which: str, unit: int = 0) -> float:
    """δ of the 2-2-1 network by hand: `output` is y(1 − y)(t − y), `hidden` is a(1 − a) w δ, and `error` the largest
    difference of −δ·input from the quotient of ½(t − y)², over all nine weights.

    Inputs (0.35, 0.9), target 0.5, biases 0, weights as below; sigmoid everywhere.
    """
    t = 0.5
    x, w, a, y = small_network()
    output = y * (1 - y) * (t - y)
    hidden = a * (1 - a) * w[6:8] * output
    if which == "output":
        return output
    if which == "hidden":
        return float(hidden[unit])
    by_hand = -np.concatenate([np.outer(hidden, x).ravel(), output * np.append(a, 1.0)])

    def f(v: Array) -> float:
        return 0.5 * (t - small_network(v)[3]) ** 2

    h = 1e-4
    quotients = np.array([(f(w + h * e) - f(w - h * e)) / (2 * h) for e in np.eye(9)])
    return float(np.abs(by_hand - quotients).max())


WEIGHTS = np.array([0.1, 0.8, 0.0, 0.4, 0.6, 0.0, 0.3, 0.9, 0.0])
"""Of the 2-2-1 network: two hidden units and the output, each with its bias last."""


def small_network(w: Array = WEIGHTS) -> tuple[Array, Array, Array, float]:
    """The 2-2-1 network: inputs with a 1 for the bias, weights, hidden activations, output."""
    x = np.array([0.35, 0.9, 1.0])
    a = 1 / (1 + np.exp(-(w[:6].reshape(2, 3) @ x)))
    return x, w, a, float(1 / (1 + np.exp(-(w[6:8] @ a + w[8]))))


def uniform_cross_entropy(classes: int) -> float:
    """−log(1 / K)."""
    return math.log(classes)


def bound(depth: int) -> float:
    """0.25^L."""
    return 0.25**depth


FORMULAS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        slope, output_size, convolution, volume, pooling, dense_parameters, parameters, shape, refused, slips, rule,
        printed_derivative, quotient_error, delta, uniform_cross_entropy, bound,
    )
}  # fmt: skip
"""Name in a lesson -> computation."""
