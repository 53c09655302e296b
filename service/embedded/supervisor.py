"""Keeps a set of processes running on this machine: starts, watches, restarts, stops them.

Every process runs under a guard (see `service.embedded.process_guard`): none outlives this one, however this one ends. A
process that ends after ten seconds or more is started again at once; one that ends sooner after a pause of a second,
which doubles up to thirty where it ended by itself: who was killed is not to blame. Stopping goes backwards through the stages, SIGTERM first, SIGKILL after a
grace period.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import GradusError
from service.embedded.process_guard import kill_group

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 1.0, 30.0, 10.0  # seconds
LARGE_LOG = 20 * 1024 * 1024  # bytes; a larger log is set aside when its process starts
TICK = 0.1
SIGNALLED = 128  # above it an exit status says which signal ended the process


class StackError(GradusError):
    """The embedded stack cannot run; the message names the remedy."""


@dataclass(frozen=True)
class Program:
    """One process of the stack.

    Attributes:
        name: its name, which is its log's.
        command: what to execute.
        env: its whole environment.
        stage: programs of a lower stage start before and stop after those of a higher one.
        ready: whether it answers; called often, and must return within about a second.
        grace: seconds from SIGTERM to SIGKILL.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    stage: int
    ready: Callable[[], bool]
    grace: float = 10.0


class Guarded:
    """One start of a program: its guard, and the process group that the guard watches over."""

    def __init__(self, program: Program, alive: int, log: Path, directory: Path) -> None:
        pid_read, pid_write = os.pipe()
        guard = [
            sys.executable,
            "-m",
            "service.embedded.process_guard",
            str(alive),
            str(pid_write),
            *program.command,
        ]
        _set_aside(log)
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                guard,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(program.env),
                cwd=directory,
                pass_fds=(alive, pid_write),
                start_new_session=True,
            )
        os.close(pid_write)
        with os.fdopen(pid_read, "rb") as pipe:
            line = pipe.readline()  # empty where the command could not be executed
        self.group = int(line) if line else None
        self.since = time.monotonic()

    def ended(self) -> int | None:
        """The exit status, None while it runs. A guard that was killed takes its group along, if late."""
        status = self.process.poll()
        if status is not None and status < 0 and self.group is not None:
            kill_group(self.group)
        return status

    def ask_to_end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()

    def kill(self) -> None:
        if self.group is not None and self.process.poll() is None:
            kill_group(self.group)


class _Kept:
    """A program and its present start."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.running: Guarded | None = None
        self.is_ready = False
        self.pause = FIRST_PAUSE
        self.start_at = 0.0
        self.early_ends = 0


class Supervisor:
    """Runs programs until told to stop. Single-threaded: `start`, `watch` again and again, then `stop`.

    Args:
        programs: what to run.
        logs: folder of the log files, one per program, appended to.
        directory: working directory of the programs; best an empty folder.
        say: where messages for the person at the terminal go.
    """

    def __init__(
        self, programs: Sequence[Program], logs: Path, directory: Path, say: Callable[[str], None]
    ) -> None:
        self._kept = [_Kept(program) for program in programs]
        self._logs, self._directory, self._say = logs, directory, say
        self._alive_read, self._alive_write = os.pipe()

    def start(self, *, within: float, stopping: Callable[[], bool]) -> bool:
        """Start everything, stage by stage; False where `stopping` became true meanwhile.

        Raises:
            StackError: a program ended three times or was not ready in time; its log's end is in the message.
        """
        deadline = time.monotonic() + within
        for stage in sorted({kept.program.stage for kept in self._kept}):
            waiting = [kept for kept in self._kept if kept.program.stage == stage]
            while not all(kept.is_ready for kept in waiting):
                if stopping():
                    return False
                self.watch(up_to=stage)
                for kept in waiting:
                    kept.is_ready = kept.running is not None and kept.program.ready()
                late = next((kept for kept in waiting if not kept.is_ready), None)
                broken = next((kept for kept in self._kept if kept.early_ends >= 3), None)
                if broken or (late and time.monotonic() > deadline):
                    raise self._failure(broken or late)
                time.sleep(TICK)
        return True

    def watch(self, *, up_to: int | None = None) -> None:
        """Look at every process once: note those that ended, start those that are due."""
        now = time.monotonic()
        for kept in self._kept:
            if up_to is not None and kept.program.stage > up_to:
                continue
            if kept.running is not None and (status := kept.running.ended()) is not None:
                self._note_end(kept, status, now)
            if kept.running is None and now >= kept.start_at:
                log = self._log(kept)
                kept.running = Guarded(kept.program, self._alive_read, log, self._directory)

    def stop(self, *, now: Callable[[], bool]) -> None:
        """End everything, the highest stage first. `now` tells whether to kill instead of waiting."""
        for stage in sorted({kept.program.stage for kept in self._kept}, reverse=True):
            group = [kept for kept in self._kept if kept.program.stage == stage and kept.running]
            since = time.monotonic()
            for kept in group:
                if kept.running:
                    kept.running.ask_to_end()
            while alive := [kept for kept in group if kept.running and kept.running.ended() is None]:
                for kept in alive:
                    if kept.running and (now() or time.monotonic() - since > kept.program.grace):
                        kept.running.kill()
                time.sleep(TICK / 2)
            for kept in group:
                kept.running = None
        os.close(self._alive_write)
        os.close(self._alive_read)

    def pids(self) -> dict[str, int]:
        """Name of each running program -> its process id (the guard's child)."""
        return {
            kept.program.name: kept.running.group
            for kept in self._kept
            if kept.running and kept.running.group is not None
        }

    def _note_end(self, kept: _Kept, status: int, now: float) -> None:
        assert kept.running is not None
        if now - kept.running.since > STEADY:
            pause, kept.pause = 0.0, FIRST_PAUSE
        else:
            pause = kept.pause
            if 0 <= status <= SIGNALLED:
                kept.pause = min(2 * kept.pause, LONGEST_PAUSE)
            kept.early_ends += not kept.is_ready
        self._say(
            f"{kept.program.name} ended with status {status}; it starts again in {pause:.0f} s"
            f" (log: {self._log(kept)})"
        )
        kept.running, kept.start_at = None, now + pause

    def _log(self, kept: _Kept) -> Path:
        return self._logs / f"{kept.program.name}.log"

    def _failure(self, kept: _Kept | None) -> StackError:
        assert kept is not None
        log = self._log(kept)
        end = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        lines = "\n".join(f"    {line}" for line in end)
        return StackError(f"{kept.program.name} does not start. The end of its log, {log}:\n{lines}")


def _set_aside(log: Path) -> None:
    """Keep one earlier log of a size, so that a machine's disk is not filled by years of them."""
    if log.exists() and log.stat().st_size > LARGE_LOG:
        log.replace(log.with_suffix(".log.1"))
