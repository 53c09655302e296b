"""What can be said about a formula before it is trained: its derivative, smoothness, kinks and bounds.

The derivative is exact. The rest is found on a grid: points of a tie (of max, min, abs, sign, a comparison) between -100
and 100, at distances of 0.005 and bisected to the last bit, where the values left and right are compared.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from experiments.formulas.grammar import FormulaError, parse
from experiments.formulas.nodes import COMPARISONS, Library, Node, depends, derivative, values

Array = npt.NDArray[np.floating]
Smoothness = Literal["Cinf", "C1", "C0", "jump"]
REACH, SPACING = 100.0, 0.005
USUAL = 8.0
"""Weighted sums up to this size are usual: within it a formula and its slope must be finite."""
MOST_KINKS = 16
STEP = 1e-7
"""Distance from a tie at which its two sides are compared, relative to its size."""
UNEQUAL = 1e-5
NUMPY: Library = {
    "constant": lambda c, x: np.full_like(x, c),
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign, "sin": np.sin, "cos": np.cos,
    "atan": np.arctan, "tanh": np.tanh, "maximum": np.maximum, "minimum": np.minimum, "where": np.where,
    "power": np.power, "softplus": lambda u: np.logaddexp(u, 0.0),
    "sigmoid": lambda u: np.exp(-np.logaddexp(-u, 0.0)),
    "erf": lambda u: np.vectorize(math.erf, otypes=[np.float64])(u),
}  # fmt: skip
"""The functions of a formula on float64 arrays."""


@dataclass(frozen=True)
class Study:
    """A formula and what is known about it.

    text: as it was written
    slope: the derivative
    kinks: where the derivative (C0) or the value (jump) is not continuous
    bends: where only the second derivative is not
    derivative_bound, low, high: sup |f′| and the range of f, as far as a grid up to ±10,000 tells
    """

    text: str
    tree: Node
    slope: Node
    smoothness: Smoothness
    kinks: tuple[float, ...]
    bends: tuple[float, ...]
    derivative_bound: float
    low: float
    high: float

    def value(self, x: Array) -> Array:
        """f(x), float64, of x's shape."""
        return _at(self.tree, x)

    def slope_at(self, x: Array) -> Array:
        """f′(x), float64, of x's shape."""
        return _at(self.slope, x)


@functools.lru_cache(maxsize=1024)
def study(formula: str) -> Study:
    """Read a formula and judge it.

    Raises:
        FormulaError: it cannot be read; its value or its slope is not finite for a usual x, or the slope is 0
            everywhere, so that nothing can be learned through it.
    """
    tree = parse(formula)
    slope = derivative(tree)
    ties = np.asarray(_ties(tree), np.float64)
    grid = np.unique(np.concatenate([_grid(), ties, ties - STEP, ties + STEP]))
    usual = grid[np.abs(grid) <= USUAL]
    _refuse_endless(tree, usual)
    slopes = _at(slope, usual)
    if not np.all(np.isfinite(slopes)):
        at = usual[np.argmin(np.isfinite(slopes))]
        raise FormulaError(
            tree.position,
            f"the slope at x = {at:g} is not finite",
            "a formula whose slope is finite everywhere",
        )
    if not np.any(slopes):
        raise FormulaError(
            tree.position,
            "the slope is 0 everywhere: nothing is learned through it",
            "a formula that rises or falls; activation: step has a slope by decree",
        )
    orders: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for tie in _ties(tree):
        for order, part in enumerate((tree, slope, derivative(slope))):
            if _differs(part, tie):
                orders[order].append(tie)
                break
    kinks = tuple(sorted({*orders[0], *orders[1]}))
    if len(kinks) > MOST_KINKS:
        raise FormulaError(
            tree.position, f"{len(kinks)} kinks between -{REACH:g} and {REACH:g}", f"at most {MOST_KINKS}"
        )
    smoothness: Smoothness = "jump" if orders[0] else "C0" if kinks else "C1" if orders[2] else "Cinf"
    low, high = _range(tree, grid)
    steepest = max(map(abs, _range(slope, grid)))
    return Study(formula, tree, slope, smoothness, kinks, tuple(orders[2]), steepest, low, high)


def _at(tree: Node, x: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(values(tree, np.asarray(x, np.float64), NUMPY), np.float64)


@functools.cache
def _grid() -> Array:
    return np.linspace(-REACH, REACH, round(2 * REACH / SPACING) + 1)


def _parts(tree: Node) -> Iterator[Node]:
    for arg in tree.args:
        yield from _parts(arg)
    yield tree


def _refuse_endless(tree: Node, x: Array) -> None:
    """Raises FormulaError where f(x) is not finite, with the position of the operation that is the first not to be."""
    finite = np.isfinite(_at(tree, x))
    if np.all(finite):
        return
    at = x[~finite][:1]
    culprit = next(
        part for part in _parts(tree) if part.op not in COMPARISONS and not np.isfinite(_at(part, at)[0])
    )
    raise FormulaError(
        culprit.position,
        f"{culprit.op} has no finite value at x = {at[0]:g}",
        f"a formula that is finite for every x, at least from -{USUAL:g} to {USUAL:g}; where(…) keeps x in bounds",
    )


@functools.lru_cache(maxsize=64)
def _ties(tree: Node) -> tuple[float, ...]:
    """The x at which a comparison inside the formula is even."""
    ties: set[float] = set()
    for part in _parts(tree):
        if part.op in ("abs", "sign"):
            ties.update(_zeros(part.args[0]))
        elif part.op in ("max", "min", *COMPARISONS):
            ties.update(_zeros(Node("-", part.args)))
    return tuple(sorted(ties))


def _zeros(tree: Node) -> list[float]:
    """Where a continuous function of x changes its sign or is 0 on the grid."""
    if not depends(tree):
        return []
    x = _grid()
    y = _at(tree, x)
    zero = y == 0
    isolated = zero & ~(np.roll(zero, 1) & np.roll(zero, -1))
    zeros = [float(point) for point in x[isolated]]
    crossing = np.flatnonzero(y[:-1] * y[1:] < 0)
    low, high = x[crossing], x[crossing + 1]
    below = y[crossing] < 0
    for _ in range(60):
        middle = (low + high) / 2
        left = (_at(tree, middle) < 0) == below
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return [*zeros, *(_neat(tree, float(point)) for point in high)]


def _neat(tree: Node, zero: float) -> float:
    """The short decimal number beside a zero where it is one too: 0.1 for 0.10000000000000002."""
    short = float(f"{zero:.12g}")
    return short if _at(tree, np.array([short]))[0] == 0 else zero


def _differs(tree: Node, x: float) -> bool:
    step = STEP * max(1.0, abs(x))
    left, right = _at(tree, np.array([x - step, x + step]))
    return not abs(left - right) <= UNEQUAL * max(1.0, abs(left), abs(right))


def _range(tree: Node, grid: Array) -> tuple[float, float]:
    """inf and sup of the values: infinite where they are larger at ±10,000 than anywhere on the grid."""
    inner = _at(tree, np.concatenate([grid, [-1e3, 1e3]]))
    inner = inner[np.isfinite(inner)]
    low, high, largest = float(np.min(inner)), float(np.max(inner)), float(np.max(np.abs(inner)))
    for far in map(float, _at(tree, np.array([-1e4, 1e4]))):
        value = far if abs(far) <= 1.05 * largest + 1e-9 else math.copysign(math.inf, far)
        low, high = min(low, value), max(high, value)
    return low + 0.0, high + 0.0
