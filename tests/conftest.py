"""What tests of several packages share."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from service.embedded import mlflow_server

gc.disable()  # until everything is imported and collected: most of it stays
TOGETHER = ("tests/e2e", "tests/faults", "tests/service/tracking", "tests/browser")
"""Folders whose files run in one process, because they share a whole stack, or MLflow's server."""
APART = (
    "tests/e2e/test_backends.py",
    "tests/faults/test_simulated.py",
    "tests/faults/test_long.py",
    "tests/browser/test_own_pages.py",
)
"""Files of these folders that do not use it."""
FIRST = (
    "tests/e2e", "tests/faults", "tests/experiments/engine/test_equal_to_fit.py",
    "tests/experiments/engine", "tests/experiments/test_examples.py", "tests/workers", "tests/experiments/gradient_check",
    "tests/experiments/test_diagnostics.py", "tests/service/tracking", "tests/test_wheel.py", "tests/service/embedded",
)  # fmt: skip
"""What takes longest, so that it does not begin last, when the other process is idle. A wrong order costs time only."""


class LongestFirst(LoadFileScheduling):  # type: ignore[misc]
    """A file of tests stays within one process, and so do the files of a folder in TOGETHER."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return next(
            (folder for folder in TOGETHER if file.startswith(f"{folder}/") and file not in APART), file
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst:
    config.option.loadscopereorder = False  # by the number of tests, which says nothing about the time
    return LongestFirst(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        prefixes = [path for path in FIRST if item.nodeid.startswith(path)]
        return FIRST.index(max(prefixes, key=len)) if prefixes else len(FIRST)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector need not look through it, not even once (2 s)."""
    gc.freeze()
    gc.set_threshold(20_000, 25, 25)  # graphs are built of many small objects: a twentieth less time
    gc.enable()


@pytest.fixture(autouse=True)
def _absl_closes_no_stream_of_pytests() -> None:
    """absl, which Keras loads, keeps the standard error of its import, here a file that pytest captures into. When a
    server sets up logging, absl's handler is closed, and it closes that file: every later test would be an error.
    """
    absl = sys.modules.get("absl.logging")
    handler = absl.get_absl_handler() if absl is not None else None
    if handler is not None:
        handler.python_handler.stream = sys.__stderr__


@pytest.fixture(scope="module")
def plain_programs() -> Iterator[Any]:
    """The programs that were made of plain graphs, and their evaluations; the tests of a module share them."""
    from experiments.engine import cache

    programs: Any = cache.Cache(cache.PROGRAMS)
    evaluations: Any = cache.Cache(cache.PROGRAMS)
    yield programs, evaluations
    programs.clear()
    evaluations.clear()


@pytest.fixture
def without_xla(plain_programs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train with plain graphs: for tests of what is measured, drawn or said of a training. XLA takes most of the time
    that a new program takes; that it computes the same is tested in tests/experiments/engine."""
    from experiments.engine import backend, cache

    compiled = backend.compiled
    monkeypatch.setattr(backend, "compiled", lambda function, *, fused: compiled(function, fused=False))
    for name, plain in zip(("_programs", "_evaluations"), plain_programs, strict=True):
        monkeypatch.setattr(cache, name, plain)


@pytest.fixture(scope="session")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Variables for a stack: its workers find on disk what a worker before them has compiled, also of another stack."""
    folder = tmp_path_factory.getbasetemp() / "compiled"
    return {"TF_XLA_FLAGS": f"--tf_xla_persistent_cache_directory={folder}"}


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
