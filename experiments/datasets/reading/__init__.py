"""Reads a person's own file: CSV, NPZ or Parquet. What is wrong is told by row and column; nothing is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from experiments.datasets.reading.arrays import read_arrays
from experiments.datasets.reading.found import Found
from experiments.datasets.reading.matrix import Profile
from experiments.datasets.reading.parquet import read_parquet
from experiments.datasets.reading.text import read_text
from experiments.errors import SpecError

FileKind = Literal["csv", "npz", "parquet"]
FILE_KINDS: tuple[FileKind, ...] = get_args(FileKind)
_READERS = {"csv": read_text, "npz": read_arrays, "parquet": read_parquet}
OTHER_KINDS = {
    b"%PDF": "a PDF",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"BZh": "compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "compressed with xz; unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save its sheet as CSV",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x93NUMPY": "a single NumPy array; save inputs and targets together: numpy.savez(file, x=x, y=y)",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x04": "a Python pickle, which is never loaded",
    b"\x80\x05": "a Python pickle, which is never loaded",
    b"SQLite": "a SQLite database",
    b"<": "HTML or XML; a page was saved in place of the file",
    b"{": "JSON",
    b"[{": "JSON",
    b"ARFF": "an ARFF file",
    b"@relation": "an ARFF file",
}
"""How files begin that are sent by mistake."""

__all__ = ["FILE_KINDS", "FileKind", "Found", "Profile", "kind_of", "read_file"]


def kind_of(path: Path) -> FileKind:
    """What a file is, by how it begins.

    Raises:
        SpecError: it is empty, or of a kind that is not read.
    """
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise SpecError.one("file", "is empty", "a CSV, NPZ or Parquet file")
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    for beginning, what in OTHER_KINDS.items():
        if start.lstrip(b"\xef\xbb\xbf \r\n").startswith(beginning):
            raise SpecError.one("file", f"is {what}", "a CSV, NPZ or Parquet file")
    return "csv"


def read_file(path: Path, out: Path, title: str) -> Found:
    """Read a file into a matrix of numbers.

    Args:
        path: the file, of any of the three kinds.
        out: where the matrix is written, as `.npy`.
        title: what the person calls it.

    Raises:
        SpecError: what is wrong with it, by row and column.
    """
    return _READERS[kind_of(path)](path, out, title)
