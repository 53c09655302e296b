"""The wheel, built as `make dist` builds it and installed in empty environments outside the checkout."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.empty_environments import ROOT, make, uv, variables

PARTS = ("gradus", "experiments", "service", "workers", "migrations")
LINKED = ("examples", "lessons")  # folders of the project that a package has a link to
FILES = ("pyproject.toml", "README.md", "LICENSE")
VERSIONS = ("3.11", "3.12", "3.13")
SERVER_ONLY = ("sqlalchemy", "celery", "fastapi", "mlflow", "alembic", "redis", "tensorflow", "keras")
START_WITHIN = 240.0  # seconds


def python_of(version: str) -> str:
    """A usable interpreter of this version, on the PATH or among pyenv's; the test is skipped where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))]
    code = "import sys, sqlite3, ssl; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        answer = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return candidate
    pytest.skip(f"there is no Python {version} on this machine")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, because setuptools leaves files beside what it builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in (*PARTS, *(name for name in LINKED if (ROOT / name).exists())):
        shutil.copytree(
            ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    build = ("build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable)
    uv(source, *build, "--out-dir", out)
    (built,) = out.glob("gradus-*.whl")
    return built


class Installed:
    """An environment with the wheel in it, and its `gradus`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environment = folder, {**variables(), "HOME": str(folder)}
        self.bin = folder / "venv" / "bin"

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        program = [str(self.bin / command[0]), *command[1:]]
        return subprocess.run(
            program,
            cwd=cwd or self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def gradus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("gradus", *arguments)


def install(folder: Path, python: str, commands: Sequence[Sequence[object]]) -> Installed:
    there = make(folder, python)
    for command in commands:
        uv(folder, "pip", *command, "--quiet", "--python", there / "python")
    return Installed(folder)


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *PARTS, *LINKED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    files = [name for name in tracked.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert len(files) > 200
    linked = {f"{part}/" for part in LINKED}
    missing = [
        file
        for file in files
        if file not in names
        and not (
            any(file.startswith(part) for part in linked) and any(name.endswith(f"/{file}") for name in names)
        )
    ]
    assert not missing


def client_only(wheel: Path, folder: Path, python: str) -> Installed:
    pins = ROOT / "requirements" / "client.txt"
    commands = (("sync", "--require-hashes", pins), ("install", "--no-deps", wheel))
    return install(folder, python, commands)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_alone_works_with_every_python(wheel: Path, tmp_path: Path, version: str) -> None:
    here = client_only(wheel, tmp_path, python_of(version))
    probe = (
        "import gradus.client, importlib.util as i, json;"
        f"print(json.dumps([n for n in {SERVER_ONLY} if i.find_spec(n)] + [gradus.client.__file__]))"
    )
    (place,) = json.loads(here.run("python", "-c", probe).stdout)  # and no package of the server
    assert Path(place).is_relative_to(tmp_path)
    assert Path(place).parent.joinpath("py.typed").exists()
    shutil.copy(ROOT / "examples" / "xor-mlp.yaml", tmp_path)
    validated = here.gradus("validate", "xor-mlp.yaml", "--json")
    assert validated.returncode == 0, validated.stderr
    assert json.loads(validated.stdout)["n_runs"] == 5


def test_the_wheel_alone_brings_the_examples_and_names_what_is_missing(wheel: Path, tmp_path: Path) -> None:
    here = client_only(wheel, tmp_path, sys.executable)
    examples = json.loads(here.gradus("examples", "--json").stdout)
    assert {entry["name"] for entry in examples} >= {"activations", "xor-mlp", "refused/errata-filter"}
    assert here.gradus("examples", "xor-mlp").stdout == (ROOT / "examples" / "xor-mlp.yaml").read_text()
    away = here.gradus("doctor")
    assert (away.returncode, "gradus up" in away.stdout) == (3, True), away.stderr
    started = here.gradus("up")
    assert started.returncode == 1
    assert "pip install 'gradus[local]'" in started.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_with_local_starts_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    pins = ROOT / "requirements" / "dev.txt"
    commands = (("install", "--constraint", pins, f"{wheel}[local,frames,weights]"),)
    here = install(tmp_path, sys.executable, commands)
    with running(here, tmp_path / "home") as url:
        page = httpx.get(f"{url}/new", params={"example": "activations"}, trust_env=False, timeout=60).text
        assert "activations-on-mnist" in page
        here.environment["GRADUS_URL"] = url
        (tmp_path / "line.yaml").write_text(here.gradus("examples", "linear-regression").stdout)
        trained = here.gradus("submit", "line.yaml", "--wait")
        assert trained.returncode == 0, trained.stderr
    assert here.gradus("gradcheck", "line.yaml").returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_tests_of_specs_and_client_pass_with_every_python(
    wheel: Path, tmp_path: Path, version: str
) -> None:
    """With the pinned packages, the service's and the workers' included. This environment's Python runs the rest."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip("the whole suite runs with it")
    programs = make(tmp_path, python_of(version))
    pins = ROOT / "requirements" / "dev.txt"
    uv(tmp_path, "pip", "sync", "--quiet", "--python", programs / "python", "--require-hashes", pins)
    uv(tmp_path, "pip", "install", "--quiet", "--python", programs / "python", "--no-deps", wheel)
    folders = ("tests/experiments/spec", "tests/gradus", "tests/service/test_settings.py")
    command = [str(programs / "python"), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *folders]
    environment = {**variables(), "PATH": f"{programs}:{variables()['PATH']}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@contextlib.contextmanager
def running(here: Installed, home: Path) -> Iterator[str]:
    """The address of a stack that `gradus up` of this environment started."""
    command = [str(here.bin / "gradus"), "up", "--home", str(home), "--workers", "1"]
    with (here.folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", "0", "--mlflow-port", "0"],
            cwd=here.folder,
            env=here.environment,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + START_WITHIN
        while not (home / "stack.json").exists():
            assert process.poll() is None, (here.folder / "up.log").read_text()
            assert time.monotonic() < deadline, (here.folder / "up.log").read_text()
            time.sleep(0.2)
        yield json.loads((home / "stack.json").read_text())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=90)
