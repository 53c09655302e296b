"""The supervisor and its guards, with real processes: checked by process id and by port."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from service.embedded import supervisor as supervisor_module
from service.embedded.ports import free_port, is_free
from service.embedded.supervisor import Program, StackError, Supervisor

# Listens on a port in a grandchild, as `mlflow server` does; the child itself only waits.
LISTEN_IN_GRANDCHILD = """
import subprocess, sys
code = "import socket,time; s=socket.create_server(('127.0.0.1', int({port!r}))); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", code.format(port=sys.argv[1])]).wait()
"""
RUN_SUPERVISOR = """
import sys, time
from pathlib import Path
from tests_programs import programs
from service.embedded.supervisor import Supervisor
logs = Path(sys.argv[2])
supervisor = Supervisor(programs(int(sys.argv[1])), logs, logs, print)
supervisor.start(within=30, stopping=lambda: False)
print(*supervisor.pids().values(), flush=True)
while True:
    supervisor.watch()
    time.sleep(0.1)
"""


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listener(port: int, *, name: str = "listener", stage: int = 0) -> Program:
    command = [sys.executable, "-c", LISTEN_IN_GRANDCHILD, str(port)]
    return Program(name, command, dict(os.environ), stage, ready=lambda: answers(port), grace=5)


def lives(process: psutil.Process) -> bool:
    """A zombie, which only waits for its parent or for init to look, is dead."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], *, within: float = 15.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(tmp_path: Path, said: list[str]) -> Iterator[Callable[..., Supervisor]]:
    started: list[Supervisor] = []

    def make(*programs: Program) -> Supervisor:
        supervisor = Supervisor(programs, tmp_path, tmp_path, said.append)
        started.append(supervisor)
        return supervisor

    yield make
    for supervisor in started:
        supervisor.stop(now=lambda: True)


def test_kill_9_of_the_supervisor_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    port = free_port()
    module = tmp_path / "tests_programs.py"
    module.write_text(
        "import os, socket, sys\nfrom service.embedded.supervisor import Program\n"
        f"CODE = {LISTEN_IN_GRANDCHILD!r}\n"
        "def programs(port):\n"
        "    def ready():\n"
        "        with socket.socket() as probe:\n"
        "            return probe.connect_ex(('127.0.0.1', port)) == 0\n"
        "    return [Program('a', [sys.executable, '-c', CODE, str(port)], dict(os.environ), 0, ready)]\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", RUN_SUPERVISOR, str(port), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])},
    )
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline().strip(), "the supervisor came up"
    family = psutil.Process(supervisor.pid).children(recursive=True)
    assert len(family) == 3, "guard, child, grandchild"
    assert answers(port)

    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()

    eventually(lambda: not any(lives(process) for process in family))
    assert is_free(port)
    supervisor.stdout.close()


@pytest.mark.parametrize(("steady", "pause"), [(10.0, 1), (0.0, 0)], ids=["early", "late"])
def test_a_program_that_is_killed_starts_again(
    supervise: Callable[..., Supervisor],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    steady: float,
    pause: int,
) -> None:
    monkeypatch.setattr(supervisor_module, "STEADY", steady)
    port = free_port()
    supervisor = supervise(listener(port))
    assert supervisor.start(within=30, stopping=lambda: False)
    first = supervisor.pids()["listener"]
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        supervisor.watch()
        return supervisor.pids().get("listener") not in (None, first) and answers(port)

    eventually(again)
    assert f"listener ended with status 137; it starts again in {pause} s" in said[0]


@pytest.mark.parametrize(
    ("how", "pauses"),
    [("sys.exit(3)", "124"), ("os.kill(os.getpid(), 9)", "111")],
    ids=["fails", "is killed"],
)
def test_only_who_ends_by_itself_waits_longer_each_time(
    supervise: Callable[..., Supervisor], said: list[str], how: str, pauses: str
) -> None:
    command = [sys.executable, "-c", f"import os, sys; {how}"]
    supervisor = supervise(Program("it", command, dict(os.environ), stage=0, ready=lambda: True))

    def ended_three_times() -> bool:
        supervisor.watch()
        return len(said) >= 3

    eventually(ended_three_times)
    assert [message.partition("starts again in ")[2][0] for message in said[:3]] == list(pauses)


def test_a_killed_guard_takes_its_program_along(supervise: Callable[..., Supervisor]) -> None:
    port = free_port()
    supervisor = supervise(listener(port))
    supervisor.start(within=30, stopping=lambda: False)
    child = psutil.Process(supervisor.pids()["listener"])
    guard, grandchildren = child.parent(), child.children()
    assert guard is not None
    guard.kill()

    def again() -> bool:
        supervisor.watch()
        return supervisor.pids().get("listener") not in (None, child.pid) and answers(port)

    eventually(again)
    assert not any(lives(process) for process in (child, *grandchildren))


def test_stop_goes_backwards_through_the_stages(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    note = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.3)\n"
        f"    open({str(note)!r}, 'a').write(sys.argv[1])\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(tmp_path)!r} + '/up-' + sys.argv[1], 'w').close()\n"
        "time.sleep(600)\n"
    )

    def program(name: str, stage: int) -> Program:
        def ready() -> bool:
            return (tmp_path / f"up-{name}").exists()

        return Program(name, [sys.executable, "-c", code, name], dict(os.environ), stage, ready)

    supervisor = Supervisor([program("a", 0), program("b", 1), program("c", 2)], tmp_path, tmp_path, print)
    supervisor.start(within=30, stopping=lambda: False)
    supervisor.stop(now=lambda: False)
    assert note.read_text() == "cba"
    assert supervisor.pids() == {}


