"""Keeps a set of processes running on this machine: starts, watches, restarts, stops them.

Every process runs under a guard (see `service.embedded.process_guard`), so that none outlives this one, however this one
ends. A process that ends after ten seconds or more is started again at once. One that ends sooner is started after a
pause of a second, which doubles up to thirty where the process ended by itself and was not killed. A process that runs
and no longer answers (stopped, or stuck) is killed and started again, so that it holds no lock of the others. Stopping
goes backwards through the stages, SIGTERM first, SIGKILL after a grace period.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import GradusError
from service.embedded.process_guard import kill_group

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 1.0, 30.0, 10.0  # seconds
LARGE_LOG = 20 * 1024 * 1024  # bytes; a larger log is set aside
ROTATE_SECONDS = 60.0  # between two looks at the sizes of the logs
TICK = 0.1  # seconds
LOOK_SECONDS = 1.0  # between two looks whether a running process answers
FIRST_ANSWER_SECONDS = 240.0  # that a process which was started again may take until it answers
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
        silent_seconds: how long it may answer nothing before it is killed and started again; None: for ever.
        grace: seconds from SIGTERM to SIGKILL.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    stage: int
    ready: Callable[[], bool]
    silent_seconds: float | None = None
    grace: float = 10.0


class GuardedProcess:
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
        _rotate(log)
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
        self.since = self.looked_at = time.monotonic()
        self.answered = False
        self.silence = 0.0  # seconds without an answer, as far as this process was awake to ask

    def ended(self) -> int | None:
        """The exit status; None while it runs. Where the guard itself was killed, kills the group that it guarded."""
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


class _Supervised:
    """A program and its present process."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.running: GuardedProcess | None = None
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
        self._all = [_Supervised(program) for program in programs]
        self._logs, self._directory, self._say = logs, directory, say
        self._alive_read, self._alive_write = os.pipe()
        self._rotate_at = time.monotonic() + ROTATE_SECONDS

    def start(self, *, within: float, stopping: Callable[[], bool]) -> bool:
        """Start everything, stage by stage.

        Args:
            within: seconds until all must be ready.
            stopping: whether to give up.

        Returns:
            False where `stopping` became true meanwhile.

        Raises:
            StackError: a program ended three times or was not ready in time; its log's end is in the message.
        """
        deadline = time.monotonic() + within
        for stage in sorted({supervised.program.stage for supervised in self._all}):
            waiting = [supervised for supervised in self._all if supervised.program.stage == stage]
            while not all(supervised.is_ready for supervised in waiting):
                if stopping():
                    return False
                self.watch(up_to=stage)
                for supervised in waiting:
                    supervised.is_ready = supervised.running is not None and supervised.program.ready()
                late = next((supervised for supervised in waiting if not supervised.is_ready), None)
                broken = next((supervised for supervised in self._all if supervised.early_ends >= 3), None)
                if broken or (late and time.monotonic() > deadline):
                    raise self._failure(broken or late)
                time.sleep(TICK)
        return True

    def watch(self, *, up_to: int | None = None) -> None:
        """Look at every process once: note those that ended, start those that are due.

        Args:
            up_to: the last stage to look at; None: all.
        """
        now = time.monotonic()
        for supervised in self._all:
            if up_to is not None and supervised.program.stage > up_to:
                continue
            if supervised.running is not None and (status := supervised.running.ended()) is not None:
                self._note_end(supervised, status, now)
            if supervised.running is not None:
                self._kill_if_silent(supervised.program, supervised.running)
                if now >= self._rotate_at:
                    _rotate(self._log(supervised))
            if supervised.running is None and now >= supervised.start_at:
                log = self._log(supervised)
                supervised.running = GuardedProcess(
                    supervised.program, self._alive_read, log, self._directory
                )
        if now >= self._rotate_at:
            self._rotate_at = now + ROTATE_SECONDS

    def stop(self, *, now: Callable[[], bool]) -> None:
        """End everything, the highest stage first.

        Args:
            now: whether to kill instead of waiting for the grace period.
        """
        for stage in sorted({supervised.program.stage for supervised in self._all}, reverse=True):
            group = [
                supervised
                for supervised in self._all
                if supervised.program.stage == stage and supervised.running
            ]
            since = time.monotonic()
            for supervised in group:
                if supervised.running:
                    supervised.running.ask_to_end()
            while alive := [
                supervised
                for supervised in group
                if supervised.running and supervised.running.ended() is None
            ]:
                for supervised in alive:
                    if supervised.running and (now() or time.monotonic() - since > supervised.program.grace):
                        supervised.running.kill()
                time.sleep(TICK / 2)
            for supervised in group:
                supervised.running = None
        os.close(self._alive_write)
        os.close(self._alive_read)

    def pids(self) -> dict[str, int]:
        """Name of each running program -> id of its process (the guard's child)."""
        return {
            supervised.program.name: supervised.running.group
            for supervised in self._all
            if supervised.running and supervised.running.group is not None
        }

    def _kill_if_silent(self, program: Program, running: GuardedProcess) -> None:
        """Kill a process that no longer answers. It has then ended, and is started again like every other."""
        now = time.monotonic()
        if program.silent_seconds is None or now - running.looked_at < LOOK_SECONDS:
            return
        # A machine that slept makes nobody silent: only time in which somebody looked counts.
        elapsed, running.looked_at = min(now - running.looked_at, 2 * LOOK_SECONDS), now
        try:
            answers = program.ready()
        except GradusError:  # the database does not say
            return
        running.answered |= answers
        running.silence = 0.0 if answers else running.silence + elapsed
        limit = program.silent_seconds if running.answered else FIRST_ANSWER_SECONDS
        if running.silence > limit:
            self._say(
                f"{program.name} has not answered for {running.silence:.0f} s, though it runs: it is killed"
            )
            running.silence = 0.0
            running.kill()

    def _note_end(self, supervised: _Supervised, status: int, now: float) -> None:
        assert supervised.running is not None
        if now - supervised.running.since > STEADY:
            pause, supervised.pause = 0.0, FIRST_PAUSE
        else:
            pause = supervised.pause
            if 0 <= status <= SIGNALLED:
                supervised.pause = min(2 * supervised.pause, LONGEST_PAUSE)
            supervised.early_ends += not supervised.is_ready
        self._say(
            f"{supervised.program.name} ended with status {status}; it starts again in {pause:.0f} s"
            f" (log: {self._log(supervised)})"
        )
        supervised.running, supervised.start_at = None, now + pause

    def _log(self, supervised: _Supervised) -> Path:
        return self._logs / f"{supervised.program.name}.log"

    def _failure(self, supervised: _Supervised | None) -> StackError:
        assert supervised is not None
        log = self._log(supervised)
        end = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        lines = "\n".join(f"    {line}" for line in end)
        return StackError(f"{supervised.program.name} does not start. The end of its log, {log}:\n{lines}")


def _rotate(log: Path) -> None:
    """Copy a large log over an earlier one and empty it, so that logs do not fill the disk over the years.

    The process that writes it may go on: it appends, so its next line is the first of the empty file. A line that it
    writes between the copy and the emptying is lost.
    """
    if log.exists() and log.stat().st_size > LARGE_LOG:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)
