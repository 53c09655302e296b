"""`gradus backup FOLDER`: a copy of an embedded stack's state, taken while it runs or while it is down.

The copy is a home folder: `gradus up --home FOLDER` continues from it. Its parts are copied in the order in which they
refer to each other: the database names spool files and MLflow runs, and an artifact leaves the spool only once MLflow has
it. So the copy has everything that its database names, and its MLflow may be a moment ahead.

Exit status: 0 done, 2 wrong use (nothing to copy, or the target exists).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from experiments.errors import GradusError
from service import operations
from service.settings import load_settings
from service.startup import run_program
from service.store import Store


class BackupRefused(GradusError):
    """There is nothing to copy, or the target exists."""


def backup(home: Path, target: Path) -> None:
    """Copy the state of `home` to the new folder `target`. The folder appears whole or not at all.

    Raises:
        BackupRefused: there is nothing to copy, or the target exists or lies in the home.
        OSError, sqlite3.Error: the copy failed, and nothing is left of it.
    """
    if not (home / "gradus.db").exists():
        raise BackupRefused(f"{home} has no gradus.db: name the folder with --home, or in GRADUS_HOME")
    if target.exists() or target.resolve().is_relative_to(home.resolve()):
        raise BackupRefused(f"{target} is there already, or lies in the home itself: name a new folder")
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    scratch.mkdir(mode=0o700, parents=True)
    try:
        # Before and after: a checkpoint is removed as soon as the next one is noted.
        _files(home / "spool", scratch / "spool")
        _database(home / "gradus.db", scratch / "gradus.db")
        _files(home / "spool", scratch / "spool")
        (scratch / "mlflow").mkdir()
        if (home / "mlflow" / "mlflow.db").exists():
            _database(home / "mlflow" / "mlflow.db", scratch / "mlflow" / "mlflow.db")
        _files(home / "mlflow" / "artifacts", scratch / "mlflow" / "artifacts")
        with closing(Store(f"sqlite:///{scratch / 'gradus.db'}")) as store:
            operations.unconfirm_shipping(store)
        os.sync()
        scratch.rename(target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _database(source: Path, copy: Path) -> None:
    """SQLite's online backup in one step: the state of one moment, while other processes go on reading and writing."""
    with closing(sqlite3.connect(source, timeout=60)) as original, closing(sqlite3.connect(copy)) as target:
        original.backup(target)


def _files(source: Path, copy: Path) -> None:
    """Copy all files below a folder, less those that are removed meanwhile, locks and half-written files."""
    copy.mkdir(exist_ok=True)
    for folder, _, names in os.walk(source):
        target = copy / Path(folder).relative_to(source)
        target.mkdir(exist_ok=True)
        for name in names:
            if name != "lock" and not name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy2(Path(folder, name), target / name)


def main(arguments: Sequence[str] | None = None) -> int:
    settings = load_settings()
    parser = argparse.ArgumentParser(prog="gradus backup", description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder, for the copy")
    parser.add_argument("--home", type=Path, default=settings.home, help="folder of all state")
    options = parser.parse_args(arguments)
    try:
        backup(options.home.expanduser().absolute(), options.folder.expanduser().absolute())
    except sqlite3.Error as error:
        raise BackupRefused(f"the database cannot be copied: {error}") from error
    print(
        f"{options.folder} holds all of {options.home}; `gradus up --home {options.folder}` continues from it"
    )
    return 0


if __name__ == "__main__":
    sys.exit(run_program("gradus backup", main))
