"""The guided tour's commands: every spec it names can be submitted, and the checks it promises come out so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from gradus.cli.main import app
from workers.gradcheck import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / name for name in ("tour.md", "gradient-check.md")]
COMMANDS = [
    line.split("#")[0].strip()
    for page in PAGES
    for block in re.findall(r"```\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_spec_of_a_command_is_sound(command: Any) -> None:
    program, verb, path, *_ = shlex.split(command)
    assert program == "gradus"
    assert verb in {"submit", "validate", "gradcheck"}
    assert ExperimentSpec.parse(parse_yaml((ROOT / path).read_text(encoding="utf-8"))).expand()


def test_there_is_such_a_command_line() -> None:
    assert len(COMMANDS) >= 12
    assert app.registered_commands or app.registered_groups


def test_the_line_is_certified_and_the_perceptron_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["examples/linear-regression.yaml"]) == 0
    assert main(["examples/perceptron-and.yaml", "--first"]) == 1
    assert "refused" in capsys.readouterr().out
