"""Where a worker's data come from: the data folder, Keras' cache, a download; and their digests."""

from __future__ import annotations

import functools
from pathlib import Path

import keras

from experiments.datasets import Dataset, Source
from experiments.errors import DataError
from service.settings import Settings

ORIGINS = {"mnist.npz": "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"}
HASHES = {"mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"}


def source(settings: Settings) -> Source:
    return Source(data_dir=settings.data_dir, download=download)


def download(name: str) -> Path:
    """Fetch a data set's file into Keras' cache; its content is checked against a known hash."""
    if name not in ORIGINS:
        raise DataError(f"{name} cannot be downloaded; known are {', '.join(ORIGINS)}")
    return Path(keras.utils.get_file(name, origin=ORIGINS[name], file_hash=HASHES[name]))


@functools.lru_cache(maxsize=8)
def digest(dataset: Dataset, origin: Source) -> str:
    """sha256 over the data set's arrays, worked out once per process."""
    return dataset.load(origin).digest
