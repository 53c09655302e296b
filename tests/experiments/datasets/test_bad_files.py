"""Files as people send them: each is refused by row and column, or read as they meant it. Never a third."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from experiments.datasets.reading import Found, read_file
from experiments.errors import SpecError

ROWS = "1,2,a\n3,4,b\n5,6,a\n7,8,b\n9,10,a\n"
GOOD = "size,age,kind\n" + ROWS


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def pickled() -> bytes:
    file = io.BytesIO()
    objects = np.array([{"a": 1}, [2], "x", 4, 5], dtype=object)
    np.savez(file, x=objects, allow_pickle=True)
    return file.getvalue()


def zip_bomb() -> bytes:
    """An archive of some kilobytes that says it expands to 5 GB."""
    file = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (5 * 10**9,)}
    )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(1_000_000))
    return file.getvalue().replace(
        (len(header.getvalue()) + 1_000_000).to_bytes(4, "little"), (4_294_967_290).to_bytes(4, "little")
    ) + b""  # fmt: skip


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


REFUSED: dict[str, tuple[bytes, str, str]] = {
    # name: (content, where, what)
    "empty": (b"", "file", "is empty"),
    "blank lines": (b"\n\n  \n", "file", "is empty"),
    "header only": (b"a,b\n", "file", "0 rows"),
    "too few rows": (b"a,b\n1,2\n3,4\n", "file", "2 rows"),
    "one column": (b"a\n1\n2\n3\n4\n5\n", "row 1", "one column"),
    "ragged, short": (b"a,b,c\n1,2,3\n1,2\n", "row 3", "found 2 cells, row 1 has 3"),
    "ragged, long": (b"a,b\n1,2\n1,2,3\n", "row 3", "found 3 cells, row 1 has 2"),
    "ragged after blank lines": (b"a,b\n\n1,2\n\n1,2,3\n", "row 5", "found 3 cells"),
    "no header for a cell": (b"a,b,\n1,2,\n3,4,5\n5,6,\n", "row 2, column column_3", "no value"),
    "a cell beyond the names": (b"a,b,\n1,2,\n3,4,\n" + b"5,6,\n" * 50_000 + b"5,6,7\n", "row 50004, column without a name", "7"),
    "a text among numbers": (b"a,b\n1,2\n3,4\n5,six\n7,8\n", "row 4, column b", "six is no number"),
    "a number among texts": (b"a,b\n1,x\n3,y\n5,6\n7,z\n", "row 4, column b", "6 is a number"),
    "an empty cell": (b"a,b\n1,2\n,4\n5,6\n7,8\n9,1\n", "row 3, column a", "no value"),
    "NaN": (b"a,b\n1,2\nNaN,4\n5,6\n7,8\n9,1\n", "row 3, column a", "no value: NaN"),
    "NA among numbers": (b"a,b\n1,2\n3,NA\n5,6\n7,8\n9,1\n", "row 3, column b", "no value: NA"),
    "a question mark for a number": (b"a,b\n1,2\n3,?\n5,6\n7,8\n9,1\n", "row 3, column b", "no value: ?"),
    "an empty text": (b"a,b\n1,x\n3,\n5,y\n7,x\n9,x\n", "row 3, column b", "no value"),
    "infinity": (b"a,b\n1,2\n3,inf\n5,6\n7,8\n9,1\n", "row 3, column b", "inf is beyond 1e+30"),
    "too large": (b"a,b\n1,2\n3,1e99\n5,6\n7,8\n9,1\n", "row 3, column b", "1e99 is beyond"),
    "a column without values": (b"a,b\n1,\n3,\n5,\n7,\n9,\n", "row 2, column b", "no value"),
    "an underscore": (b"a,b\n1,2\n3,1_000\n5,6\n", "row 3, column b", "1_000 is no number"),
    "thousands with a comma": (b'a,b\n1,2\n3,"1,234.5"\n5,6\n', "row 3, column b", "1,234.5 is no number"),
    "the same name twice": (b"a,b,a\n1,2,3\n", "row 1, column 3", "also the name of column 1"),
    "a hidden character": ("a,b\u200b\n1,2\n".encode(), "row 1, column 2", "U+200B"),
    "an open quote": (b'a,b\n1,2\n3,"4\n5,6\n', "row 3", "cannot be read"),
    "text after a quote": (b'a,b\n1,2\n3,"4"x\n5,6\n', "row 3", "cannot be read"),
    "Latin-1": ("a,b\n1,x\n3,caf\u00e9\n".encode("latin-1"), "row 3, column 2", "0xe9 is not UTF-8"),
    "NUL": (b"a,b\n1,2\n3,\0\n", "row 3", "NUL"),
    "10^5 columns": (",".join(f"c{index}" for index in range(100_000)).encode(), "row 1", "100,000 columns"),
    "gzip": (gzip.compress(GOOD.encode()), "file", "gzip"),
    "an Excel workbook": (workbook(), "file", "Excel"),
    "a web page": (b"<!doctype html><p>404</p>", "file", "HTML"),
    "JSON": (b'{"a": [1, 2]}', "file", "JSON"),
    "a pickle": (pickle.dumps([1, 2]), "file", "pickle"),
    "a single array": (b"\x93NUMPY\x01\x00", "file", "numpy.savez"),
    "a pickle in an NPZ": (pickled(), "array x", "never loaded"),
    "a zip bomb": (zip_bomb(), "file", "expands to"),
    "a cut NPZ": (npz(x=np.zeros((9, 3)), y=np.zeros(9))[:-40], "file", "NPZ"),
    "arrays of different lengths": (npz(x=np.zeros((9, 3)), y=np.zeros(8)), "file", "x 9, y 8"),
    "NaN in an array": (npz(x=np.array([[1, 2], [3, np.nan]] * 5), y=np.zeros(10)), "row 1, array x, position [1]", "no value"),
    "complex numbers": (npz(x=np.zeros((9, 2), complex), y=np.zeros(9)), "array x", "complex"),
    "a number for an array": (npz(x=np.float64(3)), "array x", "shape ()"),
    "an empty array": (npz(x=np.zeros((0, 3)), y=np.zeros(0)), "array x", "is empty"),
    "a cut Parquet": (parquet(a=[1, 2, 3, 4, 5])[:-20], "file", "Parquet"),
    "a null in Parquet": (parquet(a=[1, 2, None, 4, 5], b=[1, 2, 3, 4, 5]), "row 2, column a", "no value"),
    "lists in Parquet": (parquet(a=[[1], [2], [3], [4], [5]]), "column a", "list"),
}  # fmt: skip


def read(folder: Path, content: bytes) -> Found:
    (folder / "file").write_bytes(content)
    return read_file(folder / "file", folder / "matrix.npy", "mine")


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_where_it_is_bad(name: str, tmp_path: Path) -> None:
    content, where, what = REFUSED[name]
    with pytest.raises(SpecError) as refused:
        read(tmp_path, content)
    problem = refused.value.problems[0]
    assert problem.path == where
    assert what in problem.message
    assert problem.allowed


def numbers(file: Found, folder: Path) -> list[list[float]]:
    matrix: list[list[float]] = np.load(folder / "matrix.npy", allow_pickle=False).tolist()
    return matrix


AS_MEANT: dict[str, Callable[[], bytes]] = {
    "plain": lambda: GOOD.encode(),
    "a byte order mark": lambda: b"\xef\xbb\xbf" + GOOD.encode(),
    "UTF-16": lambda: GOOD.encode("utf-16"),
    "semicolons": lambda: GOOD.replace(",", ";").encode(),
    "tabs": lambda: GOOD.replace(",", "\t").encode(),
    "bars": lambda: GOOD.replace(",", "|").encode(),
    "decimal commas": lambda: GOOD.replace(",", ";").replace("1;2", "1,0;2,0").encode(),
    "Windows lines": lambda: GOOD.replace("\n", "\r\n").encode(),
    "old Macintosh lines": lambda: GOOD.replace("\n", "\r").encode(),
    "no last line end": lambda: GOOD.rstrip().encode(),
    "blank lines": lambda: GOOD.replace("\n", "\n\n").encode(),
    "spaces around": lambda: GOOD.replace(",", " , ").encode(),
    "quotes": lambda: "\n".join(
        ",".join(f'"{c}"' for c in line.split(",")) for line in GOOD.split()
    ).encode(),
    "a separator at every end": lambda: GOOD.replace("\n", ",\n").encode(),
    "Excel's first line": lambda: b"sep=;\n" + GOOD.replace(",", ";").encode(),
    "numbers as 1e0": lambda: GOOD.replace("\n1,", "\n1e0,").encode(),
    "Parquet": lambda: parquet(size=[1, 3, 5, 7, 9], age=[2.0, 4, 6, 8, 10], kind=["a", "b", "a", "b", "a"]),
    "NPZ": lambda: npz(
        size=np.array([1, 3, 5, 7, 9]),
        age=np.array([2, 4, 6, 8, 10]),
        kind=np.array(["a", "b", "a", "b", "a"]),
    ),
}


@pytest.mark.parametrize("name", AS_MEANT)
def test_a_file_is_read_as_it_was_meant(name: str, tmp_path: Path) -> None:
    file = read(tmp_path, AS_MEANT[name]())
    assert [column.name for column in file.table.columns] == ["size", "age", "kind"]
    assert numbers(file, tmp_path) == [[1, 2, 0], [3, 4, 1], [5, 6, 0], [7, 8, 1], [9, 10, 0]]
    size, _, kind = file.table.columns
    assert (size.low, size.high, kind.values, kind.counts) == (1, 9, ("a", "b"), (3, 2))


def test_names_are_made_where_there_are_none(tmp_path: Path) -> None:
    file = read(tmp_path, ROWS.replace("a", "1").replace("b", "0").encode())
    assert [column.name for column in file.table.columns] == ["column_1", "column_2", "column_3"]
    assert file.table.rows == 5
    assert any("no names" in warning for warning in file.warnings)


def test_a_column_that_numbers_the_rows_is_no_input(tmp_path: Path) -> None:
    file = read(tmp_path, b",a,b\n" + b"".join(b"%d,%d,%d\n" % (n, n * n, n % 2) for n in range(9)))
    assert [(column.name, column.usable) for column in file.table.columns] == [
        ("column_1", False), ("a", True), ("b", True),
    ]  # fmt: skip
    assert any("numbers the rows" in warning for warning in file.warnings)


def test_texts_that_are_all_different_are_no_input(tmp_path: Path) -> None:
    lines = "".join(f"person {n},{n % 7},{n % 2}\n" for n in range(1_500))
    file = read(tmp_path, f"name,a,b\n{lines}".encode())
    assert not file.table.columns[0].usable
    assert any("more than 1,000 different texts" in warning for warning in file.warnings)


def test_a_fault_after_many_rows_has_its_own_row(tmp_path: Path) -> None:
    lines = ["1,2\n"] * 120_000
    lines[99_999] = "1,x\n"
    with pytest.raises(SpecError, match=r"row 100001, column b: x is no number"):
        read(tmp_path, ("a,b\n" + "".join(lines)).encode())


def test_values_and_profile_are_of_the_whole_file(tmp_path: Path) -> None:
    """Worked by hand: 60,000 zeros and 60,000 fours: mean 2, standard deviation 2; the blocks are of 50,000 rows."""
    file = read(tmp_path, ("a,b\n" + "0,u\n" * 60_000 + "4,v\n" * 60_000).encode())
    a, b = file.table.columns
    assert (a.values, a.counts, a.zeros, a.grouped, b.grouped) == (
        (0, 4),
        (60_000, 60_000),
        60_000,
        True,
        True,
    )
    profile = file.profiles["a"]
    assert (profile.mean, profile.std) == pytest.approx((2, 2))
    assert (profile.bins[0], profile.bins[-1], sum(profile.bins)) == (60_000, 60_000, 120_000)
