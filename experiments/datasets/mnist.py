"""MNIST: 70,000 grey images of handwritten digits, 28 x 28."""

from __future__ import annotations

import hashlib
import struct
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from experiments.datasets.base import Array, Data, DataFormat, DataShape, Glimpse, Resplit
from experiments.datasets.files import RemoteFile, Source, locate
from experiments.errors import DataError

FILE = RemoteFile(
    name="mnist.npz",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    digest="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)
MD5 = {
    "x_train": "6bbc9ace898e44ae57da46a324031adb",
    "y_train": "a25bea736e30d166cdddb491f175f624",
    "x_test": "2646ac647ad5339dbf082846283269ea",
    "y_test": "27ae3e4e09519cfbb04c329615203637",
}
"""Of the four original IDX files, which the arrays reproduce whatever archive holds them."""
SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}
Bytes = npt.NDArray[np.uint8]
Parts = tuple[Bytes, Bytes]
"""For training and for testing."""


class Images(Resplit):
    """Images of ten classes that come in two parts, for training and for testing; brightness in [0, 1]."""

    formula: ClassVar[str] = "x = byte / 255"
    image: ClassVar[tuple[int, int, int]]
    """Height, width, channels."""
    counts: ClassVar[tuple[int, int]]
    """Images for training and for testing."""

    def shape(self) -> DataShape:
        training, validation = self.parts(self.counts[0])
        return DataShape(self.image, (), "classification", 10, training, validation, self.counts[1], 0.0, 1.0)

    def load(self, source: Source, data_format: DataFormat = "channels_last") -> Data:
        images, labels = self.stored(source)
        x, y = self.redrawn(np.concatenate(images), np.concatenate(labels).astype(np.int32))
        n = len(images[0])
        train, y_train, validation, y_validation = self.split(x[:n], y[:n])
        data = Data(scaled(train), y_train, scaled(validation), y_validation, scaled(x[n:]), y[n:])
        return data.formatted(data_format)

    @abstractmethod
    def stored(self, source: Source) -> tuple[Parts, Parts]:
        """Images (samples, height, width, channels) and classes (samples,), each for training and for testing, as bytes.

        Raises:
            DataError: the files cannot be had, or are not the real ones.
        """


class Mnist(Images):
    """x: (28, 28, 1), brightness in [0, 1] (byte / 255); y: digit 0..9. 60,000 images for training, 10,000 for testing."""

    licence: ClassVar[str] = "CC BY-SA 3.0"
    reference: ClassVar[str] = "LeCun, Cortes & Burges 1998"
    image: ClassVar[tuple[int, int, int]] = (28, 28, 1)
    counts: ClassVar[tuple[int, int]] = (60_000, 10_000)
    files: ClassVar[tuple[RemoteFile, ...]] = (FILE,)
    name: Literal["mnist"] = "mnist"

    def stored(self, source: Source) -> tuple[Parts, Parts]:
        arrays = read(locate(FILE, source))
        images = (arrays["x_train"][..., None], arrays["x_test"][..., None])
        return images, (arrays["y_train"], arrays["y_test"])

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        try:
            with ZipFile(locate(FILE, replace(source, download=None))) as file:
                images, labels = (first(file, name, count) for name in ("x_train", "y_train"))
        except (DataError, OSError, KeyError, ValueError, BadZipFile):  # training says what is wrong with it
            return None
        return scaled(images[..., None]), labels.astype(np.int32)


def first(file: ZipFile, name: str, count: int) -> Bytes:
    """The first rows of an array of the file, without reading the rest."""
    with file.open(f"{name}.npy") as stored:
        np.lib.format.read_magic(stored)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stored)
        row = shape[1:]
        content = stored.read(count * int(np.prod(row, dtype=int)) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(-1, *row)


def scaled(images: npt.NDArray[Any]) -> Array:
    """Bytes as brightness in [0, 1]."""
    return images.astype(np.float32) / np.float32(255)


def read(path: Path) -> dict[str, Bytes]:
    """The four arrays of the file. Raises DataError where it cannot be read or is not the real MNIST."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.ascontiguousarray(file[name], dtype=np.uint8) for name in MD5}
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} is no readable {FILE.name} ({error}); put the real one there") from error
    for name, array in arrays.items():
        if array.shape != SHAPES[name] or idx_md5(array) != MD5[name]:
            raise DataError(
                f"{path} is not MNIST: its {name} differs from the original; put the real one there"
            )
    return arrays


def idx_md5(array: Bytes) -> str:
    """The MD5 of the IDX file that holds `array`: a magic number (0x0800 + dimensions), the sizes, the bytes."""
    header = struct.pack(f">{array.ndim + 1}i", 0x0800 + array.ndim, *array.shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(array.data)
    return digest.hexdigest()
