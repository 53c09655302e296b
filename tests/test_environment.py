"""requirements/environment.py, which runs before anything of ours is installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environment", ROOT / "requirements" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pip(environment: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return list(environment.pip_command(tmp_path_factory.mktemp("pip") / "venv"))


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))


def test_an_index_that_only_pip_knows_is_handed_on(
    environment: ModuleType, pip: list[str], tmp_path: Path
) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://user:secret@packages.example/pypi\ntrusted-host = packages.example\n"
        "extra-index-url =\n    https://one.example/a\n    https://two.example/b\n"
    )
    settings = environment.index_settings(pip)
    assert settings["UV_DEFAULT_INDEX"] == "https://user:secret@packages.example/pypi"
    assert settings["UV_INSECURE_HOST"] == "packages.example"
    assert settings["UV_INDEX"] == "https://one.example/a https://two.example/b"


def test_where_uv_was_told_itself_pip_is_not_asked(
    environment: ModuleType, pip: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://packages.example/pypi\n")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/pypi")
    assert environment.index_settings(pip) == {}


def test_without_any_setting_uv_goes_where_it_always_goes(environment: ModuleType, pip: list[str]) -> None:
    assert environment.index_settings(pip) == {}


def test_this_python_suits(environment: ModuleType) -> None:
    assert environment.suits()
