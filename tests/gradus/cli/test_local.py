"""What the command hands over to: another program takes its place with the right arguments."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Became(Exception):
    """Another program would run now."""


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What the command would become; standard input is put back afterwards."""
    commands = []
    kept = os.dup(0)

    def execv(program: Any, arguments: Any) -> None:
        assert program == sys.executable
        commands.extend(arguments[1:])
        raise Became

    monkeypatch.setattr(os, "execv", execv)
    yield commands
    os.dup2(kept, 0)
    os.close(kept)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> None:
    from gradus.cli.main import run

    monkeypatch.setattr(sys, "argv", ["gradus", *map(str, arguments)])
    with pytest.raises(Became):
        run()


def test_up_becomes_the_stack(monkeypatch: pytest.MonkeyPatch, became: Any) -> None:
    call(monkeypatch, "up", "--workers", 2, "--port", 0, "--mlflow-port", 0, "--home", "/tmp/x")
    wanted = ["--workers", "2", "--port", "0", "--mlflow-port", "0", "--home", "/tmp/x"]
    assert became == ["-m", "service.embedded.stack", *wanted]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make packages look as if they were not installed."""
    real = importlib.util.find_spec

    def hide(*names: str) -> None:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name in names else real(name, *rest)
        )

    return hide


def test_up_needs_the_backends_of_its_workers_alone(
    monkeypatch: pytest.MonkeyPatch, gradus: Any, became: Any, without: Any
) -> None:
    without("tensorflow")
    call(monkeypatch, "up", "--backend", "jax=1")
    assert became == ["-m", "service.embedded.stack", "--backend", "jax=1"]
    became.clear()
    for options in ([], ["--backend", "jax=1,tensorflow=1"]):
        refused = gradus("up", *options)
        assert refused.status == 1
        text = " ".join(refused.err.split())
        assert "workers on tensorflow need tensorflow, which is not installed" in text
        assert "gradus up --backend jax=1" in text
    monkeypatch.setenv("GRADUS_BACKEND", "jax")
    call(monkeypatch, "up")
    without("jax")
    assert "pip install 'gradus[local-jax]'" in " ".join(gradus("up").err.split())


def test_gradcheck_passes_options_on(monkeypatch: pytest.MonkeyPatch, became: Any, spec_file: Path) -> None:
    call(monkeypatch, "gradcheck", spec_file, "--inject", "scale", "--json")
    assert became == ["-m", "workers.gradcheck", str(spec_file), "--inject", "scale", "--json"]


def test_gradcheck_resolves_bases_and_changes(
    monkeypatch: pytest.MonkeyPatch, became: Any, tmp_path: Path, spec_file: Path
) -> None:
    top = tmp_path / "top.yaml"
    top.write_text("base: spec.yaml\nname: top\n")
    call(monkeypatch, "gradcheck", top, "--set", "training.epochs=3")
    assert became == ["-m", "workers.gradcheck", "/dev/stdin"]
    with open("/dev/stdin") as text:
        document = json.load(text)
    assert (document["name"], document["training"]["epochs"]) == ("top", 3)
    assert "base" not in document


def test_gradcheck_of_a_changed_spec_names_no_other_file(gradus: Any, became: Any, spec_file: Path) -> None:
    done = gradus("gradcheck", spec_file, "--set", "training.epochs=x")
    assert done.status == 2
    assert done.err.splitlines()[1].strip() == "training.epochs: found x (allowed: a whole number)"
    assert became == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("GRADUS_LEASE_SECONDS", "abc"), ("GRADUS_API_PORT", "99999"), ("GRADUS_DEVICE", "tpu")],
)
@pytest.mark.parametrize("command", [("up",), ("backup", "copy"), ("gradcheck", "spec.yaml")])
def test_a_setting_that_is_not_allowed_is_said_before(
    gradus: Any,
    became: Any,
    spec_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Any,
    name: str,
    value: Any,
) -> None:
    monkeypatch.chdir(spec_file.parent)
    monkeypatch.setenv(name, value)
    done = gradus(*command)
    assert done.status == 2
    assert f"a setting is not allowed: {name}: Input should be" in done.err
    assert became == []
