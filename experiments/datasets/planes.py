"""Two-dimensional data from seeded generators: small enough to see the line that a network draws between classes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from experiments.datasets.base import Data, DataFormat, DataShape, Glimpse, Kind, Resplit
from experiments.datasets.files import Source
from experiments.fields import Seed, UnitInterval

REACH = 3.0
"""Coordinates are cut to [-REACH, REACH], so that noise has a bound."""
Exact = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]
Samples = Annotated[int, Field(strict=True, ge=20, le=1_000_000)]
Classes = Annotated[int, Field(strict=True, ge=2, le=10)]


class Plane(Resplit):
    """x: (2,), two coordinates in [-3, 3]; y: the class. Equally many samples of each class, in random order; the last
    fifth is for testing.
    """

    licence: ClassVar[str] = "made here"
    reference: ClassVar[str] = "made here"
    samples: Samples = 500
    noise: Annotated[float, Field(strict=True, ge=0, le=2)] = 0.1
    """Standard deviation of the normal noise on both coordinates."""
    data_seed: Seed = 0
    """Of the generator; the run's seed does not change the data."""

    @property
    def number_of_classes(self) -> int:
        return 2

    @property
    def kind(self) -> Kind:
        return "binary" if self.number_of_classes == 2 else "classification"

    @abstractmethod
    def points(self, draw: np.random.Generator, y: Labels) -> tuple[Exact, Labels]:
        """Coordinates without noise, (samples, 2), and their classes. y: a balanced draw of classes."""

    @property
    def _kept(self) -> int:
        return self.samples - self.samples // 5

    def shape(self) -> DataShape:
        training, validation = self.parts(self._kept)
        test = self.samples // 5
        return DataShape(
            (2,), (), self.kind, self.number_of_classes, training, validation, test, -REACH, REACH
        )

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        draw = np.random.default_rng(self.data_seed)
        balanced = draw.permutation(np.arange(self.samples) % self.number_of_classes).astype(np.int32)
        exact, y = self.points(draw, balanced)
        noisy = exact + self.noise * draw.standard_normal(exact.shape)
        x, y = self.redrawn(np.clip(noisy, -REACH, REACH).astype(np.float32), y)
        n = self._kept
        return Data(*self.split(x[:n], y[:n]), x[n:], y[n:])

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        few = self.model_copy(
            update={"samples": min(self.samples, count), "train_samples": None, "validation_split": 0.0}
        )
        data = few.load(source)
        return data.x_train, data.y_train


class Moons(Plane):
    """Two half circles that reach into each other."""

    formula: ClassVar[str] = "class 0: (cos t, sin t); class 1: (1 - cos t, 1/2 - sin t); t uniform in [0, π]"
    reference: ClassVar[str] = "scikit-learn's make_moons"
    name: Literal["moons"] = "moons"

    def points(self, draw: np.random.Generator, y: Labels) -> tuple[Exact, Labels]:
        t = draw.uniform(0, np.pi, len(y))
        first = np.stack([np.cos(t), np.sin(t)], axis=1)
        return np.where(y[:, None] == 0, first, np.array([1.0, 0.5]) - first), y


class Circles(Plane):
    """A circle within a circle."""

    formula: ClassVar[str] = "r (cos t, sin t); r = 1 for class 0, `factor` for class 1; t uniform in [0, 2π]"
    reference: ClassVar[str] = "scikit-learn's make_circles"
    name: Literal["circles"] = "circles"
    factor: UnitInterval = 0.5
    """Radius of the inner circle."""

    def points(self, draw: np.random.Generator, y: Labels) -> tuple[Exact, Labels]:
        t = draw.uniform(0, 2 * np.pi, len(y))
        r = np.where(y == 0, 1.0, self.factor)
        return np.stack([r * np.cos(t), r * np.sin(t)], axis=1), y


class Spiral(Plane):
    """Arms that wind around each other, one for each class."""

    formula: ClassVar[str] = "r (cos a, sin a), a = 2π (turns · r + class / classes); r uniform in [0, 1]"
    reference: ClassVar[str] = "Lang & Witbrock 1988, Learning to tell two spirals apart"
    name: Literal["spiral"] = "spiral"
    noise: Annotated[float, Field(strict=True, ge=0, le=2)] = 0.02
    classes: Classes = 2
    turns: Annotated[float, Field(strict=True, ge=0, le=10)] = 1.0

    @property
    def number_of_classes(self) -> int:
        return self.classes

    def points(self, draw: np.random.Generator, y: Labels) -> tuple[Exact, Labels]:
        r = draw.uniform(0, 1, len(y))
        angle = 2 * np.pi * (self.turns * r + y / self.classes)
        return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1), y


class Blobs(Plane):
    """Clouds around points on a circle, one for each class. `noise` is their width."""

    formula: ClassVar[str] = "(cos a, sin a), a = 2π class / classes"
    reference: ClassVar[str] = "scikit-learn's make_blobs"
    name: Literal["blobs"] = "blobs"
    noise: Annotated[float, Field(strict=True, ge=0, le=2)] = 0.3
    classes: Classes = 3

    @property
    def number_of_classes(self) -> int:
        return self.classes

    def points(self, draw: np.random.Generator, y: Labels) -> tuple[Exact, Labels]:
        angle = 2 * np.pi * y / self.classes
        return np.stack([np.cos(angle), np.sin(angle)], axis=1), y


class Checkerboard(Plane):
    """Black and white squares on [-1, 1] x [-1, 1]. Classes are nearly equal in number."""

    formula: ClassVar[str] = "x uniform in [-1, 1]²; class = (⌊cells (x1 + 1)/2⌋ + ⌊cells (x2 + 1)/2⌋) mod 2"
    name: Literal["checkerboard"] = "checkerboard"
    noise: Annotated[float, Field(strict=True, ge=0, le=2)] = 0.0
    cells: Annotated[int, Field(strict=True, ge=2, le=20)] = 4
    """Squares along one side."""

    def points(self, draw: np.random.Generator, y: Labels) -> tuple[Exact, Labels]:
        x = draw.uniform(-1, 1, (len(y), 2))
        square = np.floor(self.cells * (x + 1) / 2).astype(np.int64)
        return x, (square.sum(axis=1) % 2).astype(np.int32)
