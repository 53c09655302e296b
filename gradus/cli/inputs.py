"""Inputs for predictions from a file: JSON, CSV or NumPy; never pickle."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradus.errors import USAGE, CommandError

UNREADABLE = (OSError, ValueError, EOFError, RecursionError, csv.Error, zipfile.BadZipFile, zlib.error)
"""What the readers raise for a file that is not of the kind that its name says, or a broken one."""
LARGEST_BODY = 700_000  # bytes of JSON a request may hold, well under the service's 1 MiB


def read_inputs(file: Path) -> list[Any]:
    """The samples in a file, one per entry.

    Raises:
        CommandError: the file cannot be read, is of another kind, or holds no samples.
    """
    readers = {".json": _json, ".csv": _csv, ".npy": _numpy, ".npz": _numpy}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise CommandError(f"{file} is of a kind that is not read here; allowed: {', '.join(readers)}", USAGE)
    try:
        found = reader(file)
    except UNREADABLE as error:
        raise CommandError(f"{file} cannot be read: {error}", USAGE) from error
    if not isinstance(found, list) or not found:
        raise CommandError(f"{file} holds no list of samples", USAGE)
    try:
        json.dumps(found, allow_nan=False)
    except ValueError as error:
        raise CommandError(f"{file} holds NaN or infinity; a sample is of finite numbers", USAGE) from error
    return found


def _json(file: Path) -> Any:
    found = json.loads(file.read_text(encoding="utf-8"))
    return found.get("inputs") if isinstance(found, dict) else found


def _csv(file: Path) -> list[list[float]]:
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.reader(lines) if row]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]  # names of columns
    return [[float(cell) for cell in row] for row in rows]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numpy(file: Path) -> Any:
    import numpy as np

    found = np.load(file, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        if not found.files:
            raise ValueError("the archive holds no array")
        found = found[found.files[0]]
    if found.dtype.kind not in "biuf":
        raise ValueError(f"the array is of {found.dtype} (allowed: whole numbers, decimals, true and false)")
    return found.tolist()


def batches(samples: list[Any]) -> Iterator[list[Any]]:
    """The samples in pieces that a request can hold."""
    batch: list[Any] = []
    size = 0
    for sample in samples:
        length = len(json.dumps(sample)) + 2
        if batch and size + length > LARGEST_BODY:
            yield batch
            batch, size = [], 0
        batch.append(sample)
        size += length
    yield batch
