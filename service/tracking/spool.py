"""Files on their way to MLflow: a folder on a host, with a name of its own.

    spool/
      id                              this spool's name, made once
      lock                            held by the one shipper of this spool
      <run id>/checkpoint-<attempt>-<epoch>
      <run id>/files-<attempt>/…      the run's artifacts, at their paths

A run's row names the spool that holds its files, so whoever runs on that host next finds them. A file is
written beside its place, synced and renamed: it is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from experiments.errors import GradusError


class UnsafePath(GradusError):
    """An artifact path that is absolute or leaves its run's folder. `path` is what was given."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is no path inside a run's artifacts")
        self.path = path


@dataclass(frozen=True)
class Spool:
    """The spool in `folder`; `id` is its name in the database."""

    folder: Path
    id: str

    @classmethod
    def open(cls, folder: Path) -> Spool:
        """The spool of a folder; a new folder gets a name, one even where several processes come first."""
        folder.mkdir(parents=True, exist_ok=True)
        name = folder / "id"
        if not name.exists():
            mine = folder / f".id-{secrets.token_hex(8)}"
            _write(mine, secrets.token_hex(16).encode())
            with contextlib.suppress(FileExistsError):
                os.link(mine, name)  # fails where another process was first
            mine.unlink()
        return cls(folder, name.read_text().strip())

    def files(self, run_id: str, attempt: int) -> Path:
        """The folder of an attempt's artifacts."""
        return self.folder / _plain(run_id) / f"files-{attempt}"

    def put(self, run_id: str, attempt: int, path: str, content: bytes) -> None:
        """Store one artifact of an attempt.

        Raises:
            UnsafePath: the path would leave the run's folder.
            OSError: the disk is full, for one.
        """
        parts = PurePosixPath(path).parts
        if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
            raise UnsafePath(path)
        _write(self.files(run_id, attempt).joinpath(*parts), content)

    def artifacts(self, run_id: str, attempt: int) -> list[tuple[Path, str]]:
        """The artifacts of an attempt: local file, path inside the run's artifacts."""
        root = self.files(run_id, attempt)
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
        return [(path, path.relative_to(root).as_posix()) for path in files]

    def put_checkpoint(self, run_id: str, attempt: int, epoch: int, state: bytes) -> str:
        """Store a checkpoint; its name inside the run's folder."""
        name = f"checkpoint-{attempt}-{epoch}"
        _write(self.folder / _plain(run_id) / name, state)
        return name

    def checkpoint(self, run_id: str, name: str) -> bytes | None:
        """A stored checkpoint, or None where it is gone."""
        try:
            return (self.folder / _plain(run_id) / _plain(name)).read_bytes()
        except FileNotFoundError:
            return None

    def forget_checkpoints(self, run_id: str, before: str) -> None:
        """Remove the checkpoints that are older than this one. A newer one may be there already, not yet noted."""
        for path in (self.folder / _plain(run_id)).glob("checkpoint-*"):
            if _age(path.name) < _age(before):
                path.unlink(missing_ok=True)

    def forget(self, run_id: str, attempt: int | None = None, *, checkpoints: bool = True) -> None:
        """Remove what is kept of a run up to an attempt (None: of all): files and, if so asked, checkpoints.

        What a newer attempt has written meanwhile stays: a run that failed may have been retried.
        """
        folder = self.folder / _plain(run_id)
        for path in folder.glob("*-*"):
            if attempt is not None and _age(path.name)[0] > attempt:
                continue
            if path.name.startswith("files-"):
                shutil.rmtree(path, ignore_errors=True)
            elif checkpoints:
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone
            folder.rmdir()

    def run_ids(self) -> list[str]:
        """The runs that something is kept of."""
        return [path.name for path in self.folder.iterdir() if path.is_dir()]

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether this process is the spool's shipper for as long as the context lasts."""
        handle: IO[str] = (self.folder / "lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            yield False
            return
        try:
            yield True
        finally:
            handle.close()


def _age(name: str) -> tuple[int, ...]:
    """(attempt, epoch) of `checkpoint-3-7`, (attempt,) of `files-3`: the larger, the newer."""
    return tuple(int(part) for part in name.split("-")[1:])


def _plain(name: str) -> str:
    """A name that is one path component."""
    if not name or name != PurePosixPath(name).name or name.startswith("."):
        raise UnsafePath(name)
    return name


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with beside.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
