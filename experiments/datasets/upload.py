"""A person's own file, uploaded before. The spec names it; the service adds what it knows of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from experiments.datasets.base import Data, DataFacts, DataFormat, Dataset, DataShape, Kind, Rows, Split
from experiments.datasets.files import Source
from experiments.datasets.partition import Parts, partition, share_of
from experiments.datasets.scaling import Scale, Scaling, fitted
from experiments.datasets.table import MAX_CHOICES, Column, Table
from experiments.datasets.upload_rows import read_rows
from experiments.errors import DataError, Problem, SpecError
from experiments.fields import Count, Seed, ShortText
from experiments.messages import nearest, short

TEST_SPLIT = 0.2
FEW_CLASSES = 20
"""Whole numbers of so many different values are taken for classes where nobody says what they are."""
SPREAD = 6.0
"""Standardised inputs are said to lie within so many standard deviations."""
STEP = 65_536


class Upload(Dataset):
    """Columns of an uploaded file: numbers, and texts as one number for each of their values (one-hot).

    Scaling uses figures of the training part alone. Predictions take rows of the same columns and answer in the target's
    own unit, or with its labels.
    """

    formula: ClassVar[str] = (
        "standard: (x - mean) / std; minmax: (x - min) / (max - min); over the training part"
    )
    licence: ClassVar[str] = "the submitter's"
    reference: ClassVar[str] = "the submitter"
    name: Literal["upload"] = "upload"
    id: ShortText
    """The file's name, or its digest."""
    target: ShortText | None = None
    """The column to predict. Default: the one that was named at the upload."""
    inputs: tuple[ShortText, ...] | None = Field(default=None, min_length=1)
    """The columns to predict from. Default: all others that can be used."""
    kind: Kind | None = None
    """Default: as said at the upload; else texts and few whole numbers are classes, other numbers a regression."""
    input_shape: tuple[Count, ...] | None = Field(default=None, min_length=1, max_length=3)
    """Reads the inputs as something else, e.g. [28, 28, 1] as an image."""
    test_split: Split = TEST_SPLIT
    """The share of the rows that is held out for testing."""
    split_seed: Seed | None = 0
    """Seed by which rows are drawn for the parts; every part gets its share of every class. null: in the order given."""
    scale: Scaling = "standard"
    """How inputs, and the targets of a regression, are scaled; texts are not."""
    table: Table | None = None
    """What the service knows of the file. It fills this in."""

    @property
    def title(self) -> str:
        return self.table.title if self.table is not None else self.id

    @cached_property
    def found(self) -> Table:
        """Raises SpecError where the service did not say what the file holds."""
        if self.table is None:
            raise SpecError.one(
                "id",
                f"only the service knows the columns of {short(self.id)}",
                "a spec that is sent to it: `gradus validate` and `gradus submit`",
            )
        return self.table

    def _column(self, path: str, name: str) -> Column:
        column = self.found.column(name)
        if column is None:
            names = [other.name for other in self.found.columns]
            guess = nearest(name, names)
            hint = f"; did you mean {guess}?" if guess else ""
            raise SpecError.one(path, f"the file has no column {short(name)}{hint}", names[:50])
        return column

    @cached_property
    def target_column(self) -> Column:
        """Raises SpecError: none is named, or there is no such column."""
        if self.target is None:
            names = [column.name for column in self.found.columns if column.usable]
            raise SpecError.one("target", "no column to predict is named", names[:50])
        return self._column("target", self.target)

    @cached_property
    def input_columns(self) -> tuple[Column, ...]:
        """The inputs in order. Raises SpecError: one is none that can be an input.

        A column that numbers the rows is one where the file has nothing else: a year beside a sum is no row number.
        """
        target = self.target_column
        if self.inputs is None:
            possible = [
                column for column in self.found.columns
                if column is not target and (not column.text or (column.usable and column.width <= MAX_CHOICES))
            ]  # fmt: skip
            if not possible:
                raise SpecError.one(
                    "inputs",
                    f"no column beside {target.name} can be an input",
                    f"a file with a column of numbers, or of at most {MAX_CHOICES} different texts",
                )
            return tuple(column for column in possible if column.usable) or tuple(possible)
        columns, problems = [], []
        for index, name in enumerate(self.inputs):
            path = f"inputs[{index}]"
            column = self._column(path, name)
            if column is target:
                problems.append(Problem(path, f"{name} is the target", "other columns"))
            elif name in self.inputs[:index]:
                problems.append(Problem(path, f"{name} is named twice", "each column once"))
            elif column.text and (column.values is None or len(column.values) > MAX_CHOICES):
                count = f"{len(column.values)}" if column.values else "too many"
                problems.append(
                    Problem(
                        path, f"{name} holds {count} different texts", f"at most {MAX_CHOICES} in an input"
                    )
                )
            columns.append(column)
        if problems:
            raise SpecError(problems)
        return tuple(columns)

    @cached_property
    def task(self) -> Kind:
        """What is predicted. Raises SpecError where the target cannot be that."""
        target, number = self.target_column, len(self.target_column.values or ())
        if self.kind is None:
            if target.text or 0 < number <= FEW_CLASSES:
                kind: Kind = "binary" if number == 2 else "classification"
            else:
                kind = "regression"
        else:
            kind = self.kind
        if kind == "regression":
            if target.text:
                raise SpecError.one(
                    "target", f"{target.name} holds texts", "a column of numbers, or kind: classification"
                )
            if target.low == target.high:
                raise SpecError.one(
                    "target", f"{target.name} is {target.low:g} in every row", "a column that varies"
                )
            return kind
        if target.values is None:
            raise SpecError.one(
                "target",
                f"{target.name} holds no classes that could be counted",
                "texts or whole numbers, at most 1,000 different ones; or kind: regression",
            )
        if number < 2:
            raise SpecError.one(
                "target",
                f"{target.name} is {short(target.values[0])} in every row: one class",
                "two or more classes",
            )
        if kind == "binary" and number != 2:
            raise SpecError.one("kind", f"{target.name} has {number} classes", "classification")
        return kind

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes by name, in the order of their numbers; empty for a regression."""
        if self.task == "regression":
            return ()
        return tuple(
            f"{label:g}" if isinstance(label, float) else label for label in self.target_column.labels
        )

    @cached_property
    def class_counts(self) -> tuple[int, ...]:
        """Rows of each class."""
        target = self.target_column
        counts = dict(zip(target.values or (), target.counts or (), strict=True))
        return tuple(counts[label] for label in target.labels)

    @property
    def width(self) -> int:
        return sum(column.width for column in self.input_columns)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Rows of each part, as `partition` will draw them."""
        drawn = self.task != "regression" and self.split_seed is not None
        groups = self.class_counts if drawn else (self.found.rows,)
        test = [share_of(count, self.test_split) for count in groups]
        validation = [
            share_of(count - held, self.validation_split) for count, held in zip(groups, test, strict=True)
        ]
        left = self.found.rows - sum(test) - sum(validation)
        if self.train_samples is not None and self.train_samples > left:
            raise SpecError.one(
                "train_samples",
                f"{self.train_samples} samples are more than there are to train on",
                f"1 to {left}",
            )
        return {"training": self.train_samples or left, "validation": sum(validation), "test": sum(test)}

    def shape(self) -> DataShape:
        task, target, sizes, columns = self.task, self.target_column, self._sizes, self.input_columns
        low, high = {"standard": (-SPREAD, SPREAD), "minmax": (0.0, 1.0)}.get(
            self.scale, (min(column.low for column in columns), max(column.high for column in columns))
        )
        return DataShape(
            input=self._input_shape(columns),
            target=(target.size,) if task == "regression" else (),
            kind=task,
            classes=len(self.labels),
            n_train=sizes["training"],
            n_validation=sizes["validation"],
            n_test=sizes["test"],
            low=low,
            high=high,
        )

    def _input_shape(self, columns: Sequence[Column]) -> tuple[int, ...]:
        """That of the spec, else that of a single array (a grey image gets its channel), else a row of numbers."""
        own = columns[0].shape if len(columns) == 1 else None
        shape = self.input_shape or ((*own, 1) if own is not None and len(own) == 2 else own) or (self.width,)
        if int(np.prod(shape)) != self.width:
            raise SpecError.one(
                "input_shape", f"the inputs are {self.width} numbers, input_shape is {list(shape)}",
                f"sizes whose product is {self.width}",
            )  # fmt: skip
        return tuple(shape)

    @cached_property
    def facts(self) -> DataFacts:
        target, sizes = self.target_column, self._sizes
        split_off = {part: rows for part, rows in sizes.items() if part != "training" and rows}
        counted = "" if target.usable or target.text else target.name
        facts = DataFacts(split_off=split_off, drawn=self.split_seed is not None, numbers_rows=counted)
        if self.task == "regression":
            if self.scale != "none":
                return facts
            zeros = (f"target ({target.zeros:,} rows)",) if target.zeros else ()
            return replace(facts, targets=(target.low, target.high), zero_targets=zeros)
        counts: Mapping[str, tuple[int, ...]] = {}
        if self.split_seed is not None:
            test = tuple(share_of(count, self.test_split) for count in self.class_counts)
            rest = tuple(count - held for count, held in zip(self.class_counts, test, strict=True))
            validation = tuple(share_of(count, self.validation_split) for count in rest)
            training = tuple(count - held for count, held in zip(rest, validation, strict=True))
            parts = {"training": training, "validation": validation, "test": test}
            counts = {part: own for part, own in parts.items() if any(own)}
        return replace(facts, class_counts=counts, sorted_by_class=target.grouped)

    # -- the numbers -----------------------------------------------------------------------------------

    def matrix(self, source: Source) -> npt.NDArray[Any]:
        """The file's numbers, (rows, numbers), left on the disk. Raises DataError."""
        if source.matrix is None:
            raise DataError(
                f"the file {self.title} is with the service, which is not asked here; submit the spec to it"
            )
        matrix: npt.NDArray[Any] = np.load(
            source.matrix(self.found.sha256), mmap_mode="r", allow_pickle=False
        )
        return matrix

    def _parts(self, matrix: npt.NDArray[Any]) -> Parts:
        classes = None if self.task == "regression" else self._classes(matrix)
        return partition(
            len(matrix),
            classes,  # type: ignore[arg-type]
            test=self.test_split,
            validation=self.validation_split,
            seed=self.split_seed,
            train_samples=self.train_samples,
        )

    def _classes(self, matrix: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The class of each row."""
        target = self.target_column
        column = np.asarray(matrix[:, target.at])
        if target.text:
            rank = np.argsort(np.argsort(np.array(target.values)))
            return np.asarray(rank[column.astype(np.int64)], np.int64)
        return np.searchsorted(np.array(target.labels, np.float64), column)

    def scales(self, matrix: npt.NDArray[Any], train: npt.NDArray[np.int64]) -> tuple[Scale, Scale]:
        """How inputs and targets are scaled: an offset and a factor for each number of a row."""
        return (
            fitted(self.scale, matrix, self.input_columns, train),
            fitted(self.scale if self.task == "regression" else "none", matrix, (self.target_column,), train),
        )

    def fitted_scales(self, source: Source) -> tuple[Scale, Scale]:
        """The same from the file's own training part. Raises DataError."""
        matrix = self.matrix(source)
        return self.scales(matrix, self._parts(matrix).train)

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        matrix, shape = self.matrix(source), self.shape()
        parts = self._parts(matrix)
        inputs, targets = self.scales(matrix, parts.train)
        classes = self._classes(matrix) if shape.classes else None

        def part(rows: npt.NDArray[np.int64]) -> tuple[Any, Any]:
            x = np.empty((len(rows), self.width), np.float32)
            y = np.empty((len(rows), *shape.target), np.float32 if classes is None else np.int32)
            target = self.target_column
            for start in range(0, len(rows), STEP):
                own = rows[start : start + STEP]
                block = matrix[own]
                x[start : start + STEP] = inputs.applied(self.numbers(block))
                y[start : start + STEP] = (
                    targets.applied(block[:, target.at : target.at + target.size])
                    if classes is None
                    else classes[own]
                )
            return x.reshape(len(rows), *shape.input), y

        (x, y), (x_validation, y_validation), (x_test, y_test) = map(
            part, (parts.train, parts.validation, parts.test)
        )
        truth = {}
        if classes is None and self.target_column.size == 1:
            truth = {"target_offset": float(targets.offset[0]), "target_scale": float(targets.scale[0])}
        data = Data(x, y, x_validation, y_validation, x_test, y_test, truth)
        return data.formatted(data_format)

    def numbers(self, rows: npt.NDArray[Any]) -> Rows:
        """Rows of the matrix as the network's inputs before scaling: texts become one number for each of their values."""
        made = np.empty((len(rows), self.width), np.float64)
        at = 0
        for column in self.input_columns:
            own = rows[:, column.at : column.at + column.size]
            made[:, at : at + column.width] = own == np.arange(column.width) if column.text else own
            at += column.width
        return made

    # -- predictions -----------------------------------------------------------------------------------

    def read_rows(self, inputs: Sequence[object]) -> Rows:
        return read_rows(self.input_columns, inputs)
