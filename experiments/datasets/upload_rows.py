"""Reads the rows that a person asks a trained network about: values of the file's own columns, by position or by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.datasets.base import Rows
from experiments.datasets.table import Column
from experiments.errors import Problem, SpecError
from experiments.fields import LARGEST
from experiments.messages import nearest, short

MOST_PROBLEMS = 20


def read_rows(columns: Sequence[Column], inputs: Sequence[object]) -> Rows:
    """Rows as numbers, before scaling; a text becomes one number for each of its values.

    Args:
        columns: the inputs, in the order of the spec.
        inputs: rows as lists in that order, or as mappings of column to value, or one row alone.

    Returns:
        (rows, numbers)

    Raises:
        SpecError: by path, `inputs[3].age`.
    """
    if inputs and all(not isinstance(entry, list | tuple | dict) for entry in inputs) and len(columns) > 1:
        inputs = [inputs]
    width = sum(column.width for column in columns)
    rows, problems = np.zeros((len(inputs), width)), list[Problem]()
    for index, row in enumerate(inputs):
        at, path = 0, f"inputs[{index}]"
        try:
            values = _values(columns, row)
        except SpecError as error:
            problems += error.under(path).problems
        else:
            for column in columns:
                try:
                    rows[index, at : at + column.width] = _numbers(column, values[column.name])
                except SpecError as error:
                    problems += error.under(f"{path}.{column.name}").problems
                at += column.width
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        raise SpecError(problems)
    return rows


def _values(columns: Sequence[Column], row: object) -> Mapping[str, object]:
    """Column -> value. Raises SpecError where a row has other columns."""
    names = [column.name for column in columns]
    shown = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
    if isinstance(row, Mapping):
        missing = [name for name in names if name not in row]
        if missing:
            guess = nearest(missing[0], [str(name) for name in row if name not in names])
            hint = f"; {guess} is none of them" if guess else ""
            raise SpecError.one("", f"the column {short(missing[0])} is missing{hint}", shown)
        return row
    if len(columns) == 1:
        column = columns[0]
        alone = column.shape is not None or not isinstance(row, list | tuple) or len(row) != 1
        return {column.name: row if alone else row[0]}  # type: ignore[index]
    if not isinstance(row, list | tuple):
        raise SpecError.one("", f"found {short(row)}", f"a row: {shown}")
    if len(row) != len(columns):
        raise SpecError.one("", f"found {len(row)} values for {len(columns)} columns", f"a row: {shown}")
    return dict(zip(names, row, strict=True))


def _numbers(column: Column, value: object) -> Sequence[float]:
    """The numbers of a value. Raises SpecError where the column holds no such value."""
    if column.text:
        if value not in (column.values or ()):
            known = [str(text) for text in column.values or ()]
            guess = nearest(str(value), known)
            raise SpecError.one(
                "", f"found {short(value)}" + (f"; did you mean {guess}?" if guess else ""), known[:50]
            )
        return [float(value == known) for known in column.values or ()]
    flat = _flat(value)
    if len(flat) != column.size:
        shape = " × ".join(map(str, column.shape or (1,)))
        raise SpecError.one(
            "",
            f"found {len(flat)} numbers",
            f"numbers of the shape {shape}" if column.shape else "one number",
        )
    return flat


def _flat(value: object) -> list[float]:
    if isinstance(value, list | tuple):
        return [number for entry in value for number in _flat(entry)]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SpecError.one("", f"found {short(value)}", "a number")
    if abs(value) > LARGEST:
        raise SpecError.one("", f"found {value:g}", f"numbers from {-LARGEST:g} to {LARGEST:g}")
    return [float(value)]
