"""The logic gates of the perceptron: four samples, all of them for training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from experiments.datasets.base import Data, DataFormat, Dataset, DataShape, Glimpse
from experiments.datasets.files import Source

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


class Gate(Dataset):
    """x: two bits as 0.0 and 1.0; y: the gate's output, 0 or 1. These four are all there are: nothing is left to test."""

    outputs: ClassVar[tuple[int, int, int, int]]
    licence: ClassVar[str] = "public domain"
    complete: ClassVar[bool] = True
    reference: ClassVar[str] = "Minsky & Papert 1969, Perceptrons"
    validation_split: Annotated[float, Field(strict=True, ge=0, le=0)] = 0.0
    train_samples: None = None

    def shape(self) -> DataShape:
        return DataShape((2,), (), "binary", 2, 4, 0, 0, 0.0, 1.0)

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        x, y = np.asarray(CORNERS, np.float32), np.asarray(self.outputs, np.int32)
        return Data(x, y, x[:0], y[:0], x[:0], y[:0])

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        data = self.load(source)
        return data.x_train, data.y_train


class And(Gate):
    formula: ClassVar[str] = "y = x1 and x2"
    outputs: ClassVar[tuple[int, int, int, int]] = (0, 0, 0, 1)
    name: Literal["and"] = "and"


class Or(Gate):
    formula: ClassVar[str] = "y = x1 or x2"
    outputs: ClassVar[tuple[int, int, int, int]] = (0, 1, 1, 1)
    name: Literal["or"] = "or"


class Xor(Gate):
    formula: ClassVar[str] = "y = x1 xor x2 (no line separates it)"
    outputs: ClassVar[tuple[int, int, int, int]] = (0, 1, 1, 0)
    name: Literal["xor"] = "xor"
