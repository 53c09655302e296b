"""What must hold of the project as a whole."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("experiments", "service", "workers", "migrations")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: there is no list of files to look through")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", OURS)
def test_no_dependency_owns_the_name_of_a_package(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"gradus"}


def test_pins_name_no_index_and_no_path() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        assert not re.search(r"https?://|--index-url|--find-links|file:", file.read_text()), file.name


def test_every_pin_has_a_hash() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        pins = re.findall(r"^[A-Za-z0-9._-]+(?:\[[^\]]*\])?==.*(?:\n .*)*", file.read_text(), re.MULTILINE)
        assert pins, file.name
        for pin in pins:
            assert "--hash=sha256:" in pin, f"{file.name}: {pin.splitlines()[0]}"


def test_no_file_names_a_folder_of_one_machine() -> None:
    private = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/")
    for file in tracked():
        if file.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".in", ".sh", ""} and file != Path(
            __file__
        ):
            found = private.search(file.read_text(errors="ignore"))
            assert not found, f"{file.relative_to(ROOT)}: {found.group() if found else ''}"


@pytest.mark.parametrize(
    "module", ["service.api.app", "service.cli.main", "workers.app", "workers.maintenance"]
)
def test_light_processes_never_load_tensorflow(module: str) -> None:
    code = f"import sys, {module}; bad = {{'tensorflow', 'keras', 'torch', 'jax'}} & set(sys.modules); sys.exit(repr(bad) if bad else 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
