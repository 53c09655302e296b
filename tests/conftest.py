"""What tests of several packages share."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.embedded import mlflow_server


@pytest.fixture(autouse=True)
def _absl_closes_no_stream_of_pytests() -> None:
    """absl, which Keras loads, keeps the standard error of its import, here a file that pytest captures into. When a
    server sets up logging, absl's handler is closed, and it closes that file: every later test would be an error.
    """
    absl = sys.modules.get("absl.logging")
    handler = absl.get_absl_handler() if absl is not None else None
    if handler is not None:
        handler.python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def prepare_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Put a new MLflow database with all its tables into a folder. They are made once in a run of the tests, which takes
    seconds; every further folder gets a copy."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the processes of one run share the folder above
        root = root.parent
    made = root / "mlflow-tables" / "mlflow.db"

    def prepare(folder: Path) -> None:
        made.parent.mkdir(exist_ok=True)
        with (root / "mlflow-tables.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            mlflow_server.prepare(made)
        folder.mkdir(parents=True, exist_ok=True)
        for file in (made, made.with_suffix(".version")):
            shutil.copy(file, folder)

    return prepare
