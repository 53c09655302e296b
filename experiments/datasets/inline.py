"""A person's own numbers, inside the spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.datasets.base import (
    Array,
    Data,
    DataFacts,
    DataFormat,
    Dataset,
    DataShape,
    Glimpse,
    Kind,
    Labels,
    Split,
)
from experiments.datasets.files import Source
from experiments.datasets.partition import Parts, partition
from experiments.errors import SpecError
from experiments.fields import Count, Seed

Number = Annotated[float, Field(strict=True, ge=-1e30, le=1e30)]
Row = tuple[Number, ...]
Targets = tuple[Row, ...] | Row
MAX_CLASS = 9_999
TEST_SPLIT = 0.2
"""Share of the rows that is split off for testing where a person gives no test data."""
MOST_TOKENS = 10_000_000
"""Whole numbers from here on are amounts."""
LISTED_ZEROS = 5
"""Targets of 0 that a warning names."""


def _rows(value: object) -> object:
    """A flat list of numbers is one number per row."""
    if isinstance(value, list | tuple) and value and all(type(entry) in (int, float) for entry in value):
        return [[entry] for entry in value]
    return value


Rows = Annotated[tuple[Row, ...], BeforeValidator(_rows)]


class Inline(Dataset):
    """x: one row of numbers per sample; y: one class number (0, 1, …) or one row of numbers per sample.

    `input_shape` reads a row as something else, e.g. [8, 8, 1] as an image. Without x_test a fifth of the rows is split
    off for testing. Rows are drawn for the parts so that every part has its share of every class.
    """

    formula: ClassVar[str] = "as given"
    licence: ClassVar[str] = "the submitter's"
    reference: ClassVar[str] = "the submitter"
    name: Literal["inline"] = "inline"
    kind: Kind
    x: Rows = Field(min_length=1)
    y: Targets
    x_test: Rows | None = None
    y_test: Targets | None = None
    input_shape: tuple[Count, ...] | None = Field(default=None, min_length=1, max_length=3)
    validation_split: Split = 0.0
    test_split: Split | None = None
    """The share of the rows that is held out for testing. Default: 0.2, and 0 where x_test is given."""
    split_seed: Seed | None = 0
    """Seed by which rows are drawn for the parts. null: in the order given; the last rows are the test part, those before
    them the validation part."""

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
            if self.test_split:
                _misfit("x_test and test_split are both given", "one of them: x_test is the test part")
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
        top = 1 if self.kind == "binary" else MAX_CLASS
        for index, entry in enumerate(y):
            if not _is_class(entry, top):
                _misfit(f"{name}[{index}] is no class number", f"whole numbers from 0 to {top}")

    @property
    def one_split(self) -> str | None:
        return super().one_split if self.x_test is None else "x_test is the test part, whatever the seed"

    @cached_property
    def _parts(self) -> Parts:
        """Row numbers of the parts; the test part is empty where x_test is given."""
        default = 0.0 if self.x_test is not None else TEST_SPLIT
        test = default if self.test_split is None else self.test_split
        labels = None if self.kind == "regression" else _labels(self.y)
        parts = partition(
            len(self.x),
            labels,
            test=test,
            validation=self.validation_split,
            seed=self.split_seed,
            train_samples=self.train_samples,
        )
        if self.train_samples is not None and self.train_samples > len(parts.train):
            raise SpecError.one(
                "train_samples",
                f"{self.train_samples} samples are more than there are to train on",
                f"1 to {len(parts.train)}",
            )
        return parts

    @cached_property
    def _classes(self) -> int:
        """Number of classes: one more than the largest class number, 0 for regression."""
        if self.kind == "regression":
            return 0
        given = [*_labels(self.y), *_labels(self.y_test or ())]
        return 2 if self.kind == "binary" else max(2, 1 + max(given))

    def _counts(self, labels: ArrayLike) -> tuple[int, ...]:
        """Samples of each class."""
        counts = np.bincount(np.asarray(labels, np.int64), minlength=self._classes)
        return tuple(int(count) for count in counts)

    @cached_property
    def facts(self) -> DataFacts:
        sizes = {"validation": len(self._parts.validation), "test": len(self._parts.test)}
        facts = DataFacts(
            split_off={part: rows for part, rows in sizes.items() if rows},
            drawn=self.split_seed is not None,
            test_by_default=self.test_split is None and sizes["test"] > 0,
        )
        return replace(facts, **(self._target_facts() if self.kind == "regression" else self._class_facts()))

    def _target_facts(self) -> dict[str, Any]:
        targets = np.asarray([_row(entry) for entry in (*self.y, *(self.y_test or ()))])
        zeros = np.flatnonzero((targets[: len(self.y)] == 0).any(axis=1))
        named = tuple(f"y[{index}]" for index in zeros[:LISTED_ZEROS])
        return {"targets": (float(targets.min()), float(targets.max())), "zero_targets": named}

    def _class_facts(self) -> dict[str, Any]:
        labels, parts = np.asarray(_labels(self.y)), self._parts
        counts = {"training": labels[parts.train], "validation": labels[parts.validation]}
        counts["test"] = labels[parts.test] if self.y_test is None else np.asarray(_labels(self.y_test))
        runs = 1 + int(np.count_nonzero(np.diff(labels)))
        return {
            "class_counts": {part: self._counts(own) for part, own in counts.items() if len(own)},
            "sorted_by_class": runs == len(np.unique(labels)) > 1 and len(labels) > 2 * runs,
        }

    def shape(self) -> DataShape:
        parts = self._parts
        target = (len(_row(self.y[0])),) if self.kind == "regression" else ()
        numbers = [number for row in (*self.x, *(self.x_test or ())) for number in row]
        given = _labels(self.y) + _labels(self.y_test or ()) if self._classes else []
        return DataShape(
            input=self.input_shape or (len(self.x[0]),),
            target=target,
            kind=self.kind,
            classes=self._classes,
            n_train=len(parts.train),
            n_validation=len(parts.validation),
            n_test=len(parts.test) if self.x_test is None else len(self.x_test),
            low=min(numbers),
            high=max(numbers),
            empty_classes=tuple(sorted(set(range(self._classes)) - set(given))),
            tokens=_tokens(numbers),
        )

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        x, rows = np.asarray(self.x[:count], np.float32), self.y[:count]
        y = np.asarray(rows, np.float32) if self.kind == "regression" else np.asarray(rows, np.int32)
        return x.reshape(len(x), *(self.input_shape or x.shape[1:])), y

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        shape, parts = self.shape(), self._parts
        x, y = self._arrays(self.x, self.y, shape)
        x_test, y_test = x[parts.test], y[parts.test]
        if self.x_test is not None and self.y_test is not None:
            x_test, y_test = self._arrays(self.x_test, self.y_test, shape)
        data = Data(x[parts.train], y[parts.train], x[parts.validation], y[parts.validation], x_test, y_test)
        return data.formatted(data_format)

    def _arrays(self, x: tuple[Row, ...], y: Targets, shape: DataShape) -> tuple[Array, Array | Labels]:
        inputs = np.asarray(x, np.float32).reshape(len(x), *shape.input)
        if self.kind == "regression":
            return inputs, np.asarray([_row(entry) for entry in y], np.float32)
        return inputs, np.asarray(y, np.int32)


def _tokens(numbers: Sequence[float]) -> int:
    """As `DataShape.tokens`."""
    whole = all(number.is_integer() and 0 <= number < MOST_TOKENS for number in numbers)
    return int(max(numbers)) + 1 if whole else 0


def _labels(y: Targets) -> list[int]:
    """Class numbers that were checked before."""
    return [int(entry) for entry in y if not isinstance(entry, tuple)]


def _is_class(entry: object, top: int) -> bool:
    return isinstance(entry, float) and entry.is_integer() and 0 <= entry <= top


def _row(entry: Row | float) -> Row:
    return entry if isinstance(entry, tuple) else (entry,)


def _misfit(message: str, allowed: str) -> None:
    raise PydanticCustomError("misfit", "{message}", {"message": message, "allowed": allowed})
