"""What a data set says about itself before it is loaded, and what loading gives.

Inputs are float32, images channels-last unless asked for otherwise. The split into training, validation and test
parts is fixed per data set and does not depend on a run's seed. Scaling uses figures of the training part alone.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from experiments.datasets.files import RemoteFile, Source
from experiments.errors import SpecError
from experiments.fields import Count, Seed, Strict

Kind = Literal["classification", "binary", "regression"]
DataFormat = Literal["channels_last", "channels_first"]
Array = npt.NDArray[np.float32]
Inputs = npt.NDArray[Any]
Labels = npt.NDArray[np.int32]
Rows = npt.NDArray[np.float64]
Drawn = npt.NDArray[Any]
Glimpse = tuple[Array, Array | Labels]
"""Inputs and targets of some samples."""
Split = Annotated[float, Field(strict=True, ge=0, le=0.9)]


@dataclass(frozen=True)
class DataShape:
    """Shapes and sizes of a data set.

    input: one sample's shape
    target: one target's shape, () for a class number
    classes: number of classes, 0 for regression
    low, high: the range of the inputs, in the units of the data set's docstring
    empty_classes: classes of which no sample exists
    tokens: one more than the largest input where all are whole numbers from 0 on: the rows that an embedding needs; else 0
    """

    input: tuple[int, ...]
    target: tuple[int, ...]
    kind: Kind
    classes: int
    n_train: int
    n_validation: int
    n_test: int
    low: float
    high: float
    empty_classes: tuple[int, ...] = ()
    tokens: int = 0

    @property
    def outputs(self) -> int:
        """Numbers to predict per sample, one-hot for classes."""
        return self.classes if self.classes else int(np.prod(self.target))

    @property
    def is_image(self) -> bool:
        return len(self.input) == 3

    def formatted(self, data_format: DataFormat) -> tuple[int, ...]:
        """The input's shape in a data format; only images differ."""
        if self.is_image and data_format == "channels_first":
            height, width, channels = self.input
            return (channels, height, width)
        return self.input


@dataclass(frozen=True)
class DataFacts:
    """What is known about the values before anything is loaded; None or empty where it is not known.

    targets: smallest and largest target of a regression, without noise
    zero_targets: the fields that hold targets of 0, as paths within the data set
    class_counts: part -> samples of each class
    sorted_by_class: whether the rows are given class by class
    split_off: part -> its rows, for parts that are taken from the rows that a person gave
    drawn: whether these were drawn at random, and not taken from the end
    test_by_default: whether a test part is split off that nobody asked for
    symbols: whether the inputs are whole numbers that stand for symbols, and are no amounts
    numbers_rows: the target column, where it numbers the rows
    """

    targets: tuple[float, float] | None = None
    zero_targets: tuple[str, ...] = ()
    class_counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    sorted_by_class: bool = False
    split_off: Mapping[str, int] = field(default_factory=dict)
    drawn: bool = True
    test_by_default: bool = False
    symbols: bool = False
    numbers_rows: str = ""


@dataclass(frozen=True, eq=False)
class Data:
    """Arrays of one data set.

    x: (samples, *input) float32
    y: (samples,) int32 classes, or (samples, k) float32 targets
    truth: what is known about the data and was not given to the network (slope, intercept, scales)
    """

    x_train: Array
    y_train: Array | Labels
    x_validation: Array
    y_validation: Array | Labels
    x_test: Array
    y_test: Array | Labels
    truth: Mapping[str, float] = field(default_factory=dict)

    @property
    def shown(self) -> tuple[Array, Array | Labels]:
        """Inputs and targets for pictures: the test part, or the training part where there is nothing to test on."""
        return (self.x_test, self.y_test) if len(self.x_test) else (self.x_train, self.y_train)

    @cached_property
    def digest(self) -> str:
        """sha256 over all arrays, their dtypes and shapes."""
        digest = hashlib.sha256()
        for name in ("x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test"):
            array = np.ascontiguousarray(getattr(self, name))
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def formatted(self, data_format: DataFormat) -> Data:
        """The same images with the channels where `data_format` wants them."""
        if self.x_train.ndim != 4 or data_format == "channels_last":
            return self
        x = [channels_first(part) for part in (self.x_train, self.x_validation, self.x_test)]
        return Data(x[0], self.y_train, x[1], self.y_validation, x[2], self.y_test, self.truth)


