"""People's own files as matrices of numbers: in MLflow's artifact store, and on each host that needs them.

As a program, `python -m service.tracking.datasets FILE OUT TITLE`, it reads a file that was sent and stores its matrix:
in a process of its own, so that the API's memory stays as it is and a file that is made to harm harms nothing else.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.errors import DataError, SpecError
from service.tracking.records import TrackingRefused, TrackingUnavailable

FOLDER = "gradus-datasets"
"""Of MLflow's artifact store."""
PATIENCE = 120.0
"""Seconds that a worker waits for MLflow before the run fails."""
MEMORY = 6 * 1024**3
"""Bytes that reading a file may take."""
TIMEOUT = 300


def name_of(sha256: str) -> str:
    return f"{sha256}.npy"


@functools.cache
def matrices(folder: Path, mlflow_url: str) -> Callable[[str], Path]:
    """How a worker on this host comes to a matrix: by its SHA-256, from this folder, else from MLflow, checked."""

    @functools.cache
    def fetch(sha256: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name_of(sha256)
        with (folder / f"{sha256}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # once per host, however many workers there are
            if not path.is_file() or digest_of(path) != sha256:
                _download(folder, mlflow_url, sha256)
        return path

    return fetch


def _download(folder: Path, mlflow_url: str, sha256: str) -> None:
    """Fetch a matrix from MLflow. Raises DataError where it cannot be had or is another."""
    from service.tracking.client import Tracking

    tracking, deadline = Tracking(mlflow_url), time.monotonic() + PATIENCE
    arriving = folder / f"arriving-{sha256}"
    arriving.mkdir(exist_ok=True)
    while True:
        try:
            local = tracking.get_file(FOLDER, name_of(sha256), arriving)
            break
        except TrackingRefused as error:
            raise DataError(f"the file's numbers are gone: {error}; upload the file again") from error
        except TrackingUnavailable as error:
            if time.monotonic() > deadline:
                raise DataError(f"the file's numbers cannot be fetched: {error}; retry the run") from error
            time.sleep(2)
    if (digest := digest_of(local)) != sha256:
        local.unlink()
        raise DataError(
            f"MLflow's artifact store holds another file under {sha256[:12]} (its SHA-256 begins {digest[:12]}); upload the"
            " file again"
        )
    os.replace(local, folder / name_of(sha256))
    arriving.rmdir()


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(mlflow_url: str, folder: Path, sha256: str) -> None:
    """Remove a matrix here and from MLflow. Raises TrackingUnavailable."""
    from service.tracking.client import Tracking

    (folder / name_of(sha256)).unlink(missing_ok=True)
    Tracking(mlflow_url).remove_file(FOLDER, name_of(sha256))


def take_in(path: Path, folder: Path, title: str, mlflow_url: str) -> dict[str, Any]:
    """Read a file that was sent, and store its matrix here and in MLflow.

    Returns:
        `table`, `profiles`, `preview`, `warnings` as plain data.

    Raises:
        SpecError: the file cannot be used.
        TrackingUnavailable, TrackingRefused: MLflow did not take the matrix.
    """
    from experiments.datasets.reading import read_file

    out = path.with_suffix(".npy")
    try:
        reading = read_file(path, out, title)
        stored = folder / name_of(reading.table.sha256)
        os.replace(out, stored)
    finally:
        out.unlink(missing_ok=True)
    from service.tracking.client import Tracking

    Tracking(mlflow_url, timeout_s=TIMEOUT).put_file(stored, FOLDER)
    return {
        "table": reading.table.model_dump(mode="json", exclude_defaults=True),
        "profiles": {name: asdict(profile) for name, profile in reading.profiles.items()},
        "preview": reading.preview,
        "warnings": reading.warnings,
    }


def main() -> None:
    """Prints one JSON object: what was found, or `problems`, or `away`."""
    path, folder, title, mlflow_url = sys.argv[1:]
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    answer: dict[str, Any]
    try:
        answer = take_in(Path(path), Path(folder), title, mlflow_url)
    except SpecError as error:
        answer = {
            "problems": [[problem.path, problem.message, problem.allowed] for problem in error.problems]
        }
    except MemoryError:
        answer = {"problems": [["file", "takes more memory to read than a file may", "a smaller file"]]}
    except (TrackingUnavailable, TrackingRefused) as error:
        answer = {"away": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
