"""Where a gradient is checked: one part of the objective at one set of weights, with what it is judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.gradient_check.certificates import Part
from experiments.gradient_check.differences import EPSILON, Differences
from experiments.gradient_check.objective import Array, Batch, Values


@dataclass(frozen=True)
class Gate:
    """The largest and the median relative error that a right gradient may show."""

    largest: float
    median: float

    @classmethod
    def smooth(cls) -> Gate:
        return cls(1e-5, 1e-7)

    @classmethod
    def kinked(cls) -> Gate:
        return cls(1e-4, np.inf)


@dataclass(frozen=True)
class Point:
    """One part of the objective at one set of weights.

    gradient: autodiff's, one array per tensor; value: of the part itself; step: h; draw: for directions and
    coordinates.
    """

    part: Part
    differences: Differences
    values: Values
    batch: Batch
    gradient: list[Array]
    value: float
    step: float
    gate: Gate
    draw: np.random.Generator

    def allowance(self, step: Array | float) -> Array:
        """What rounding may add to a quotient of this step: 4 ε max(1, |f|) / h."""
        noise: Array = 4 * EPSILON * max(1.0, abs(self.value)) / np.asarray(step)
        return noise

    def ahead(self, direction: list[Array], h: float) -> float:
        """f(θ + h d), d through all tensors."""
        return self.differences.ahead(self.values, self.batch, direction, h)

    def along(self, direction: list[Array], h: float) -> tuple[float, float, bool]:
        """(f(θ + h d), f(θ − h d), whether a kink lies between), d through all tensors."""
        return self.differences.along(self.values, self.batch, direction, h)

    def along_tensor(self, index: int, direction: Array, h: float) -> tuple[float, float, bool]:
        """The same, d through one tensor alone."""
        only: list[Array | None] = [None] * len(self.gradient)
        only[index] = direction
        return self.differences.along(self.values, self.batch, only, h)
