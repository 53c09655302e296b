"""Reads CSV text: any of four separators, UTF-8 or UTF-16, decimal points or commas; never a guess that could be wrong."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from experiments.datasets.reading.found import Faults, Found, Where, finished, names_of
from experiments.datasets.reading.matrix import Block, MatrixWriter, Numbers, Texts
from experiments.errors import SpecError
from experiments.fields import LARGEST
from experiments.messages import short

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
BLOCK = 50_000
SAMPLE = 65_536
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "missing", "#n/a", "nil", "."})
"""What stands for no value where numbers stand; where texts stand, only the first of `UNSAID`."""
UNSAID = frozenset({"", "na", "n/a", "nan", "null", "#n/a"})
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Dialect:
    """How a file is written. skipped: lines before the names (`sep=;`)."""

    encoding: str
    separator: str
    skipped: int


class Cells:
    """One column as text: numbers or texts, which its first block decides. Final."""

    def __init__(self, name: str, separator: str) -> None:
        self.name, self.separator = name, separator
        self.kind: Numbers | Texts | None = None
        self.comma = False

    def add(self, cells: Sequence[str], faults: Faults) -> Block | None:
        """A block of cells as numbers; None where a cell is at fault, which is noted."""
        if self.kind is None:
            self._decide(cells, faults)
        if self.kind is None:
            return None
        if isinstance(self.kind, Texts):
            return self._texts(self.kind, cells, faults)
        try:
            numbers = np.fromiter(map(float, self._pointed(cells)), np.float64, len(cells))
        except ValueError:
            faults.cells(self.name, cells, self._no_number)
            return None
        if not (np.abs(numbers) <= LARGEST).all():  # NaN is not either
            faults.cells(self.name, cells, self._no_number)
            return None
        return self.kind.add(numbers)

    def _pointed(self, cells: Sequence[str]) -> Sequence[str]:
        return [cell.replace(",", ".") for cell in cells] if self.comma else cells

    def _decide(self, cells: Sequence[str], faults: Faults) -> None:
        different = {cell.strip() for cell in cells}
        numbers = {cell for cell in different if number(cell) is not None}
        if self.separator != "," and not numbers.issuperset(different):
            with_comma = {cell for cell in different if number(cell.replace(",", ".")) is not None}
            if len(with_comma) > len(numbers) and all(cell.count(",") <= 1 for cell in with_comma):
                self.comma, numbers = True, with_comma
        others = {cell for cell in different - numbers if cell.lower() not in MISSING}
        if numbers and others:
            first = next(cell.strip() for cell in cells)
            odd = others if first in numbers else numbers
            what = "is no number, and other rows of this column hold numbers" if odd is others else (
                "is a number, and other rows of this column hold texts"
            )  # fmt: skip
            faults.cells(self.name, cells, lambda cell: what if cell.strip() in odd else None)
        elif others:
            self.kind = Texts(self.name)
        elif numbers:
            self.kind = Numbers(self.name)
        else:
            faults.cells(self.name, cells, lambda cell: "no value")

    def _texts(self, texts: Texts, cells: Sequence[str], faults: Faults) -> Block | None:
        values = [cell.strip() for cell in cells]
        new = set(values) - texts.codes.keys()
        if any(value.lower() in UNSAID for value in new):
            faults.cells(
                self.name, cells, lambda cell: "no value" if cell.strip().lower() in UNSAID else None
            )
            return None
        if any(number(value) is not None for value in new) and not texts.many:
            what = "is a number, and the rows above hold texts"
            faults.cells(self.name, cells, lambda cell: what if number(cell) is not None else None)
            return None
        return texts.add(values)

    def _no_number(self, cell: str) -> str | None:
        """What is wrong with a cell of a column of numbers; None: nothing."""
        if cell.strip().lower() in MISSING:
            return "no value"
        value = number(cell.replace(",", ".") if self.comma else cell)
        if value is None:
            return "is no number, and the rows above hold numbers"
        return None if abs(value) <= LARGEST else f"is beyond {LARGEST:g}"


def number(cell: str) -> float | None:
    """A cell as a finite or infinite number; None where it is none."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if np.isnan(value) or "_" in cell else value


def read_text(path: Path, out: Path, title: str) -> Found:
    """Read a CSV file.

    Args:
        out: where the matrix is written.

    Raises:
        SpecError: every fault of the first block of rows that has any, with row and column.
    """
    dialect = dialect_of(path)
    try:
        with path.open(encoding=dialect.encoding, newline="") as file:
            return _read(file, dialect, out, title)
    except UnicodeError as error:
        raise _not_text(path, dialect, error) from None


