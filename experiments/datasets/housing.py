"""California housing: a regression of 20,640 districts."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Literal
from zipfile import BadZipFile

import numpy as np

from experiments.datasets.base import Data, DataFacts, DataFormat, Dataset, DataShape, Glimpse, shuffled
from experiments.datasets.files import RemoteFile, Source, locate, verified
from experiments.errors import DataError
from experiments.fields import Seed

FILE = RemoteFile(
    "california_housing.npz",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/california_housing.npz",
    "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
)
ROWS, TEST = 20_640, 4_128


class CaliforniaHousing(Dataset):
    """x: 8 numbers of a district of 1990 (longitude, latitude, median age of houses, rooms, bedrooms, population,
    households, median income), y: median value of a house. 20,640 districts, a fifth of them for testing.

    Inputs and target are centred and scaled by mean and standard deviation of the training part
    (`truth`: target_mean, target_std in dollars), so a mean squared error of 1 is that of predicting the mean.
    """

    formula: ClassVar[str] = "x = (raw - mean) / std, y likewise, over the training part"
    licence: ClassVar[str] = "public domain"
    reference: ClassVar[str] = "Pace & Barry 1997, Sparse spatial autoregressions"
    files: ClassVar[tuple[RemoteFile, ...]] = (FILE,)
    name: Literal["california_housing"] = "california_housing"
    split_seed: Seed = 0
    """Seed by which the districts are drawn for the parts."""

    @cached_property
    def facts(self) -> DataFacts:
        return DataFacts(targets=(-1.7, 2.6))

    def shape(self) -> DataShape:
        training, validation = self.parts(ROWS - TEST)
        return DataShape((8,), (1,), "regression", 0, training, validation, TEST, -10.0, 35.0)

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        try:
            data = self.load(replace(source, download=None))
        except DataError:  # training says what is wrong with it
            return None
        return data.x_train[:count], data.y_train[:count]

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        path = verified(FILE, locate(FILE, source))
        order = shuffled(ROWS, self.split_seed)
        try:
            with np.load(path, allow_pickle=False) as file:
                x, y = np.asarray(file["x"], float)[order], np.asarray(file["y"], float)[order, None]
        except (OSError, EOFError, KeyError, ValueError, IndexError, BadZipFile) as error:
            raise DataError(f"{path} is no readable {FILE.name} ({error})") from error
        keep = ROWS - TEST
        training, _ = self.parts(keep)
        x = (x - x[:training].mean(0)) / x[:training].std(0)
        mean, std = float(y[:training].mean()), float(y[:training].std())
        x32, y32 = x.astype(np.float32), ((y - mean) / std).astype(np.float32)
        truth = {"target_mean": mean, "target_std": std}
        return Data(*self.split(x32[:keep], y32[:keep]), x32[keep:], y32[keep:], truth)
