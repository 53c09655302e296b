"""The data sets that scikit-learn carries with it: nothing is downloaded."""

from __future__ import annotations

from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from experiments.datasets.base import Data, DataFacts, DataFormat, Dataset, DataShape, Glimpse, shuffled
from experiments.datasets.files import Source
from experiments.errors import DataError
from experiments.fields import Seed


class Digits(Dataset):
    """x: (8, 8, 1), brightness in [0, 1] (0..16 / 16); y: digit 0..9. 1,797 images, a fifth of them for testing."""

    formula: ClassVar[str] = "x = pixel / 16"
    licence: ClassVar[str] = "CC BY 4.0"
    reference: ClassVar[str] = "Alpaydin & Kaynak 1998, UCI Optical Recognition of Handwritten Digits"
    name: Literal["digits"] = "digits"
    split_seed: Seed = 0
    """Seed by which the images are drawn for the parts."""

    def shape(self) -> DataShape:
        training, validation = self.parts(1438)
        return DataShape((8, 8, 1), (), "classification", 10, training, validation, 359, 0.0, 1.0)

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        images, targets = _digits()
        order = shuffled(1797, self.split_seed)
        x = (images[order, :, :, None] / 16).astype(np.float32)
        y = targets[order].astype(np.int32)
        return Data(*self.split(x[:1438], y[:1438]), x[1438:], y[1438:]).formatted(data_format)

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        try:
            rows = _in_library("digits.csv.gz", ",", count)
        except DataError:
            return None
        return (rows[:, :64].reshape(-1, 8, 8, 1) / 16).astype(np.float32), rows[:, 64].astype(np.int32)


def _in_library(name: str, delimiter: str | None, count: int | None = None) -> npt.NDArray[np.float64]:
    """The first rows of a file of scikit-learn's. The library is not loaded for it: *measured*, that takes a second.

    Raises:
        DataError: scikit-learn, or the file, is not installed.
    """
    library = find_spec("sklearn")
    if library is None:
        raise DataError(f"{name} comes with scikit-learn, which is not installed; pip install scikit-learn")
    file = Path(library.origin or "").parent / "datasets" / "data" / name
    if not file.is_file():
        raise DataError(f"scikit-learn has no {file}; pip install --force-reinstall scikit-learn")
    return np.loadtxt(file, delimiter=delimiter, max_rows=count, ndmin=2)


@cache
def _digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The images (1797, 8, 8) and their digits (1797,), read-only. Their file is of text: *measured*, reading it takes
    a fifth of a second, and a worker draws a run's pictures from the data set anew."""
    rows = _in_library("digits.csv.gz", ",")
    images, targets = rows[:, :64].reshape(-1, 8, 8), rows[:, 64].astype(np.int64)
    for array in (images, targets):
        array.flags.writeable = False
    return images, targets


class Diabetes(Dataset):
    """x: 10 measurements, y: progression of the disease after a year; 442 patients, 88 of them for testing.

    Inputs and target are centred and scaled by mean and standard deviation of the training part
    (`truth`: target_mean, target_std), so a mean squared error of 1 is that of predicting the mean.
    """

    formula: ClassVar[str] = "x = (raw - mean) / std, y likewise, over the training part"
    licence: ClassVar[str] = "public domain"
    reference: ClassVar[str] = "Efron, Hastie, Johnstone & Tibshirani 2004, Least Angle Regression"
    name: Literal["diabetes"] = "diabetes"
    split_seed: Seed = 0
    """Seed by which the patients are drawn for the parts."""

    @cached_property
    def facts(self) -> DataFacts:
        return DataFacts(targets=(-1.7, 2.6))

    def shape(self) -> DataShape:
        training, validation = self.parts(354)
        return DataShape((10,), (1,), "regression", 0, training, validation, 88, -6.0, 6.0)

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        """Scaled over all patients."""
        try:
            x, y = _diabetes()
        except DataError:
            return None
        x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
        return x[:count].astype(np.float32), y[:count].astype(np.float32)

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        order = shuffled(442, self.split_seed)
        x, y = (array[order] for array in _diabetes())
        training, _ = self.parts(354)
        x = (x - x[:training].mean(0)) / x[:training].std(0)
        mean, std = float(y[:training].mean()), float(y[:training].std())
        x32, y32 = x.astype(np.float32), ((y - mean) / std).astype(np.float32)
        truth = {"target_mean": mean, "target_std": std}
        return Data(*self.split(x32[:354], y32[:354]), x32[354:], y32[354:], truth)


def _diabetes() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Measurements (442, 10) and progression (442, 1), as they were measured."""
    measurements = _in_library("diabetes_data_raw.csv.gz", None)
    return measurements, _in_library("diabetes_target.csv.gz", None).reshape(-1, 1)