def _read(file: IO[str], dialect: Dialect, out: Path, title: str) -> Found:
    for _ in range(dialect.skipped):
        file.readline()
    # Strict: text after a closing quote, or a quote that is never closed, is an error.
    reader = csv.reader(file, delimiter=dialect.separator, strict=True)
    where = Where(first=1 + dialect.skipped)
    blocks = _blocks(reader, where)
    rows = next(blocks, [])
    if not rows:
        raise SpecError.one("file", "holds no rows", "a row of names, and rows of values below it")
    if all(number(cell) is not None for cell in rows[0]):
        names, warnings = [""] * len(rows[0]), ["the first row holds numbers, so the columns have no names"]
    else:
        names, warnings, rows = rows[0], [], rows[1:]
        where.numbers = where.numbers[1:]
    width = len(names)
    while (
        len(names) > 1
        and not names[-1].strip()
        and rows
        and all(len(row) == width and not row[len(names) - 1].strip() for row in rows)
    ):
        names = names[:-1]  # every row ends with a separator
    where.trailing = width - len(names)
    if len(names) < 2 and rows:
        listed = ", ".join(SEPARATORS.values())
        raise SpecError.one("row 1", f"found one column, {short(names[0])}", f"columns separated by {listed}")
    header, more = names_of(names)
    columns = [Cells(name, dialect.separator) for name in header]
    preview = [[cell.strip()[:80] for cell in row] for row in rows[:5]]
    writer = MatrixWriter(out, np.float64)
    for block in itertools.chain([rows] if rows else [], blocks):
        writer.add(_numbers(block, columns, where))
    kinds = [column.kind for column in columns if column.kind is not None]
    return finished(kinds, writer, title, preview, [*warnings, *more])


def _numbers(rows: list[list[str]], columns: Sequence[Cells], where: Where) -> list[Block]:
    """A block of rows as numbers. Raises SpecError where a row has another length or a cell is at fault."""
    width = len(columns) + where.trailing
    if set(map(len, rows)) != {width}:
        index, row = next((index, row) for index, row in enumerate(rows) if len(row) != width)
        raise SpecError.one(
            f"row {where.numbers[index]}",
            f"found {len(row)} cells, row 1 has {width}",
            "as many cells in every row",
        )
    faults = Faults(where)
    faults.cells(
        "without a name", ["".join(row[len(columns) :]) for row in rows] if where.trailing else [], _unnamed
    )
    blocks = [
        column.add(cells, faults) for column, cells in zip(columns, zip(*rows, strict=True), strict=False)
    ]
    faults.check()
    return [block for block in blocks if block is not None]


def _unnamed(cell: str) -> str | None:
    return "has no name in row 1, and other rows have nothing there" if cell.strip() else None


def _blocks(reader: Iterator[list[str]], where: Where) -> Iterator[list[list[str]]]:
    """Rows in blocks, without blank lines; `where` knows their numbers. A row counts once, however many lines it has."""
    start = where.first
    while True:
        rows: list[list[str]] = []
        try:
            for row in itertools.islice(reader, BLOCK):
                rows.append(row)
        except csv.Error as error:
            raise SpecError.one(
                f"row {start + len(rows)}", f"cannot be read: {error}", 'quotes in pairs: "a ""quoted"" word"'
            ) from None
        if not rows:
            return
        where.numbers = [start + index for index, row in enumerate(rows) if any(row)]
        start += len(rows)
        if kept := [row for row in rows if any(row)]:
            yield kept


def dialect_of(path: Path) -> Dialect:
    """Encoding and separator, from the beginning of a file. Raises SpecError: it is no text."""
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    encoding = "utf-16" if start.startswith(UTF16) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in start:
        line = start[: start.index(b"\0")].count(b"\n") + 1
        raise SpecError.one(f"row {line}", "found a NUL byte: this is no text", "a CSV, NPZ or Parquet file")
    text = start.decode(encoding, "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise SpecError.one("file", "is empty", "a row of names, and rows of values below it")
    if lines[0].lower().startswith("sep=") and len(lines[0].strip()) == 5:
        return Dialect(encoding, lines[0][4], 1)
    outside = "".join(lines[0].split('"')[::2])  # what stands outside of quotes
    counts = {separator: outside.count(separator) for separator in SEPARATORS}
    return Dialect(encoding, max(counts, key=lambda separator: counts[separator]), 0)


def _not_text(path: Path, dialect: Dialect, error: UnicodeError) -> SpecError:
    """The fault of a file that is in another encoding, with the row and column of the first such byte."""
    allowed = "UTF-8; in a spreadsheet: save as CSV UTF-8"
    if dialect.encoding == "utf-16":
        return SpecError.one("file", f"begins as UTF-16 and is not ({error})", allowed)
    with path.open("rb") as file:
        for row, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as wrong:
                column = line[: wrong.start].count(dialect.separator.encode()) + 1
                message = f"the byte {line[wrong.start]:#04x} is not UTF-8: the file has another encoding"
                return SpecError.one(f"row {row}, column {column}", message, allowed)
    return SpecError.one("file", "is not UTF-8", allowed)
