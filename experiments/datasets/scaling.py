"""Scales the columns of a file by figures of its training part alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from experiments.datasets.table import Column

Scaling = Literal["standard", "minmax", "none"]
Exact = npt.NDArray[np.float64]
STEP = 65_536


@dataclass(frozen=True, eq=False)
class Scale:
    """scaled = (number - offset) / scale, for each number of a row."""

    offset: Exact
    scale: Exact

    def applied(self, numbers: npt.NDArray[Any]) -> Exact:
        """(rows, numbers) scaled."""
        return (numbers - self.offset) / self.scale

    def undone(self, numbers: npt.NDArray[Any]) -> Exact:
        """Scaled numbers in their own units again."""
        return numbers * self.scale + self.offset


def fitted(
    how: Scaling, matrix: npt.NDArray[Any], columns: Sequence[Column], train: npt.NDArray[np.int64]
) -> Scale:
    """The scale of some columns.

    Args:
        matrix: (rows, numbers) of the whole file.
        train: row numbers of the training part.

    Returns:
        Scale over the numbers that a network is given. An array has one offset and one scale for all its numbers, as an
        image's brightness has; a text has 0 and 1. A column that never varies in training is only shifted.
    """
    parts = [
        (np.zeros(column.width), np.ones(column.width)) if how == "none" or column.text
        else _fitted(how, matrix[:, column.at : column.at + column.size], train)
        for column in columns
    ]  # fmt: skip
    offset, scale = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    return Scale(offset, np.where(scale > 0, scale, 1.0))


def _fitted(how: Scaling, numbers: npt.NDArray[Any], train: npt.NDArray[np.int64]) -> tuple[Exact, Exact]:
    width = numbers.shape[1]
    blocks = [train[start : start + STEP] for start in range(0, len(train), STEP)]
    if how == "minmax":
        low = min(float(numbers[rows].min()) for rows in blocks)
        high = max(float(numbers[rows].max()) for rows in blocks)
        return np.full(width, low), np.full(width, high - low)
    total = sum(float(numbers[rows].sum(dtype=np.float64)) for rows in blocks)
    mean = total / (len(train) * width)
    squares = sum(float(((numbers[rows].astype(np.float64) - mean) ** 2).sum()) for rows in blocks)
    return np.full(width, mean), np.full(width, np.sqrt(squares / (len(train) * width)))
