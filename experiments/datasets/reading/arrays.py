"""Reads NPZ archives: arrays of numbers or texts with one row for each sample. Pickled objects are never loaded."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.datasets.reading.found import Found, finished, names_of, problem
from experiments.datasets.reading.matrix import STEP, MatrixWriter, Numbers, Texts
from experiments.errors import SpecError
from experiments.fields import LARGEST

MAX_EXPANDED = 4_000_000_000
"""Bytes that an archive may expand to."""
Array = npt.NDArray[Any]


def read_arrays(path: Path, out: Path, title: str) -> Found:
    """Read an NPZ file.

    Args:
        out: where the matrix is written.

    Raises:
        SpecError: it is no NPZ file, or an array is none of numbers or texts, by name and row.
    """
    arrays = _arrays(path)
    names, warnings = names_of(list(arrays))
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} {rows:,}" for name, rows in lengths.items())
        raise SpecError.one(
            "file",
            f"the arrays have different numbers of rows: {told}",
            "one row per sample in every array; the service draws validation and test part itself",
        )
    columns: list[Numbers | Texts] = []
    for name, array in zip(names, arrays.values(), strict=True):
        shape = array.shape[1:]
        columns.append(Texts(name) if array.dtype.kind == "U" else Numbers(name, shape or None))
    numbers = [array.dtype for array in arrays.values() if array.dtype.kind != "U"]
    texts = [np.dtype(np.int32)] * (len(numbers) < len(arrays))
    writer = MatrixWriter(out, np.result_type(*numbers, *texts))
    rows = next(iter(lengths.values()))
    for start in range(0, rows, STEP):
        parts = [array[start : start + STEP] for array in arrays.values()]
        writer.add([
            column.add([str(text) for text in part]) if isinstance(column, Texts) else column.add(part)
            for column, part in zip(columns, parts, strict=True)
        ])  # fmt: skip
    preview = [[_shown(array[row]) for array in arrays.values()] for row in range(min(5, rows))]
    return finished(columns, writer, title, preview, warnings)


def _arrays(path: Path) -> dict[str, Array]:
    """The arrays by name, checked."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if not any(entry.filename.endswith(".npy") for entry in entries):
            workbook = any(entry.filename.startswith("xl/") for entry in entries)
            what = (
                "is an Excel workbook; save its sheet as CSV"
                if workbook
                else "is a ZIP archive without arrays"
            )
            raise SpecError.one("file", what, "a file of numpy.savez, CSV or Parquet")
        size = sum(entry.file_size for entry in entries)
        if size > MAX_EXPANDED:
            raise SpecError.one("file", f"expands to {size:,} bytes", f"at most {MAX_EXPANDED:,}")
        with np.load(path, allow_pickle=False) as file:
            names = list(file.files)
            return {name: _checked(name, _array(file, name)) for name in names}
    except (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise SpecError.one("file", f"cannot be read as NPZ: {error}", "a file of numpy.savez") from None


def _array(file: Any, name: str) -> Array:
    try:
        array: object = file[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            message = "holds Python objects (pickle), which are never loaded: they could run any program"
            raise SpecError.one(f"array {name}", message, "numbers or texts: array.astype(float)") from None
        raise
    if not isinstance(array, np.ndarray):
        raise SpecError.one(f"array {name}", "is no array of NumPy", "arrays, saved with numpy.savez")
    return array


def _checked(name: str, array: Array) -> Array:
    """An array that can be used. Raises SpecError."""
    where = f"array {name}"
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "biufU":
        raise SpecError.one(where, f"is of {array.dtype}", "whole numbers, decimals, true and false, texts")
    if array.ndim == 0 or (array.dtype.kind == "U" and array.ndim > 1) or array.ndim > 4:
        raise SpecError.one(
            where, f"has the shape {array.shape}", "a row for each sample, then up to 3 sizes"
        )
    if array.size == 0:
        raise SpecError.one(
            where, f"is empty: its shape is {array.shape}", "at least one number in every row"
        )
    if array.dtype.kind == "f":
        good = np.isfinite(array) & (np.abs(array) <= LARGEST)
        if not good.all():
            row, *rest = (int(index) for index in np.argwhere(~good)[0])
            value = array[(row, *rest)]
            what = "no value" if np.isnan(value) else f"is beyond {LARGEST:g}"
            place = f"row {row}, array {name}" + (f", position {rest}" if rest else "")
            raise SpecError([problem(place, what, float(value))])
    if array.dtype.kind == "U" and (array == "").any():
        row = int(np.argmax(array == ""))
        raise SpecError([problem(f"row {row}, array {name}", "no value", "")])
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _shown(value: Any) -> str:
    return str(value)[:80] if np.ndim(value) == 0 else "array of " + " × ".join(map(str, np.shape(value)))
