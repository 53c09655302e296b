"""Curves with noise from seeded generators. The truth is known, so what was learned can be compared with it."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from experiments.datasets.base import Data, DataFacts, DataFormat, DataShape, Glimpse, Resplit
from experiments.datasets.files import Source
from experiments.errors import SpecError
from experiments.fields import Seed

Samples = Annotated[int, Field(strict=True, ge=5, le=1_000_000)]
Coefficient = Annotated[float, Field(strict=True, ge=-1e6, le=1e6)]
Exact = npt.NDArray[np.float64]
GRID = 1001
"""Points at which a curve is evaluated to find its range."""


class Curve(Resplit):
    """y = f(x) + noise · N(0, 1), x uniform in [low, high], in random order; the last fifth is for testing."""

    licence: ClassVar[str] = "made here"
    reference: ClassVar[str] = "made here"
    validation_split: Annotated[float, Field(strict=True, ge=0, le=0.9)] = 0.1
    samples: Samples = 200
    low: Coefficient = -1.0
    high: Coefficient = 1.0
    noise: Annotated[float, Field(strict=True, ge=0, le=1e6)] = 0.05
    data_seed: Seed = 0
    """Of the generator; the run's seed does not change the data."""

    @abstractmethod
    def curve(self, x: Exact) -> Exact:
        """f, without the noise."""

    def truth(self) -> dict[str, float]:
        return {"noise": self.noise}

    @cached_property
    def facts(self) -> DataFacts:
        y = self.curve(np.linspace(self.low, self.high, GRID))
        return DataFacts(targets=(float(y.min()), float(y.max())))

    @property
    def _kept(self) -> int:
        return self.samples - self.samples // 5

    def shape(self) -> DataShape:
        if not self.low < self.high:
            raise SpecError.one("low", f"{self.low:g} is not below high = {self.high:g}", "low < high")
        training, validation = self.parts(self._kept)
        return DataShape(
            (1,), (1,), "regression", 0, training, validation, self.samples // 5, self.low, self.high
        )

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        draw = np.random.default_rng(self.data_seed)
        x = draw.uniform(self.low, self.high, (self.samples, 1))
        y = self.curve(x) + self.noise * draw.standard_normal(x.shape)
        (x32, y32), n = self.redrawn(x.astype(np.float32), y.astype(np.float32)), self._kept
        return Data(*self.split(x32[:n], y32[:n]), x32[n:], y32[n:], self.truth())

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        few = self.model_copy(
            update={"samples": min(self.samples, count), "train_samples": None, "validation_split": 0.0}
        )
        data = few.load(source)
        return data.x_train, data.y_train


class Linear(Curve):
    """A straight line: one linear neuron learns its slope and intercept."""

    formula: ClassVar[str] = "y = slope · x + intercept + noise · N(0, 1)"
    name: Literal["linear"] = "linear"
    slope: Coefficient = 0.5
    intercept: Coefficient = 2.0

    def curve(self, x: Exact) -> Exact:
        return self.slope * x + self.intercept

    def truth(self) -> dict[str, float]:
        return {"slope": self.slope, "intercept": self.intercept, "noise": self.noise}


class Sine(Curve):
    formula: ClassVar[str] = "y = amplitude · sin(2π · frequency · x + phase) + noise · N(0, 1)"
    name: Literal["sine"] = "sine"
    samples: Samples = 500
    amplitude: Coefficient = 1.0
    frequency: Coefficient = 1.0
    """Periods per unit of x."""
    phase: Coefficient = 0.0
    """In radians."""

    def curve(self, x: Exact) -> Exact:
        result: Exact = self.amplitude * np.sin(2 * np.pi * self.frequency * x + self.phase)
        return result


class Polynomial(Curve):
    formula: ClassVar[str] = "y = Σ coefficients[i] · x^i + noise · N(0, 1)"
    name: Literal["polynomial"] = "polynomial"
    samples: Samples = 500
    coefficients: tuple[Coefficient, ...] = Field(default=(0.0, -1.0, 0.0, 2.0), min_length=1, max_length=20)

    def curve(self, x: Exact) -> Exact:
        return np.asarray(np.polynomial.polynomial.polyval(x, np.asarray(self.coefficients)))
