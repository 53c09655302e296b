"""Fashion-MNIST and CIFAR-10: image sets of MNIST's size and of small colour photographs."""

from __future__ import annotations

import gzip
import math
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from experiments.datasets.base import Glimpse
from experiments.datasets.files import RemoteFile, Source, locate, verified
from experiments.datasets.mnist import Bytes, Images, Parts, scaled
from experiments.errors import DataError

_FASHION = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
FASHION_FILES = {
    name: RemoteFile(f"{file}-ubyte.gz", f"{_FASHION}{file}-ubyte.gz", md5, folder="fashion-mnist")
    for name, file, md5 in (
        ("x_train", "train-images-idx3", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("y_train", "train-labels-idx1", "25c81989df183df01b3e8a0aad5dffbe"),
        ("x_test", "t10k-images-idx3", "bef4ecab320f06d8554ea6380940ec79"),
        ("y_test", "t10k-labels-idx1", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
}
"""The files that Keras loads, with the MD5 that their authors publish."""
CIFAR_FILE = RemoteFile(
    "cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",
)
"""The binary form, with the MD5 that its authors publish; Keras loads the same images as Python pickles."""
RECORD = 1 + 3 * 32 * 32
"""Bytes of an image: its class, then red, green and blue, row by row."""


class FashionMnist(Images):
    """x: (28, 28, 1), brightness in [0, 1] (byte / 255); y: 0 T-shirt, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal,
    6 shirt, 7 sneaker, 8 bag, 9 ankle boot. 60,000 images for training, 10,000 for testing.
    """

    licence: ClassVar[str] = "MIT"
    reference: ClassVar[str] = "Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747"
    image: ClassVar[tuple[int, int, int]] = (28, 28, 1)
    counts: ClassVar[tuple[int, int]] = (60_000, 10_000)
    files: ClassVar[tuple[RemoteFile, ...]] = tuple(FASHION_FILES.values())
    name: Literal["fashion_mnist"] = "fashion_mnist"

    def stored(self, source: Source) -> tuple[Parts, Parts]:
        paths = {name: verified(file, locate(file, source)) for name, file in FASHION_FILES.items()}
        images = (idx(paths["x_train"])[..., None], idx(paths["x_test"])[..., None])
        return images, (idx(paths["y_train"]), idx(paths["y_test"]))

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        held = replace(source, download=None)
        try:
            images, labels = (
                idx(locate(FASHION_FILES[name], held), count) for name in ("x_train", "y_train")
            )
        except DataError:  # training says what is wrong with it
            return None
        return scaled(images[..., None]), labels.astype(np.int32)


class Cifar10(Images):
    """x: (32, 32, 3), red, green and blue in [0, 1] (byte / 255); y: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer,
    5 dog, 6 frog, 7 horse, 8 ship, 9 truck. 50,000 images for training, 10,000 for testing.
    """

    licence: ClassVar[str] = "not stated"
    reference: ClassVar[str] = "Krizhevsky 2009, Learning multiple layers of features from tiny images"
    image: ClassVar[tuple[int, int, int]] = (32, 32, 3)
    counts: ClassVar[tuple[int, int]] = (50_000, 10_000)
    files: ClassVar[tuple[RemoteFile, ...]] = (CIFAR_FILE,)
    name: Literal["cifar10"] = "cifar10"

    def stored(self, source: Source) -> tuple[Parts, Parts]:
        path = verified(CIFAR_FILE, locate(CIFAR_FILE, source))
        try:
            with tarfile.open(path) as archive:
                x, y = records(archive, [f"data_batch_{number}.bin" for number in range(1, 6)])
                x_test, y_test = records(archive, ["test_batch.bin"])
        except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, zlib.error) as error:
            raise DataError(f"{path} is no readable {CIFAR_FILE.name} ({error})") from error
        return (x, x_test), (y, y_test)

    def glimpse(self, source: Source, count: int) -> Glimpse | None:
        try:
            with tarfile.open(locate(CIFAR_FILE, replace(source, download=None)), "r|gz") as archive:
                batch = next(entry for entry in archive if "data_batch" in entry.name)
                file = archive.extractfile(batch)
                images, labels = unpacked(file.read(count * RECORD) if file is not None else b"")
        except (DataError, OSError, EOFError, StopIteration, ValueError, tarfile.TarError, zlib.error):
            return None  # training says what is wrong with it
        return scaled(images), labels.astype(np.int32)


def idx(path: Path, count: int | None = None) -> Bytes:
    """The array in a compressed IDX file: four bytes, the last of them the number of sizes; the sizes; the bytes.

    Args:
        count: rows to read; None: all.
    """
    try:
        with gzip.open(path) as content:
            dimensions = content.read(4)[3]
            rows, *sizes = np.frombuffer(content.read(4 * dimensions), ">i4").tolist()
            rows = rows if count is None else min(rows, count)
            held = content.read(rows * math.prod(sizes))
            if count is None and content.read(1):
                raise ValueError("more bytes than its sizes say")
            return np.frombuffer(held, np.uint8).reshape(rows, *sizes)
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is no IDX file ({error})") from error


def records(archive: tarfile.TarFile, names: list[str]) -> tuple[Bytes, Bytes]:
    """Images (n, 32, 32, 3) and classes of some files of CIFAR-10's archive."""
    parts = []
    for name in names:
        file = archive.extractfile(f"cifar-10-batches-bin/{name}")
        assert file is not None, f"{name} is a folder"
        parts.append(file.read())
    return unpacked(b"".join(parts))


def unpacked(content: bytes) -> tuple[Bytes, Bytes]:
    """Images (n, 32, 32, 3) and classes (n,) of records one after the other."""
    rows = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return np.moveaxis(rows[:, 1:].reshape(-1, 3, 32, 32), 1, -1), rows[:, 0]
