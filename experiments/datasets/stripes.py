"""Images of stripes, of any size: small ones to calculate by hand, large ones to count parameters."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from experiments.datasets.base import Array, Data, DataFormat, DataShape, Glimpse, Labels, Resplit
from experiments.datasets.files import Source
from experiments.errors import SpecError
from experiments.fields import Seed

Size = Annotated[int, Field(strict=True, ge=2, le=4096)]
MAX_PIXELS = 50_000_000
MOST_SHOWN = 500_000
"""Pixels of a picture of some images."""


class Stripes(Resplit):
    """x: (height, width, 1), brightness in [0, 1]; y: 0 where the stripes lie, 1 where they stand.

    Each image has its own period and phase; the last fifth is for testing.
    """

    formula: ClassVar[str] = (
        "x = 1/2 + 1/2 sin(2π · position / period + phase), plus noise · N(0, 1), cut to [0, 1]"
    )
    licence: ClassVar[str] = "made here"
    reference: ClassVar[str] = "made here"
    name: Literal["stripes"] = "stripes"
    height: Size = 16
    width: Size = 16
    samples: Annotated[int, Field(strict=True, ge=10, le=1_000_000)] = 500
    noise: Annotated[float, Field(strict=True, ge=0, le=10)] = 0.1
    data_seed: Seed = 0
    """Of the generator; the run's seed does not change the data."""

    def shape(self) -> DataShape:
        pixels = self.height * self.width * self.samples
        if pixels > MAX_PIXELS:
            raise SpecError.one(
                "samples",
                f"{self.samples} images of {self.height}·{self.width} are {pixels:,} pixels",
                f"at most {MAX_PIXELS:,} pixels",
            )
        test = self.samples // 5
        training, validation = self.parts(self.samples - test)
        size = (self.height, self.width, 1)
        return DataShape(size, (), "binary", 2, training, validation, test, 0.0, 1.0)

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        x, y = self.redrawn(*self._drawn(self.samples))
        keep = self.samples - self.samples // 5
        return Data(*self.split(x[:keep], y[:keep]), x[keep:], y[keep:]).formatted(data_format)

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        few = min(count, self.samples, MOST_SHOWN // (self.height * self.width))
        return self._drawn(few) if few else None

    def _drawn(self, count: int) -> tuple[Array, Labels]:
        """The first images and their classes."""
        draw = np.random.default_rng(self.data_seed)
        y = draw.permutation(np.arange(self.samples) % 2).astype(np.int32)[:count]
        x = np.empty((count, self.height, self.width, 1), np.float32)
        for index, upright in enumerate(y):
            length = self.width if upright else self.height
            period, phase = draw.uniform(2, max(3, length / 2)), draw.uniform(0, 2 * np.pi)
            wave = 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(length) / period + phase)
            clean = wave[None, :] if upright else wave[:, None]
            image = clean + self.noise * draw.standard_normal((self.height, self.width))
            x[index, :, :, 0] = np.clip(image, 0, 1)
        return x, y
