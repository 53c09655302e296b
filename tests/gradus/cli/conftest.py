"""The command in this process, against a real API."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gradus.cli.main import run
from tests.service.api.conftest import SPEC


@pytest.fixture
def gradus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the command: its exit status, what it printed, and that as JSON."""

    def call(*arguments: Any) -> Any:
        monkeypatch.setattr(sys, "argv", ["gradus", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
        out, err = capsys.readouterr()
        return SimpleNamespace(
            status=ended.value.code or 0,
            out=out,
            err=err,
            json=lambda: json.loads(out),
            lines=out.splitlines(),
        )

    return call


@pytest.fixture
def spec_file(tmp_path: Path) -> Any:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(SPEC))
    return path
