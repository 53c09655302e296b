"""Files that a data set needs and that are not part of the installation: where they are looked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from experiments.errors import DataError


@dataclass(frozen=True)
class RemoteFile:
    """A file that Keras downloads into its cache.

    url: where it comes from
    digest: of its content in hex: SHA-256, or MD5 where its authors publish only that
    folder: within the data folder and Keras' cache
    """

    name: str
    url: str
    digest: str
    folder: str = ""

    @property
    def cached(self) -> Path:
        """Where Keras keeps it once it was downloaded."""
        return Path.home() / ".keras" / "datasets" / self.folder / self.name


@dataclass(frozen=True)
class Source:
    """Where files are looked for.

    data_dir: the folder that GRADUS_DATA_DIR names
    download: fetches a file and gives its path; None where nothing can be downloaded
    matrix: fetches the numbers of a person's own file by their SHA-256; None where there is no service
    """

    data_dir: Path | None = None
    download: Callable[[RemoteFile], Path] | None = None
    matrix: Callable[[str], Path] | None = None


def locate(file: RemoteFile, source: Source) -> Path:
    """The file, from the data folder, else Keras' cache, else downloaded.

    Raises:
        DataError: none of the three has it; the message names them.
    """
    tried = []
    if source.data_dir is not None:
        path = source.data_dir / file.folder / file.name
        if path.is_file():
            return path
        tried.append(f"{path} (GRADUS_DATA_DIR)")
    else:
        tried.append("GRADUS_DATA_DIR (not set)")
    if file.cached.is_file():
        return file.cached
    tried.append(f"{file.cached} (Keras' cache)")
    if source.download is None:
        tried.append("a download through Keras (not possible here)")
    else:
        try:
            return source.download(file)
        except Exception as error:  # noqa: BLE001  Keras raises a bare Exception for every kind of failed download
            tried.append(f"a download through Keras ({error})")
    raise DataError(
        f"{file.name} cannot be had: tried {', '.join(tried)}. Put the file into the folder that "
        "GRADUS_DATA_DIR names, or use the data set `digits`, which needs no download"
    )


def verified(file: RemoteFile, path: Path) -> Path:
    """The path, once its content was held against the digest. Raises DataError: it is another file."""
    kind = "sha256" if len(file.digest) == 64 else "md5"
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, partial(hashlib.new, kind, usedforsecurity=False)).hexdigest()
    if digest != file.digest:
        raise DataError(
            f"{path} is not the published {file.name}: its {kind.upper()} is {digest}, not {file.digest}; remove it, or put"
            " the real one there"
        )
    return path
