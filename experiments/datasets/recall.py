"""Sequences of letters in which something is to be found again: for embeddings and attention."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from experiments.datasets.base import Data, DataFacts, DataFormat, DataShape, Glimpse, Resplit
from experiments.datasets.files import Source
from experiments.errors import SpecError
from experiments.fields import Seed

MOST_TOKENS = 50_000_000


class Recall(Resplit):
    """x: (length,) whole numbers, of which 0 to V - 1 stand for small letters and V to 2V - 1 for capital ones, V being the
    vocabulary. The first is a capital letter, all others are small; y: 1 where the small letter of the capital one is among
    them, anywhere, else 0. Half of the samples are of each class; the last fifth is for testing.
    """

    formula: ClassVar[str] = (
        "x₁ = V + q, q uniform in 0 … V - 1; x₂ … x_n uniform in 0 … V - 1 without q; of class 1 one of them, at a uniform "
        "place, becomes q"
    )
    licence: ClassVar[str] = "made here"
    reference: ClassVar[str] = "made here; after Graves et al. 2014, arXiv:1410.5401, section 4.3"
    name: Literal["recall"] = "recall"
    length: Annotated[int, Field(strict=True, ge=2, le=256)] = 12
    vocabulary: Annotated[int, Field(strict=True, ge=2, le=10_000)] = 16
    samples: Annotated[int, Field(strict=True, ge=20, le=1_000_000)] = 2500
    data_seed: Seed = 0
    """Of the generator; the run's seed does not change the data."""

    @property
    def _kept(self) -> int:
        return self.samples - self.samples // 5

    @cached_property
    def facts(self) -> DataFacts:
        return DataFacts(symbols=True)

    def shape(self) -> DataShape:
        tokens = self.length * self.samples
        if tokens > MOST_TOKENS:
            raise SpecError.one(
                "samples",
                f"{self.samples} sequences of {self.length} are {tokens:,} tokens",
                f"at most {MOST_TOKENS:,} tokens",
            )
        training, validation = self.parts(self._kept)
        rows = 2 * self.vocabulary
        return DataShape(
            (self.length,), (), "binary", 2, training, validation, self.samples // 5, 0.0, rows - 1.0, tokens=rows
        )  # fmt: skip

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        draw = np.random.default_rng(self.data_seed)
        y = draw.permutation(np.arange(self.samples) % 2).astype(np.int32)
        asked = draw.integers(0, self.vocabulary, self.samples)
        others = draw.integers(0, self.vocabulary - 1, (self.samples, self.length - 1))
        others += others >= asked[:, None]  # every letter but the one that is asked for
        place = draw.integers(0, self.length - 1, self.samples)
        rows = np.flatnonzero(y)
        others[rows, place[rows]] = asked[rows]
        x = np.concatenate([self.vocabulary + asked[:, None], others], axis=1).astype(np.float32)
        x, y = self.redrawn(x, y)
        n = self._kept
        return Data(*self.split(x[:n], y[:n]), x[n:], y[n:])

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        few = self.model_copy(
            update={
                "samples": max(2, min(self.samples, count)),
                "train_samples": None,
                "validation_split": 0.0,
            }
        )
        data = few.load(source)
        return data.x_train, data.y_train
