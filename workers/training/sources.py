"""Where a worker's data come from: the data folder, Keras' cache, a download. And their digests. Loads Keras."""

from __future__ import annotations

import functools
from pathlib import Path

import keras

from experiments.datasets import Dataset, Source, mnist
from experiments.errors import DataError
from service.settings import Settings

DOWNLOADS = {mnist.FILE: (mnist.ORIGIN, mnist.SHA256)}
"""Name of a file -> its address and the SHA-256 that it must have."""


def source(settings: Settings) -> Source:
    """The places in which a worker with these settings looks for files."""
    return Source(data_dir=settings.data_dir, download=download)


def download(name: str) -> Path:
    """Fetch a data set's file into Keras' cache; its path there.

    Raises:
        DataError: no address is known for a file of this name.
        Exception: the download failed, or the file has another digest (Keras raises no narrower kind).
    """
    if name not in DOWNLOADS:
        raise DataError(f"{name} cannot be downloaded; known are {', '.join(DOWNLOADS)}")
    origin, digest = DOWNLOADS[name]
    return Path(keras.utils.get_file(name, origin=origin, file_hash=digest))


@functools.lru_cache(maxsize=8)
def digest(dataset: Dataset, origin: Source) -> str:
    """SHA-256 over the data set's arrays, computed once per process."""
    return dataset.load(origin).digest
