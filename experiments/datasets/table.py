"""What is known of a person's own file once it was read: its columns. The numbers lie in a `.npy` file beside it.

That file is one matrix, a row of numbers for each row of the file; a text is the position of its value in `values`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from experiments.field_paths import join
from experiments.fields import Count, CountOrZero, Flag, Real, ShortText, Strict

MAX_COLUMNS = 4_096
MAX_VALUES = 1_000
"""Different values that are listed: a column of more is no class and no choice."""
MAX_CHOICES = 100
"""Different texts of an input: each becomes a number of its own (one-hot)."""
Digest = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]


class Column(Strict):
    """A column of a file; in an NPZ file an array."""

    name: ShortText
    at: CountOrZero = 0
    """Position of its first number in a row of the matrix."""
    size: Count = 1
    """Numbers in a row of the matrix."""
    shape: tuple[Count, ...] | None = None
    """How an array arranges the numbers of a row; null: it is a single number or text."""
    text: Flag = False
    low: Real = 0.0
    high: Real = 0.0
    zeros: CountOrZero = 0
    """Rows that hold a 0."""
    values: tuple[str, ...] | tuple[Real, ...] | None = None
    """The different values where there are few, texts as they first occur, numbers rising."""
    counts: tuple[CountOrZero, ...] | None = None
    """Rows with each of them."""
    grouped: Flag = False
    """Whether the rows are given value by value."""
    usable: Flag = True
    """False for a column that numbers the rows, and for texts that are nearly all different."""

    @property
    def labels(self) -> tuple[str | float, ...]:
        """The different values, rising: the order of the classes."""
        return tuple(sorted(self.values or ()))

    @property
    def width(self) -> int:
        """Numbers that a network is given: one for each value of a text."""
        return len(self.values or ()) if self.text else self.size


UPLOAD = "upload"
"""The data set's name in a spec."""


def uploads_in(document: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a spec that names a person's own file, with its path: the data set, levels and cases of a sweep."""
    if isinstance(document, dict):
        if document.get("name") == UPLOAD and "id" in document:
            yield path, document
            return
        for name, value in document.items():
            yield from uploads_in(value, join(path, str(name)))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from uploads_in(value, f"{path}[{index}]")


class Table(Strict):
    """A file's columns, and the matrix that holds its numbers.

    Attributes:
        title: what the person calls the file.
        sha256: of the `.npy` file with the matrix.
    """

    title: ShortText
    sha256: Digest
    rows: Count
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def slim(self, target: str | None) -> Table:
        """What a spec needs of it: values of numbers only where they are classes to predict."""
        kept = [
            column if column.text or column.name == target
            else column.model_copy(update={"values": None, "counts": None})
            for column in self.columns
        ]  # fmt: skip
        return self.model_copy(update={"columns": tuple(kept)})
