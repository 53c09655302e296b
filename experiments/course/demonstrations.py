"""What a lesson computes at once from data that come with the package: costs, feature maps, recall. No Keras."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from experiments.course.paper import VALUES, filtered
from experiments.hopfield import binary, capacity, disturbed, hebbian, overlap, recall

Array = npt.NDArray[np.float64]
VERTICAL = np.tile([-1.0, 0.0, 1.0], (3, 1))
"""Answers where it gets brighter from left to right."""
EDGES = {"vertical": VERTICAL, "horizontal": VERTICAL.T}
"""Direction of the edge -> filter."""
REPEATS = 30
NUMBERS = 100_000


DIGITS = {
    0: ("005c0000", "00eaec00", "02gg8b20", "03gb0930", "05c20c40", "01c00d30", "00d68d00", "003ec300"),
    1: ("0000dc00", "000age00", "01cggb00", "0bgcg800", "0647g600", "0006g500", "0004g800", "0000fb00"),
}
"""The first 0 and the first 1 of the data set `digits`, a row each, brightness from 0 to g (16): reading the set itself would
load scikit-learn."""


def digit(number: int) -> Array:
    """The first image of a digit in the data set `digits`: (8, 8), from 0 to 1."""
    return np.array([[int(brightness, 17) for brightness in row] for row in DIGITS[number]]) / 16


def feature_map(number: int, edge: str) -> Array:
    """max(0, x ∗ w) of a digit: (6, 6)."""
    return np.maximum(filtered(digit(number)[..., None], EDGES[edge][..., None], 1), 0)


def answer(number: int, edge: str) -> float:
    """The sum of a feature map."""
    return float(feature_map(number, edge).sum())


@cache
def recollection(numbers: tuple[int, ...], noise: float) -> tuple[Array, Array, Array]:
    """Digits as a Hopfield network stores them, what was shown to it, and what it recalled: (digits, 64) of −1 and 1."""
    patterns = binary(np.stack([digit(number) for number in numbers]))
    weights, random = hebbian(patterns), np.random.default_rng(0)
    shown = np.stack([disturbed(pattern, noise, random) for pattern in patterns])
    return patterns, shown, np.stack([recall(weights, state, random).state for state in shown])


def recalled(numbers: list[int], noise: float, which: str) -> float:
    """The smallest overlap with the stored digits, of what was `shown` or `recalled`."""
    patterns, shown, states = recollection(tuple(numbers), noise)
    rows = shown if which == "shown" else states
    return min(overlap(row, pattern) for row, pattern in zip(rows, patterns, strict=True))


MEASURING = threading.Lock()
"""Two threads that ask for the first time would each measure, and disturb each other."""


@cache
def held(load: float) -> float:
    """Share of random patterns that a network of 200 units keeps where it stores `load` patterns per unit."""
    return capacity(200, [load], trials=3)[load]


def cost(activation: str) -> float:
    """Time of an activation over 100,000 numbers in single precision, over that of ReLU; the best of 30 tries of each.

    It is measured once: a lesson's sentence and its picture say the same.
    """
    with MEASURING:
        return _measured_cost(activation)


@cache
def _measured_cost(activation: str) -> float:
    z = np.random.default_rng(0).normal(size=NUMBERS).astype(np.float32)

    def best(name: str) -> float:
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            VALUES[name](z)  # type: ignore[arg-type]
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    return best(activation) / best("relu")


DEMONSTRATIONS: dict[str, Callable[..., float]] = {
    function.__name__: function for function in (answer, recalled, held, cost)
}
"""Name in a lesson -> computation."""
