"""A person's own numbers, inside the spec."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.datasets.base import Array, Data, DataFormat, Dataset, DataShape, Kind, Labels, Split
from experiments.datasets.files import Source
from experiments.fields import Count

Number = Annotated[float, Field(strict=True, ge=-1e30, le=1e30)]
Row = tuple[Number, ...]
Targets = tuple[Row, ...] | Row


class Inline(Dataset):
    """x: one row of numbers per sample; y: one class number (0, 1, …) or one row of numbers per sample.

    `input_shape` reads a row as something else, e.g. [8, 8, 1] as an image. Without x_test the test data
    are the
    training data, which says nothing about other data.
    """

    formula: ClassVar[str] = "as given"
    licence: ClassVar[str] = "the submitter's"
    reference: ClassVar[str] = "the submitter"
    name: Literal["inline"] = "inline"
    kind: Kind
    x: tuple[Row, ...] = Field(min_length=1)
    y: Targets
    x_test: tuple[Row, ...] | None = None
    y_test: Targets | None = None
    input_shape: tuple[Count, ...] | None = Field(default=None, min_length=1, max_length=3)
    validation_split: Split = 0.0

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if (self.x_test is None) != (self.y_test is None):
            _misfit("x_test and y_test come together; one of them is missing", "both or none")
        self._check_rows("x", self.x, len(self.x[0]))
        self._check_targets("y", self.x, self.y)
        if self.x_test is not None and self.y_test is not None:
            if not self.x_test:
                _misfit("x_test is empty", "at least one row")
            self._check_rows("x_test", self.x_test, len(self.x[0]))
            self._check_targets("y_test", self.x_test, self.y_test)
        if self.input_shape is not None and int(np.prod(self.input_shape)) != len(self.x[0]):
            _misfit(
                f"a row of x has {len(self.x[0])} numbers, input_shape is {list(self.input_shape)}",
                f"sizes whose product is {len(self.x[0])}",
            )
        return self

    @staticmethod
    def _check_rows(name: str, rows: tuple[Row, ...], width: int) -> None:
        for index, row in enumerate(rows):
            if len(row) != width or not row:
                _misfit(
                    f"{name}[{index}] has {len(row)} numbers, x[0] has {width}",
                    "rows of one length, at least 1",
                )

    def _check_targets(self, name: str, x: tuple[Row, ...], y: Targets) -> None:
        if len(x) != len(y):
            _misfit(f"{name} has {len(y)} entries for {len(x)} rows", "one per row")
        if self.kind == "regression":
            width = len(_row(self.y[0]))
            self._check_rows(name, tuple(_row(entry) for entry in y), width)
            return
        top = 1 if self.kind == "binary" else 9_999
        for index, entry in enumerate(y):
            if not _is_class(entry, top):
                _misfit(f"{name}[{index}] is no class number", f"whole numbers from 0 to {top}")

    @cached_property
    def _classes(self) -> int:
        if self.kind == "regression":
            return 0
        given = [*self.y, *(self.y_test or ())]
        return (
            2 if self.kind == "binary" else max(2, 1 + max(int(c) for c in given if not isinstance(c, tuple)))
        )

    def shape(self) -> DataShape:
        training, validation = self.parts(len(self.x))
        target = (len(_row(self.y[0])),) if self.kind == "regression" else ()
        numbers = [n for row in self.x for n in row]
        return DataShape(
            self.input_shape or (len(self.x[0]),),
            target,
            self.kind,
            self._classes,
            training,
            validation,
            len(self.x_test) if self.x_test is not None else training,
            min(numbers),
            max(numbers),
        )

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        shape = self.shape()
        x, y = self._arrays(self.x, self.y, shape)
        parts = self.split(x, y)
        x_test, y_test = parts[0], parts[1]
        if self.x_test is not None and self.y_test is not None:
            x_test, y_test = self._arrays(self.x_test, self.y_test, shape)
        return Data(*parts, x_test, y_test).formatted(data_format)

    def _arrays(self, x: tuple[Row, ...], y: Targets, shape: DataShape) -> tuple[Array, Array | Labels]:
        inputs = np.asarray(x, np.float32).reshape(len(x), *shape.input)
        if self.kind == "regression":
            return inputs, np.asarray([_row(entry) for entry in y], np.float32)
        return inputs, np.asarray(y, np.int32)


def _is_class(entry: object, top: int) -> bool:
    return isinstance(entry, float) and entry.is_integer() and 0 <= entry <= top


def _row(entry: Row | float) -> Row:
    return entry if isinstance(entry, tuple) else (entry,)


def _misfit(message: str, allowed: str) -> None:
    raise PydanticCustomError("misfit", "{message}", {"message": message, "allowed": allowed})