def channels_first(images: Array) -> Array:
    """(samples, height, width, channels) as (samples, channels, height, width)."""
    return np.ascontiguousarray(np.moveaxis(images, -1, 1))


class Dataset(Strict):
    """A data set's spec: its name and what may be chosen about it."""

    formula: ClassVar[str]
    licence: ClassVar[str]
    reference: ClassVar[str]
    complete: ClassVar[bool] = False
    """True where the training samples are all samples that exist, so that there are no others to test on."""
    files: ClassVar[tuple[RemoteFile, ...]] = ()
    """What must be fetched before it can be trained on."""

    name: str
    validation_split: Split = 0.1
    """The share of the training samples that is set aside and never trained on."""
    train_samples: Count | None = None
    """Train on so many only; None: on all that the validation split leaves."""

    @abstractmethod
    def shape(self) -> DataShape:
        """Shapes and sizes, without loading anything. Raises SpecError where the numbers do not fit."""

    @cached_property
    def facts(self) -> DataFacts:
        """What warnings may say about the values, without loading anything."""
        return DataFacts()

    @abstractmethod
    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        """The arrays. Raises DataError where they cannot be had, with the places that were tried."""

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        """Some samples for a picture, at once: nothing is downloaded, and no large file read to its end.

        Args:
            count: most samples.

        Returns:
            (x, y) as in `Data`; None where it cannot be had so.
        """
        return None

    @property
    def title(self) -> str:
        """What people call it: its name, and for their own file the name that they gave it."""
        return self.name

    def read_rows(self, inputs: Sequence[object]) -> Rows | None:
        """Samples as rows of the columns of a person's own file; None where samples are given as a network takes them.

        Returns:
            (samples, numbers) float64, before scaling.

        Raises:
            SpecError: a row has other columns or values, by path: `inputs[3]`.
        """
        return None

    @property
    def one_split(self) -> str | None:
        """Why no seed draws other parts, in words; None where one does."""
        if "split_seed" not in type(self).model_fields:
            return f"{self.name} has one split that no seed draws"
        if "split_seed" in self.model_fields_set and getattr(self, "split_seed", None) is None:
            return "split_seed is null, which fixes the parts"
        return None

    def parts(self, available: int) -> tuple[int, int]:
        """(training, validation) sizes out of `available`. Raises SpecError."""
        validation = round(available * self.validation_split)
        training = available - validation
        if training < 1:
            raise SpecError.one(
                "validation_split",
                f"{self.validation_split:g} of {available} samples leaves none to train on",
                "a smaller share",
            )
        if self.train_samples is not None:
            if self.train_samples > training:
                raise SpecError.one(
                    "train_samples",
                    f"{self.train_samples} samples are more than there are",
                    f"1 to {training}",
                )
            training = self.train_samples
        return training, validation

    def split(self, x: Inputs, y: Array | Labels) -> tuple[Inputs, Array | Labels, Inputs, Array | Labels]:
        """(x_train, y_train, x_validation, y_validation). The validation part is the last, as in Keras' `fit`."""
        training, validation = self.parts(len(x))
        keep = len(x) - validation
        return x[:training], y[:training], x[keep:], y[keep:]


class Resplit(Dataset):
    """A data set with a split that everybody uses, in place of which a seed may draw another."""

    split_seed: Seed | None = None
    """Seed by which all samples are drawn for the parts. null: the usual parts."""

    def redrawn(self, x: Drawn, y: Drawn) -> tuple[Drawn, Drawn]:
        """All samples in the order of the parts: training, validation, test."""
        if self.split_seed is None:
            return x, y
        order = shuffled(len(x), self.split_seed)
        return x[order], y[order]


def shuffled(count: int, seed: int) -> npt.NDArray[np.int64]:
    """A fixed permutation of 0..count-1."""
    return np.random.default_rng(seed).permutation(count)
