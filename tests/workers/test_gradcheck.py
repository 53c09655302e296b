"""`python -m workers.gradcheck`: tables, JSON and exit status."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.gradcheck import _quiet_stderr, main

GOOD = "name: good\ndataset: linear\nmodel: {hidden: []}\n"
STEP = (
    "name: step\ndataset: and\nloss: half_squared_error\n"
    "model: {layers: [{type: dense, units: 1, activation: step}]}\n"
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def file(text: str) -> str:
        path = tmp_path / "spec.yaml"
        path.write_text(text)
        return str(path)

    return file


def test_certified_is_0_and_a_table(write: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(GOOD)]) == 0
    out = capsys.readouterr().out
    assert "certified" in out
    assert "0-dense/kernel" in out
    assert "after 100 steps" in out


def test_a_fault_is_1_and_json(write: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(GOOD), "--inject", "scale", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "failed"
    assert report["states"][0]["tensors"][0]["worst"]["autodiff"] != 0


def test_refused_is_1_with_the_reason(
    write: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(STEP)]) == 1
    assert "no derivative" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "options"),
    [("name: x\ndataset: nonsense\n", []), (GOOD, ["--inject", "typo"]), (GOOD, ["--inject", "pool-mean"])],
)
def test_used_wrongly_is_2(
    write: Callable[[str], str], text: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(text), *options]) == 2
    assert capsys.readouterr().err


def test_a_missing_file_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.yaml")]) == 2


def test_the_step_study_draws_its_picture(write: Callable[[str], str], tmp_path: Path) -> None:
    picture = tmp_path / "h.png"
    assert main([write(GOOD), "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_loading_is_quiet_stderr_unless_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with _quiet_stderr():
        os.write(2, b"a library talks")
    assert capfd.readouterr().err == ""

    def broken() -> None:
        with _quiet_stderr():
            os.write(2, b"why it does not load")
            raise ImportError

    with pytest.raises(ImportError):
        broken()
    os.write(2, b", and on")
    assert capfd.readouterr().err == "why it does not load, and on"
