"""MLflow's server: `python -m service.embedded.mlflow_server [FILE ARTIFACTS] [mlflow server's options]`.

With FILE it keeps its records in that SQLite file, else where MLflow's own settings say, as in the image `mlflow`, into which this
module is copied alone: at its top it imports the standard library and nothing else.

MLflow makes and upgrades its tables one statement at a time, and SQLite does not undo that as a whole: *measured*, a
server killed while it starts for the first time leaves a file on which no server starts again. So the tables are made or
upgraded in a copy, which replaces the file once it is complete. Then this process becomes the server.

MLflow's command starts uvicorn as a second process and waits for it. *Measured*: that takes 2.8 s of processor time and 240 MB
more than uvicorn alone. So uvicorn runs in this process.

At localhost MLflow's page opens an assistant beside the table of runs the first time that a browser sees it, unless the browser
remembers that it did. So the page tells the browser that.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROXIED = "mlflow-artifacts:/"
MAKE = (
    "import sys; from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Store;"
    " Store(sys.argv[1], sys.argv[2])"
)

APPLICATION = "mlflow.server.fastapi_app:app"
"""What MLflow lets uvicorn serve."""
ASSISTANT_SEEN = '<script>try { localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true") } catch {}</script>'


def prepare(database: Path) -> None:
    """Make the database, or upgrade it to the installed version of MLflow, as a whole or not at all.

    Raises:
        subprocess.CalledProcessError: MLflow failed; its message is on standard error.
    """
    version, note = importlib.metadata.version("mlflow"), database.with_suffix(".version")
    if database.exists() and note.exists() and note.read_text() == version:
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    scratch = database.with_suffix(".new")
    for left in database.parent.glob(f"{scratch.name}*"):  # with its journals
        left.unlink()
    url = f"sqlite:///{scratch}"
    if database.exists():
        with (
            contextlib.closing(sqlite3.connect(database)) as original,
            contextlib.closing(sqlite3.connect(scratch)) as copy,
        ):
            original.backup(copy)
        subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", url], check=True)
    else:
        subprocess.run([sys.executable, "-c", MAKE, url, PROXIED], check=True)
    for suffix in ("-wal", "-shm", "-journal"):  # they belong to the old file
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    scratch.replace(database)
    note.write_text(version)


def serve(options: Sequence[str]) -> None:
    """`mlflow server OPTIONS`, until it is told to end."""
    import mlflow.server
    import uvicorn
    from mlflow.cli import cli

    def run_here(command: Sequence[str], *, extra_env: Mapping[str, str], **_: object) -> None:
        os.environ.update(extra_env)
        options = list(command[command.index("uvicorn") + 1 :])
        if options[-1:] == [APPLICATION]:
            options[-1:] = ["--factory", f"service.embedded.mlflow_server:{application.__name__}"]
        uvicorn.main(options)

    mlflow.server._exec_cmd = run_here  # where a later MLflow has no such name, two processes run as before
    cli(["server", *options])


def application() -> Any:
    """MLflow's application, whose page does not open the assistant by itself."""
    import mlflow.server
    from mlflow.server.fastapi_app import app

    views, page = mlflow.server.app.view_functions, Path(mlflow.server.app.static_folder or "") / "index.html"
    if page.exists():
        views["serve"] = lambda: page.read_text().replace("<head>", f"<head>{ASSISTANT_SEEN}", 1)
    return app


def main(arguments: Sequence[str]) -> None:
    if not arguments or arguments[0].startswith("--"):
        serve(arguments)
        return
    database, artifacts = Path(arguments[0]).absolute(), arguments[1]
    prepare(database)
    options = ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", artifacts]
    serve([*options, "--serve-artifacts", *arguments[2:]])


if __name__ == "__main__":
    main(sys.argv[1:])
