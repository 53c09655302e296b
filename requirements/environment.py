"""Makes `.venv/` from the pinned requirements. Runs on a bare Python: the standard library only.

`pip` fetches one thing, the pinned `uv` (requirements/uv.txt, by hash, into `.uv/`); `uv` does the rest:
the environment, every package of requirements/dev.txt by hash with compiled bytecode, and the project itself
in editable form. `uv` does not read pip's configuration, so where a machine names its package index to pip
alone, that address is handed on.

    python requirements/environment.py            make or update the environment
    python requirements/environment.py --suits    exit 0 if this Python can
    python requirements/environment.py --lock     pin every version anew
    python requirements/environment.py --sbom     list the packages of every image, in dist/sbom
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".uv"
UV = TOOLS / "bin" / "uv"
PYTHON = VENV / "bin" / "python"
# What is compiled from what: file -> arguments. Tools that run in environments of their own need not keep to dev.txt.
LOCKS = {
    "dev": ["pyproject.toml", "--extra", "dev"],
    "api": ["pyproject.toml", "--extra", "server"],
    "client": ["pyproject.toml"],
    "worker": ["pyproject.toml", "--extra", "server", "--extra", "train"],
    "worker-jax": ["pyproject.toml", "--extra", "server", "--extra", "train-jax"],
    "worker-jax-gpu": ["pyproject.toml", "--extra", "server", "--extra", "train-jax-gpu"],
    "worker-gpu": ["pyproject.toml", "--extra", "server", "--extra", "train-gpu"],
    "mlflow": ["requirements/mlflow.in"],
    "openapi": ["requirements/openapi.in"],
    "sbom": ["requirements/sbom.in"],
    "build": ["requirements/build.in"],
    "uv": ["requirements/uv.in"],
}
IMAGES = ("api", "mlflow", "worker", "worker-gpu", "worker-jax", "worker-jax-gpu")
# pip's name for a setting -> uv's variable.
INDEX_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}


def suits() -> bool:
    """Whether this interpreter can carry the environment."""
    needed = ("sqlite3", "ssl", "ctypes", "venv")
    return (
        (3, 11) <= sys.version_info[:2] <= (3, 13)
        and all(importlib.util.find_spec(name) for name in needed)
        and any(importlib.util.find_spec(name) for name in ("pip", "ensurepip"))
    )


def run(*command: object, env: dict[str, str] | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, env=env)


def pip_command(scratch: Path) -> list[str]:
    """This Python's pip; where it has none, one from ensurepip in a throw-away environment."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    run(sys.executable, "-m", "venv", scratch)
    return [str(scratch / "bin" / "python"), "-m", "pip"]


def index_settings(pip: list[str]) -> dict[str, str]:
    """uv's variables for the package index that only pip has been told of; empty where uv has its own."""
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE")):
        return {}
    listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, cwd=ROOT, check=False)
    found: dict[str, str] = {}
    for line in listing.stdout.splitlines():  # such as  global.index-url='https://…'  or  :env:.index-url='…'
        key, _, value = line.partition("=")
        name = INDEX_SETTINGS.get(key.rpartition(".")[2])
        if name:
            found[name] = " ".join(value.strip().strip("'\"").replace("\\n", " ").split())
    if "UV_DEFAULT_INDEX" not in found:
        # The public index serves everything here; a machine's further sources would only add surprises.
        return {name: found[name] for name in ("SSL_CERT_FILE",) if name in found and name not in os.environ}
    return {name: value for name, value in found.items() if name not in os.environ}


def fetch_uv(pip: list[str]) -> None:
    pins = ROOT / "requirements" / "uv.txt"
    mark = TOOLS / "pins.sha256"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    if UV.exists() and mark.exists() and mark.read_text() == digest:
        return
    shutil.rmtree(TOOLS, ignore_errors=True)
    quiet = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-warn-script-location",
        "--root-user-action=ignore",
    ]
    run(*pip, "install", *quiet, "--require-hashes", "--only-binary", ":all:", "--target", TOOLS, "-r", pins)
    mark.write_text(digest)


def usable(python: Path) -> bool:
    probe = [str(python), "-c", "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"]
    return python.exists() and subprocess.run(probe, check=False, capture_output=True).returncode == 0


def install(env: dict[str, str]) -> None:
    if not usable(PYTHON):
        run(
            UV,
            "venv",
            "--quiet",
            "--clear",
            "--no-python-downloads",
            "--python",
            sys.executable,
            VENV,
            env=env,
        )
    print("make setup: installing the pinned packages (the first time takes some minutes)", flush=True)
    run(UV, "pip", "sync", "--quiet", "--python", PYTHON, "--require-hashes", "requirements/dev.txt", env=env)
    project = ["--no-deps", "--no-build-isolation", "--editable", "."]
    run(UV, "pip", "install", "--quiet", "--python", PYTHON, *project, env=env)


def lock(env: dict[str, str]) -> None:
    shape = ["--universal", "--generate-hashes", "--no-emit-index-url", "--python-version", "3.11", "--quiet"]
    for name, sources in LOCKS.items():
        same = [] if name in ("dev", "openapi", "sbom", "uv") else ["--constraint", "requirements/dev.txt"]
        target = f"requirements/{name}.txt"
        run(UV, "pip", "compile", *sources, *shape, *same, "--upgrade", "--output-file", target, env=env)


def write_sboms(env: dict[str, str]) -> None:
    """A CycloneDX list of the Python packages of every image, with their hashes, in dist/sbom."""
    tools, target = ROOT / ".uv" / "sbom", ROOT / "dist" / "sbom"
    pins = ["--require-hashes", "requirements/sbom.txt"]
    run(UV, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", sys.executable, tools, env=env)
    run(UV, "pip", "sync", "--quiet", "--python", tools / "bin" / "python", *pins, env=env)
    target.mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        command = [tools / "bin" / "cyclonedx-py", "requirements", f"requirements/{image}.txt"]
        options = ["--output-reproducible", "--of", "JSON", "-o", target / f"{image}.cdx.json"]
        run(*command, *options, env=env)
        print(f"dist/sbom/{image}.cdx.json", flush=True)


def main() -> int:
    if "--suits" in sys.argv:
        return 0 if suits() else 1
    if not suits():
        print(
            f"make setup: {sys.executable} is Python {sys.version.split()[0]}; needed is 3.11, 3.12 or 3.13 "
            "with sqlite3, ssl and pip or ensurepip (Debian: apt install python3-venv)",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        pip = pip_command(Path(scratch) / "pip")
        fetch_uv(pip)
        env = {**os.environ, "UV_COMPILE_BYTECODE": "1", "UV_LINK_MODE": "copy", **index_settings(pip)}
    env.pop("VIRTUAL_ENV", None)
    if "--lock" in sys.argv:
        lock(env)
        return 0
    if "--sbom" in sys.argv:
        write_sboms(env)
        return 0
    install(env)
    (VENV / ".ready").touch()
    print("make setup: ready, in .venv/bin/gradus")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        print(f"make setup: this failed: {' '.join(error.cmd)}", file=sys.stderr)
        sys.exit(error.returncode or 1)
