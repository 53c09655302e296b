"""Environments other than this one, made by the uv that `make setup` fetched."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".uv" / "bin" / "uv"


@functools.cache
def variables() -> dict[str, str]:
    """For uv and what it installs: the package index that only pip may know, and nothing of this checkout."""
    if not UV.exists():
        pytest.skip("this environment was not made by `make setup`: it has no uv")
    spec = importlib.util.spec_from_file_location("environment", ROOT / "requirements" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GRADUS_") and name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    return {**kept, **module.index_settings([sys.executable, "-m", "pip"])}


def uv(cwd: Path, *arguments: object) -> None:
    """Run uv; fails the test where it fails."""
    command = [str(UV), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"


def make(folder: Path, python: str = sys.executable) -> Path:
    """A new environment in a folder; its `bin`."""
    uv(folder, "venv", "--quiet", "--no-python-downloads", "--python", python, "venv")
    return folder / "venv" / "bin"
