"""Files of inputs: what is read, and that what cannot be read is said in one line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradus.cli.inputs import read_inputs
from gradus.errors import UsageError


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", b"[[1, 2], [3, 4]]"),
        ("x.json", b'{"inputs": [[1, 2], [3, 4]]}'),
        ("x.csv", b"a,b\n1,2\n3,4\n"),
        ("x.npy", saved(np.array([[1, 2], [3, 4]]))),
        ("x.npz", archive(x=np.array([[1, 2], [3, 4]]))),
    ],
)
def test_two_samples_of_two_numbers(tmp_path: Path, name: str, content: Any) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_inputs(tmp_path / name) == [[1, 2], [3, 4]]


BROKEN = {
    "an empty archive": ("x.npz", archive(), "the archive holds no array"),
    "an archive cut short": ("x.npz", archive(x=np.arange(9))[:-30], "cannot be read"),
    "no archive": ("x.npz", b"PK\x03\x04 and nothing", "cannot be read"),
    "an empty array file": ("x.npy", b"", "cannot be read"),
    "a pickle": ("x.npy", saved(np.array([{}])), "cannot be read"),
    "complex numbers": ("x.npy", saved(np.array([[1j]])), "the array is of complex128 (allowed: whole numbers"),
    "times": ("x.npy", saved(np.array([["2001-01-01"]], dtype="datetime64[D]")), "the array is of datetime64"),
    "one number": ("x.npy", saved(np.array(1.0)), "holds no list of samples"),
    "not a number": ("x.npy", saved(np.array([[np.nan]])), "NaN or infinity"),
    "infinity": ("x.csv", b"a\n1\ninf\n", "NaN or infinity"),
    "a deep list": ("x.json", b"[" * 200_000, "cannot be read"),
    "a cell without end": ("x.csv", b"1," + b"2" * 200_000, "field larger than field limit"),
    "an empty file": ("x.csv", b"", "holds no list of samples"),
    "another kind": ("x.txt", b"1", "allowed: .json, .csv, .npy, .npz"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_read_is_used_wrongly(tmp_path: Path, case: Any) -> None:
    name, content, words = BROKEN[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as refused:
        read_inputs(tmp_path / name)
    assert words in str(refused.value)
    assert "x." in str(refused.value)


def test_a_broken_member_of_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", saved(np.random.default_rng(0).random(1000)))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[200:400] = bytes(200)
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        read_inputs(tmp_path / "x.npz")
