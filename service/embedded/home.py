"""The home folder of an embedded stack: its lock, its database's address."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import IO

from service.embedded.supervisor import StackError


class HomeInUse(StackError):
    """Another stack runs on the same home."""


class HomeUnusable(StackError):
    """The home is no folder that this process can make and write to."""


def lock_home(home: Path) -> IO[str]:
    """Take the home's lock; it is given back when this process ends, however it ends.

    Raises:
        HomeInUse: another process holds it.
        HomeUnusable: the home cannot be made, or not be written to.
    """
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (home / "lock").open("a+")
    except OSError as error:
        reason = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise HomeUnusable(
            f"{home} cannot hold the state: {reason}. Choose a folder that you can write to: gradus up --home DIR"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise HomeInUse(
            f"gradus is already up on {home} (process {holder}{_address_of(home)}). Use that one, end it with"
            f" `kill {holder}`, or choose another folder: gradus up --home DIR"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _address_of(home: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return f", {json.loads((home / 'stack.json').read_text())['url']}"
    return ""


def sqlite_url(home: Path) -> str:
    return f"sqlite:///{home / 'gradus.db'}"
