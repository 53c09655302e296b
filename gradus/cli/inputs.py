"""Inputs for predictions from a file: JSON, CSV or NumPy; never pickle."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from gradus.errors import UsageError

UNREADABLE = (OSError, ValueError, EOFError, RecursionError, csv.Error, zipfile.BadZipFile, zlib.error)
"""What the readers raise for a file that is not of the kind that its name says, or a broken one."""


def read_inputs(file: Path, *, named: bool = False) -> list[Any]:
    """The samples in a file, one per entry.

    Args:
        named: a CSV's rows are mappings of column to number or text, as a run on an uploaded file takes them.

    Raises:
        UsageError: the file cannot be read, is of another kind, or holds no samples.
    """
    readers = {".json": _json, ".csv": _named if named else _csv, ".npy": _numpy, ".npz": _numpy}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise UsageError(f"{file} is of a kind that is not read here; allowed: {', '.join(readers)}")
    try:
        samples = reader(file)
    except UNREADABLE as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if not isinstance(samples, list) or not samples:
        raise UsageError(f"{file} holds no list of samples")
    try:
        json.dumps(samples, allow_nan=False)
    except ValueError as error:
        raise UsageError(f"{file} holds NaN or infinity; a sample is of finite numbers") from error
    return samples


def _json(file: Path) -> Any:
    document = json.loads(file.read_text(encoding="utf-8"))
    return document.get("inputs") if isinstance(document, dict) else document


def _csv(file: Path) -> list[list[float]]:
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.reader(lines) if row]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]  # names of columns
    return [[float(cell) for cell in row] for row in rows]


def _named(file: Path) -> list[dict[str, float | str]]:
    """Rows by the names of the first one. Separator and decimal comma as in an upload."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        first = lines.readline()
        separator = max(",;\t|", key=first.count)
        lines.seek(0)
        rows = [row for row in csv.DictReader(lines, delimiter=separator) if any(row.values())]
    return [
        {str(name).strip(): _value(str(cell).strip(), comma=separator != ",") for name, cell in row.items()}
        for row in rows
    ]


def _value(cell: str, *, comma: bool) -> float | str:
    pointed = cell.replace(",", ".") if comma else cell
    return float(pointed) if _is_number(pointed) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numpy(file: Path) -> Any:
    import numpy as np

    array = np.load(file, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        names = array.files
        if not names:
            raise ValueError("the archive holds no array")
        array = array[names[0]]
    if array.dtype.kind not in "biuf":
        raise ValueError(f"the array is of {array.dtype} (allowed: whole numbers, decimals, true and false)")
    return array.tolist()
