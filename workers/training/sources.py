"""Where a worker's data come from: the data folder, Keras' cache, a download. And their digests. Loads Keras."""

from __future__ import annotations

import functools
from pathlib import Path, PurePosixPath

import keras

from experiments.datasets import Dataset, RemoteFile, Source
from service.settings import Settings
from service.tracking.datasets import matrices


def source(settings: Settings) -> Source:
    """The places in which a worker with these settings looks for files."""
    own_files = matrices(settings.datasets, settings.mlflow_url)
    return Source(data_dir=settings.data_dir, download=download, matrix=own_files)


def download(file: RemoteFile) -> Path:
    """Fetch a data set's file into Keras' cache; its path there.

    Raises:
        Exception: the download failed, or the file has another digest (Keras raises no narrower kind).
    """
    return Path(
        keras.utils.get_file(
            file.name,
            origin=file.url,
            file_hash=file.digest,
            cache_subdir=str(PurePosixPath("datasets", file.folder)),
        )
    )


@functools.lru_cache(maxsize=8)
def digest(dataset: Dataset, origin: Source) -> str:
    """SHA-256 over the data set's arrays, computed once per process."""
    return dataset.load(origin).digest
