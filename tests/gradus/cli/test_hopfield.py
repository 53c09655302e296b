"""`gradus hopfield`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PNG = b"\x89PNG"


def test_two_digits_come_back_from_noise(gradus: Any, tmp_path: Path) -> None:
    picture = tmp_path / "recall.png"
    rows = gradus("hopfield", "--json", "--picture", picture).json()
    assert [row["digit"] for row in rows] == [0, 1]
    assert all(row["overlap_before"] < 0.7 and row["overlap_after"] == 1 for row in rows)
    assert picture.read_bytes().startswith(PNG)
    assert "energy per sweep" in gradus("hopfield").out


def test_the_capacity(gradus: Any, tmp_path: Path) -> None:
    picture = tmp_path / "capacity.png"
    rows = gradus("hopfield", "--capacity", 100, "--json", "--picture", picture).json()
    assert rows[0] == {"load": 0.04, "patterns": 4, "held": 1.0}
    assert rows[-1]["held"] < rows[0]["held"]
    assert picture.read_bytes().startswith(PNG)


def test_what_is_no_digit_is_refused(gradus: Any) -> None:
    refused = gradus("hopfield", "--digits", "0,x")
    assert refused.status == 2
    assert "expected digits" in refused.err
