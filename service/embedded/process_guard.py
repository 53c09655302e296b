"""Runs one command for as long as somebody holds the other end of a pipe, and not a moment longer.

    python -m service.embedded.process_guard ALIVE_FD PID_FD COMMAND...

A signal on a parent's death reaches children and never grandchildren (`mlflow server` killed with -9 leaves
a server that answers on the port), and none is sent at all on macOS. So every service of the embedded stack
gets a guard: the command runs as the leader of its own session and process group; the guard reads from
ALIVE_FD, of which the supervisor alone holds the writing end, and kills the whole group when the read ends,
which is when the supervisor is gone for whatever reason. The command's process id, which is its group's, is
written to PID_FD, so that the supervisor can do the same should the guard be killed.

SIGTERM and SIGINT are passed on to the command alone: what it does with its own children is its affair.
When the command ends, what is left of its group is killed and the guard exits as the command did.
Standard library only: a guard costs about 10 MB.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from types import FrameType


def kill_group(group: int) -> None:
    """SIGKILL to every process of the group; nothing where the group is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _kill_when_alone(alive: int, group: int) -> None:
    """Block until the pipe's last writer is gone, then kill the group. Nothing is ever written to it."""
    while os.read(alive, 1):
        pass
    kill_group(group)


def guard(alive: int, pid_pipe: int, command: list[str]) -> int:
    """Run `command` until it ends or the pipe closes.

    Returns:
        Its exit status; 128 + n where signal n ended it.
    """
    asked: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if child is not None:
            child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    child = subprocess.Popen(command, start_new_session=True)
    for number in asked:  # what arrived while the command was being started
        child.send_signal(number)
    os.write(pid_pipe, f"{child.pid}\n".encode())
    os.close(pid_pipe)
    threading.Thread(target=_kill_when_alone, args=(alive, child.pid), daemon=True).start()
    status = child.wait()
    kill_group(child.pid)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
