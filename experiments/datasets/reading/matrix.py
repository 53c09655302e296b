"""Writes the matrix of a file's numbers block by block, and says what each column holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.datasets.table import MAX_VALUES, Column, Table

HEADER = 256
"""Bytes before the first number; the number of rows is written into them at the end."""
BINS = 20
PROFILED = 200
"""Columns that are drawn on the page."""
STEP = 65_536
Block = npt.NDArray[Any]


@dataclass(frozen=True)
class Profile:
    """How a column's numbers are distributed. bins: rows in each of 20 equal steps from the smallest to the largest."""

    mean: float
    std: float
    bins: tuple[int, ...]


class Numbers:
    """What a column of numbers holds, kept up as its blocks come.

    Args:
        shape: how a row's numbers are arranged; None for a single one.
    """

    def __init__(self, name: str, shape: tuple[int, ...] | None = None) -> None:
        self.name, self.shape = name, shape
        self.low, self.high, self.zeros, self.changes = np.inf, -np.inf, 0, 0
        self.rows, self.counts_up = 0, shape is None
        self.last: float | None = None
        self.values: dict[float, int] | None = {} if shape is None else None

    def add(self, block: Block) -> Block:
        """A block of the column, (rows,) or (rows, …), as it goes into the matrix: (rows, numbers)."""
        self.low, self.high = min(self.low, float(block.min())), max(self.high, float(block.max()))
        flat = block.reshape(len(block), -1)
        self.zeros += int((flat == 0).any(axis=1).sum())
        if self.shape is None:
            self._look(block)
        self.rows += len(block)
        return flat

    def _look(self, block: Block) -> None:
        """Count the different values while they are few, and see whether they are in order."""
        joined = block if self.last is None else np.concatenate([[self.last], block])
        steps = np.diff(joined.astype(np.float64))
        self.changes += int(np.count_nonzero(steps))
        self.counts_up = self.counts_up and bool((steps == 1).all())
        self.last = float(block[-1])
        if self.values is None:
            return
        if (block != np.floor(block)).any():
            self.values = None
            return
        for value, count in zip(*np.unique(block, return_counts=True), strict=True):
            self.values[float(value)] = self.values.get(float(value), 0) + int(count)
        if len(self.values) > MAX_VALUES:
            self.values = None

    def column(self, at: int) -> Column:
        values = sorted(self.values) if self.values else None
        return Column(
            name=self.name,
            at=at,
            size=int(np.prod(self.shape or (1,))),
            shape=self.shape,
            low=float(self.low),
            high=float(self.high),
            zeros=self.zeros,
            values=tuple(values) if values else None,
            counts=tuple((self.values or {})[value] for value in values) if values else None,
            grouped=values is not None and self.changes + 1 == len(values),
            usable=not (self.counts_up and self.rows > 2 and self.low in (0, 1)),
        )


class Texts:
    """What a column of texts holds. A text beyond the first thousand different ones is not kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.codes: dict[str, int] = {}
        self.counts: list[int] = []
        self.many, self.changes, self.last = False, 0, -1

    def add(self, texts: Sequence[str]) -> Block:
        """A block as positions of the texts among the different ones, (rows, 1)."""
        codes = np.array([self.codes.setdefault(text, len(self.codes)) for text in texts], np.int64)
        if self.many or len(self.codes) > MAX_VALUES:
            self.many, self.codes = True, {}
            return np.zeros((len(texts), 1))
        self.counts += [0] * (len(self.codes) - len(self.counts))
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            self.counts[code] += int(count)
        self.changes += int(np.count_nonzero(np.diff(np.concatenate([[self.last], codes]))))
        self.last = int(codes[-1])
        return codes[:, None]

    def column(self, at: int) -> Column:
        if self.many:
            return Column(name=self.name, at=at, text=True, usable=False)
        return Column(
            name=self.name,
            at=at,
            text=True,
            high=float(len(self.codes) - 1),
            values=tuple(self.codes),
            counts=tuple(self.counts),
            grouped=self.changes == len(self.codes),
        )


class MatrixWriter:
    """A `.npy` file of as many rows as come.

    Args:
        dtype: of its numbers.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.path, self.dtype = path, np.dtype(dtype)
        self.rows, self.width = 0, 0
        self._file = path.open("wb")
        self._file.write(b" " * HEADER)

    def add(self, parts: Sequence[Block]) -> None:
        """The next rows: (rows, numbers) of each column."""
        block = np.ascontiguousarray(np.hstack(parts), self.dtype)
        self.rows, self.width = self.rows + len(block), block.shape[1]
        self._file.write(block.data)

    def close(self) -> None:
        """Write the header: magic, version 1.0, its length, and a dictionary (NumPy's format description)."""
        described = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.rows, self.width)}
        text = repr(described).encode().ljust(HEADER - 11) + b"\n"
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text)
        self._file.close()


def table_of(columns: Sequence[Numbers | Texts], writer: MatrixWriter, title: str) -> Table:
    """The table of a matrix that was written."""
    writer.close()
    described, at = [], 0
    for column in columns:
        described.append(column.column(at))
        at += described[-1].size
    with writer.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Table(title=title, sha256=digest, rows=writer.rows, columns=tuple(described))


def profiles(table: Table, path: Path) -> dict[str, Profile]:
    """Column name -> how its numbers are distributed, for the first 200 columns of numbers."""
    matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    return {
        column.name: _profile(matrix[:, column.at : column.at + column.size], column)
        for column in table.columns[:PROFILED]
        if not column.text
    }


def _profile(numbers: Block, column: Column) -> Profile:
    total, squares, bins = 0.0, 0.0, np.zeros(BINS, np.int64)
    edges = np.linspace(column.low, column.high if column.high > column.low else column.low + 1, BINS + 1)
    for start in range(0, len(numbers), STEP):
        block = np.asarray(numbers[start : start + STEP], np.float64).ravel()
        total, squares = total + float(block.sum()), squares + float(((block - column.low) ** 2).sum())
        bins += np.histogram(block, edges)[0]
    mean = total / numbers.size
    variance = squares / numbers.size - (mean - column.low) ** 2
    return Profile(mean, float(np.sqrt(max(variance, 0.0))), tuple(int(count) for count in bins))
