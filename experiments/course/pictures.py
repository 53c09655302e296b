"""What the pictures of the lessons show, as numbers: curves, grids, bars, layers. `service/report` draws them.

Names in a picture are symbols, so that they need no translation; what is seen is said by the lesson.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.course import paper
from experiments.course.demonstrations import EDGES, digit, feature_map, held, recollection
from experiments.course.demonstrations import cost as relative_cost
from experiments.keras_code import import_keras
from experiments.spec import ExperimentSpec

Array = npt.NDArray[np.float64]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curves:
    """Lines over common axes: name -> (x, y)."""

    lines: Mapping[str, Points]
    x_label: str
    y_label: str
    x_log: bool = False
    y_log: bool = False


@dataclass(frozen=True)
class Grids:
    """Tables of numbers: title -> (rows, columns)."""

    tables: Mapping[str, Array]


@dataclass(frozen=True)
class Bars:
    """Lengths to compare: label -> value."""

    values: Mapping[str, float]
    label: str
    log: bool = False


@dataclass(frozen=True)
class Layers:
    """A network from its input to its output: (name, shape of the output, formula of its parameters)."""

    rows: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Code:
    """A line of a program, and what was said about it."""

    text: str
    notes: Sequence[str]


Drawing = Curves | Grids | Bars | Layers | Code


def activation(name: str) -> Curves:
    """An activation and its slope over z."""
    points = paper.curves(name)
    return Curves(
        {"f(z)": [(z, f) for z, f, _ in points], "f′(z)": [(z, s) for z, _, s in points]}, "z", name
    )


def updates(rate: float, count: int) -> Curves:
    """The error after n updates by the printed and by the right rule."""
    rules = {"w + η xᵀe": 1, "w − η xᵀe": -1}
    return Curves(
        {name: [(n, paper.rule(sign, n, rate)) for n in range(count + 1)] for name, sign in rules.items()},
        "n", "E(n) / E(0)", y_log=True,
    )  # fmt: skip


def tangents() -> Curves:
    """f = ½Σ(y − xw)² with the printed and the right derivative at w = 0.3 as slopes."""
    x, y, at = np.array([1.0, 2.0, -1.0]), np.array([2.0, 1.0, 0.5]), 0.3

    def f(w: float) -> float:
        return float(0.5 * ((y - x * w) ** 2).sum())

    slope = float((x * (y - x * at)).sum())
    around = np.linspace(at - 1, at + 1, 41).tolist()
    lines = {"f(w)": [(w, f(w)) for w in around]}
    for name, sign in (("∂f = Σ x (y − xw)", 1), ("∂f = −Σ x (y − xw)", -1)):
        lines[name] = [(w, f(at) + sign * slope * (w - at)) for w in (at - 0.7, at + 0.7)]
    return Curves(lines, "w", "f")


def steps() -> Curves:
    """Relative error of the difference quotient over its step."""
    sizes = [10.0 ** (-k / 4) for k in range(2, 37)]
    lines = {f"{bits} bit": [(h, paper.quotient_error(h, bits)) for h in sizes] for bits in (64, 32)}
    return Curves(lines, "ε", "|q − f′| / f′", x_log=True, y_log=True)


def surprise(classes: int) -> Curves:
    """−ln p, with the point where every class is as likely as the others."""
    shares = np.linspace(0.02, 1, 99).tolist()
    level = math.log(classes)
    lines = {"−ln p": [(p, -math.log(p)) for p in shares], f"ln {classes}": [(0.02, level), (1, level)]}
    return Curves(lines, "p", "−ln p")


def bounds(depths: Sequence[int]) -> Curves:
    """The largest factor by which L slopes of an activation multiply."""
    lines = {"sigmoid: 0.25^L": 0.25, "tanh, ReLU: 1^L": 1.0}
    return Curves(
        {name: [(n, base**n) for n in depths] for name, base in lines.items()}, "L", "Π f′", y_log=True
    )


def loads() -> Curves:
    """Share of random patterns that a Hopfield network keeps, over patterns per unit."""
    measured = [(load, held(load)) for load in (0.06, 0.1, 0.12, 0.14, 0.16, 0.2)]
    return Curves({"N = 200": measured}, "P / N", "m > 0.95")


def windows(size: int, window: int, padding: int, strides: Sequence[int]) -> Grids:
    """How many windows read each pixel of an image with its border."""
    tables = {}
    whole = size + 2 * padding
    for stride in strides:
        count = np.zeros((whole, whole))
        starts = range(0, whole - window + 1, stride)
        for row in starts:
            for column in starts:
                count[row : row + window, column : column + window] += 1
        tables[f"S = {stride}: {len(starts)} × {len(starts)}"] = count
    return Grids(tables)


def convolution(stride: int) -> Grids:
    """The 5 × 5 image, the filter and the result."""
    x, w = np.array(paper.IMAGE, float), np.array(paper.FILTER, float)
    return Grids({"x": x, "w": w, f"x ∗ w, S = {stride}": paper.filtered(x[..., None], w[..., None], stride)})


def volume() -> Grids:
    """The 7 × 7 × 3 case: three channels, a channel of each filter, two results."""
    image, kernels, biases = paper.volume_case()
    tables = {f"x[:, :, {c}]": image[..., c] for c in range(3)}
    for index, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        tables[f"w{index}[:, :, c], b = {bias:g}"] = kernel[..., 0]
    for index, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        tables[f"o[:, :, {index}]"] = paper.filtered(image, kernel, 2) + bias
    return Grids(tables)


def pooling() -> Grids:
    """The 4 × 4 square, and its windows of 2 × 2 by each kind of pooling."""
    kinds = {"max": "max", "mean": "Σa / n", "stochastic": "Σa² / Σa"}
    pooled = {
        title: np.array([[paper.pooling(kind, row, column) for column in (0, 1)] for row in (0, 1)])
        for kind, title in kinds.items()
    }
    return Grids({"a": np.array(paper.SQUARE, float), **pooled})


def backprop() -> Grids:
    """Inputs, weights, activations and every δ of the 2-2-1 network."""
    x, w, a, y = paper.small_network()
    hidden = [paper.delta("hidden", unit) for unit in (0, 1)]
    return Grids(
        {
            "x": x[None, :2], "W₁": w[:6].reshape(2, 3)[:, :2], "a": a[None], "w₂": w[None, 6:8],
            "y": np.array([[y]]), "δ": np.array([[paper.delta("output")]]), "δ_h": np.array([hidden]),
        }
    )  # fmt: skip


def features(number: int) -> Grids:
    """A digit, the filters for edges, and what they answer."""
    tables = {"x": digit(number)}
    for index, (name, kernel) in zip("₁₂", EDGES.items(), strict=True):
        tables[f"w{index}"] = kernel
        tables[f"max(0, x ∗ w{index})"] = feature_map(number, name)
    return Grids(tables)


def memory(numbers: Sequence[int], noise: float) -> Grids:
    """Stored, shown and recalled, for every digit."""
    tables = {}
    for number, *states in zip(numbers, *recollection(tuple(numbers), noise), strict=True):
        for title, state in zip(("p", "s(0)", "s(∞)"), states, strict=True):
            tables[f"{title}: {number}"] = state.reshape(8, 8)
    return Grids(tables)


def costs() -> Bars:
    """Time of each activation over that of ReLU, measured here."""
    return Bars({name: relative_cost(name) for name in ("relu", "tanh", "sigmoid")}, "t / t(relu)")


def bars(values: Mapping[str, float], label: str, log: bool = False) -> Bars:
    """Numbers as the lesson states them."""
    return Bars(values, label, log)


def network(spec: Mapping[str, Any]) -> Layers:
    """The layers of a spec with their shapes and parameters."""
    run = ExperimentSpec.parse({"name": "paper", **spec}).expand()[0].spec
    forecast = run.forecast
    start = ("x", _shape(forecast.input_shape), "")
    return Layers(
        [start, *((row.type, _shape(row.output_shape), f"{row.parameters:,}") for row in forecast.layers)]
    )


def code(text: str) -> Code:
    """A line as it was printed, with the notes that reading it gives."""
    program = text if "Sequential" in text else f"{text}\nSequential([Dense(1)])"
    notes = import_keras(program).notes
    return Code(text, [note.text for note in notes if note.line == 1 and note.kind != "read"])


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


DRAWINGS: dict[str, Callable[..., Drawing]] = {
    function.__name__: function
    for function in (
        activation, updates, tangents, steps, surprise, bounds, loads, windows, convolution, volume, pooling, backprop,
        features, memory, costs, bars, network, code,
    )
}  # fmt: skip
"""Name in a lesson -> what it draws."""