def test_what_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    up = tmp_path / "up"
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(up)!r}, 'w').close()\ntime.sleep(600)\n"
    )
    deaf = Program("deaf", [sys.executable, "-c", code], dict(os.environ), 0, ready=up.exists, grace=0.5)
    supervisor = Supervisor([deaf], tmp_path, tmp_path, print)
    supervisor.start(within=30, stopping=lambda: False)
    pid = supervisor.pids()["deaf"]
    before = time.monotonic()
    supervisor.stop(now=lambda: False)
    assert time.monotonic() - before > 0.4
    assert not psutil.pid_exists(pid)


def test_what_cannot_start_is_named_with_the_end_of_its_log(supervise: Callable[..., Supervisor]) -> None:
    code = "import sys; sys.exit('no such luck')"
    broken = Program("broken", [sys.executable, "-c", code], dict(os.environ), 0, ready=lambda: False)
    supervisor = supervise(broken)
    with pytest.raises(StackError, match=r"(?s)broken does not start.*no such luck"):
        supervisor.start(within=30, stopping=lambda: False)


def test_a_command_that_does_not_exist_is_no_hang(supervise: Callable[..., Supervisor]) -> None:
    missing = Program("missing", ["/nowhere/at-all"], dict(os.environ), 0, ready=lambda: False)
    supervisor = supervise(missing)
    with pytest.raises(StackError, match=r"(?s)missing does not start.*/nowhere/at-all"):
        supervisor.start(within=30, stopping=lambda: False)


def test_a_stop_while_starting_is_obeyed(supervise: Callable[..., Supervisor]) -> None:
    never = Program(
        "never", [sys.executable, "-c", "import time; time.sleep(600)"], dict(os.environ), 0, lambda: False
    )
    supervisor = supervise(never)
    asked = iter([False, False, True])
    assert supervisor.start(within=30, stopping=lambda: next(asked)) is False


STOPS_IN_A_WRITE = """
import os, signal, sqlite3, sys, time
database, starts, stop = sys.argv[1:]
with open(starts, "a") as file:
    file.write("x")
first = os.path.getsize(starts) == 1
connection = sqlite3.connect(database, isolation_level=None, timeout=60)
connection.execute("CREATE TABLE IF NOT EXISTS beats (at REAL)")
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO beats VALUES (?)", [time.monotonic()])
    if first and os.path.exists(stop):
        os.kill(os.getpid(), signal.SIGSTOP)
    connection.execute("COMMIT")
    time.sleep(0.05)
"""


def test_a_program_that_stops_in_a_write_is_killed_and_the_database_is_free_again(
    supervise: Callable[..., Supervisor],
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As maintenance under SIGSTOP: its write lock would stop every other process for good."""
    monkeypatch.setattr(supervisor_module, "LOOK_SECONDS", 0.1)
    database, starts, stop = tmp_path / "database", tmp_path / "starts", tmp_path / "stop"

    def beats() -> int:
        try:
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
                return int(reader.execute("SELECT count(*) FROM beats").fetchone()[0])
        except sqlite3.OperationalError:
            return 0

    latest, since = [0], [0.0]

    def answers() -> bool:
        """Whether it has written within the last second."""
        if (now := beats()) != latest[0]:
            latest[0], since[0] = now, time.monotonic()
        return time.monotonic() - since[0] < 1.0

    command = [sys.executable, "-c", STOPS_IN_A_WRITE, str(database), str(starts), str(stop)]
    program = Program("writer", command, dict(os.environ), 0, answers, silent_seconds=1.5)
    supervisor = supervise(program)
    assert supervisor.start(within=30, stopping=lambda: False)
    stop.touch()

    def writes_again() -> bool:
        supervisor.watch()
        return starts.read_text() == "xx" and answers()

    eventually(writes_again, within=60)
    assert any("writer has not answered for" in message for message in said)
    with closing(sqlite3.connect(database, timeout=10)) as other, other:
        other.execute("CREATE TABLE somebody_elses (x)")


def test_a_program_that_answers_is_left_alone_and_so_is_one_that_still_starts(
    supervise: Callable[..., Supervisor], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "LOOK_SECONDS", 0.01)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    asked: list[str] = []

    def answers(name: str, answer: bool) -> bool:
        asked.append(name)
        return answer

    never = Program(
        "starting", command, dict(os.environ), 0, lambda: answers("starting", False), silent_seconds=0.01
    )
    always = Program(
        "answering", command, dict(os.environ), 0, lambda: answers("answering", True), silent_seconds=0.01
    )
    supervisor = supervise(never, always)

    def asked_often() -> bool:
        supervisor.watch()
        return min(asked.count("starting"), asked.count("answering")) >= 5

    eventually(asked_often)
    assert said == []


WRITES = "import sys, time\nwhile True:\n    print('x' * 1000, flush=True)\n    time.sleep(0.01)"


def test_the_log_of_a_process_that_never_ends_is_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "LARGE_LOG", 10_000)
    monkeypatch.setattr(supervisor_module, "ROTATE_SECONDS", 0.0)
    program = Program("chatty", [sys.executable, "-c", WRITES], dict(os.environ), 0, ready=lambda: True)
    supervisor = Supervisor([program], tmp_path, tmp_path, lambda text: None)
    supervisor.start(within=30, stopping=lambda: False)
    log, earlier = tmp_path / "chatty.log", tmp_path / "chatty.log.1"
    deadline = time.monotonic() + 30
    try:
        while not (earlier.exists() and log.stat().st_size > 2000) and time.monotonic() < deadline:
            supervisor.watch()
            time.sleep(0.05)
    finally:
        supervisor.stop(now=lambda: True)
    assert earlier.stat().st_size > 10_000
    assert 2000 < log.stat().st_size < 20_000, "it goes on in the same file"
    assert b"\0" not in log.read_bytes(), "no hole where the file was emptied"
