"""Reads Parquet files, a batch of rows at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.datasets.reading.arrays import MAX_EXPANDED
from experiments.datasets.reading.found import Found, finished, names_of, problem
from experiments.datasets.reading.matrix import Block, MatrixWriter, Numbers, Texts
from experiments.errors import SpecError
from experiments.fields import LARGEST

BATCH = 50_000


def read_parquet(path: Path, out: Path, title: str) -> Found:
    """Read a Parquet file.

    Args:
        out: where the matrix is written.

    Raises:
        SpecError: it is no Parquet file, or a column holds something else than numbers or texts, by row and column.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SpecError.one(
            "file", "Parquet needs the package pyarrow, which is not installed", "CSV or NPZ"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            return _read(pyarrow, file, out, title)
    except (pyarrow.ArrowException, OSError) as error:
        message = f"cannot be read as Parquet: {' '.join(str(error).split())[:200]}"
        raise SpecError.one("file", message, "a Parquet file") from None


def _read(pyarrow: Any, file: Any, out: Path, title: str) -> Found:
    schema = file.schema_arrow
    names, warnings = names_of(schema.names)
    rows = file.metadata.num_rows
    if rows * len(names) * 8 > MAX_EXPANDED:
        raise SpecError.one(
            "file", f"expands to {rows * len(names) * 8:,} bytes", f"at most {MAX_EXPANDED:,}"
        )
    columns = [_column(pyarrow, name, field.type) for name, field in zip(names, schema, strict=True)]
    if not columns:
        raise SpecError.one("file", "has no columns", "columns of numbers or texts")
    writer = MatrixWriter(out, np.float64)
    preview: list[list[str]] = []
    for batch in file.iter_batches(BATCH):
        if not preview:
            preview = [[str(cell)[:80] for cell in row.values()] for row in batch.slice(0, 5).to_pylist()]
        writer.add([
            _block(pyarrow, column, batch.column(index), writer.rows) for index, column in enumerate(columns)
        ])  # fmt: skip
    return finished(columns, writer, title, preview, warnings)


def _column(pyarrow: Any, name: str, kind: Any) -> Numbers | Texts:
    types = pyarrow.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind):
        return Numbers(name)
    if types.is_string(kind) or types.is_large_string(kind):
        return Texts(name)
    raise SpecError.one(f"column {name}", f"is of the type {kind}", "numbers, true and false, texts")


def _block(pyarrow: Any, column: Numbers | Texts, array: Any, start: int) -> Block:
    """A batch of a column. start: rows before it."""
    if array.null_count:
        row = start + array.is_null().to_pylist().index(True)
        raise SpecError([problem(f"row {row}, column {column.name}", "no value", "")])
    if isinstance(column, Texts):
        return column.add([str(text).strip() for text in array.to_pylist()])
    numbers = array.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
    if not (good := np.abs(numbers) <= LARGEST).all():
        row = int(np.argmin(good))
        what = "no value" if np.isnan(numbers[row]) else f"is beyond {LARGEST:g}"
        raise SpecError([problem(f"row {start + row}, column {column.name}", what, float(numbers[row]))])
    return column.add(numbers)
