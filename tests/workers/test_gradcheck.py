"""`python -m workers.gradcheck`: tables, JSON and exit status."""

import importlib.util
import json
import os
import re
import subprocess
import sys
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


def test_the_table_fits_100_columns_and_names_what_rounding_hides(
    write: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty coordinates of every tensor; a median error of 0 is written as rounding, with its allowance."""
    layers = "{type: dense, units: 123, kernel_regularizer: l2}, {type: layer_normalization}, {type: dense, units: 10}"
    assert main([write(f"name: wide\ndataset: digits\nmodel: {{layers: [{layers}]}}\n")]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 100
    assert "0.0e+00" not in out
    assert " rounding " in out
    assert re.search(r"within 4ε·max\(1, \|loss\|\)/h, at most [23]e-11", " ".join(out.split()))
    assert "penalty: 1-dense/kernel 64×123" in out


def test_several_specs_are_checked_by_one_process_and_a_program_once(
    write: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(GOOD)
    second = tmp_path / "second.yaml"
    second.write_text(GOOD.replace("good", "again"))
    assert main([first, str(second)]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("at the start") == 1
    assert "second.yaml" in captured.out
    assert "as above, certified" in captured.err


def test_a_fault_is_1_and_json(write: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(GOOD), "--inject", "scale", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "failed"
    assert report["states"][0]["tensors"][0]["worst"]["autodiff"] != 0


def test_refused_is_1_with_the_reason(
    write: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(STEP)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "at a jump there is no derivative" in said
    assert "Nothing is claimed, because there is nothing to compare" in said


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


ON_JAX = "name: jax\ndataset: linear\nmodel: {hidden: []}\nbackend: jax\n"
ON_BOTH = GOOD + "sweep: {backend: [tensorflow, jax]}\n"


@pytest.mark.parametrize(
    ("text", "backends"),
    [pytest.param(ON_JAX, ["jax"], marks=pytest.mark.slow), (ON_BOTH, ["tensorflow", "jax"])],
    ids=["jax", "both"],
)
def test_a_network_is_checked_on_the_backend_of_its_spec(
    write: Callable[[str], str], text: str, backends: list[str]
) -> None:
    """In processes of their own, as the command does it: this one has its backend already."""
    pytest.importorskip("jax", reason="the extra train-jax is not installed")
    command = [sys.executable, "-m", "workers.gradcheck", write(text), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    decoder, rest, reports = json.JSONDecoder(), done.stdout.strip(), []
    while rest:
        report, end = decoder.raw_decode(rest)
        reports.append(report)
        rest = rest[end:].strip()
    assert [report["verdict"] for report in reports] == ["certified"] * len(backends)
    for backend, report in zip(backends, reports, strict=True):
        assert any(package.startswith(backend) for package in report["versions"])
    assert len({report["key"] for report in reports}) == len(backends)


def test_a_backend_that_is_not_installed_is_2(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "jax" else real(name, *rest)
    )
    assert main([write(ON_JAX)]) == 2
    assert "pip install 'gradus[train-jax]'" in capsys.readouterr().err
