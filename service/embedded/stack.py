"""The embedded stack, `gradus up`: broker, database, MLflow, API, maintenance and workers on this machine.

    python -m service.embedded.stack [--workers N | --backend tensorflow=N,jax=N] [--port P] [--mlflow-port P] [--home DIR] [--host ADDRESS]

Everything listens on 127.0.0.1 only, but for the API where `--host` names another address; it then asks everybody for a key. All state lies under the home folder:

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
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from service import operations
from service.embedded.home import HomeInUse, HomeUnusable, lock_home, sqlite_url
from service.embedded.ports import LOOPBACK, PortTaken, free_port, require_free
from service.embedded.programs import api_url, programs
from service.embedded.supervisor import StackError, Supervisor
from service.http.guard import is_loopback
from service.machine import training_workers
from service.prepare import prepare
from service.settings import WORKER_BACKENDS, Settings, load_settings
from service.startup import run_program
from service.store import Store

START_WITHIN = 240.0  # seconds; on its first start MLflow makes its database, slowly on a busy machine
WATCH_EVERY = 0.25  # seconds


class EmbeddedStack:
    """One `gradus up`, from the lock to the end of the last child. Final."""

    def __init__(
        self,
        settings: Settings,
        *,
        backends: Sequence[str],
        api_port: int,
        mlflow_port: int,
        host: str = LOOPBACK,
    ) -> None:
        self.settings, self.backends, self.host = settings, backends, host
        self.api_port, self.mlflow_port = api_port, mlflow_port
        self.signals = 0

    def run(self) -> None:
        """Run until SIGINT or SIGTERM. A second signal kills what still drains.

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
            if not is_loopback(self.host):
                self._first_key()
            supervisor = Supervisor(
                programs(
                    self.settings,
                    backends=self.backends,
                    api_port=self.api_port,
                    mlflow_port=self.mlflow_port,
                    broker_port=broker_port,
                    password=password,
                    host=self.host,
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

    def _first_key(self) -> None:
        """Make a key for whoever starts the stack, where there is none: without one nobody could make any."""
        store = Store(sqlite_url(self.settings.home))
        try:
            if not any(key.revoked_at is None for key in operations.list_keys(store)):
                _, secret = operations.create_key(store, owner="lecturer", scopes=["admin"])
                say(
                    f"there was no key yet; this one, of lecturer with the scope admin, is shown once: {secret}"
                )
        finally:
            store.close()

    def _stopping(self) -> bool:
        return self.signals > 0

    def _announce(self, supervisor: Supervisor) -> None:
        home = self.settings.home
        state = {
            "pid": os.getpid(),
            "url": api_url(self.host, self.api_port),
            "mlflow_url": f"http://{LOOPBACK}:{self.mlflow_port}",
            "pids": supervisor.pids(),
        }
        scratch = home / "stack.json.new"
        scratch.write_text(json.dumps(state, indent=2))
        scratch.replace(home / "stack.json")
        say(f"gradus is up: API {state['url']}   MLflow {state['mlflow_url']}   workers {len(self.backends)}")
        if not is_loopback(self.host) and is_loopback(
            urlsplit(self.settings.public_mlflow_url).hostname or ""
        ):
            say(
                "MLflow asks nobody for a key, so it stays on this machine and pages link to it from here only;"
                " GRADUS_MLFLOW_PUBLIC_URL names an address that others reach through a proxy"
            )
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


def address(text: str) -> str:
    """An address of this machine. Raises ArgumentTypeError, which says what is allowed."""
    try:
        family, *_, place = socket.getaddrinfo(text, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(place)
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"{text} is no address of this machine (allowed: 0.0.0.0 for every one, or one that `ip address` lists)"
        ) from error
    return text


def backend_counts(text: str) -> list[str]:
    """The backend of each worker, from `tensorflow=1,jax=2`. Raises ArgumentTypeError, which says what is allowed."""
    backends: list[str] = []
    for part in text.split(","):
        name, _, count = part.partition("=")
        if name not in WORKER_BACKENDS or not count.isdecimal():
            names = " and ".join(WORKER_BACKENDS)
            raise argparse.ArgumentTypeError(
                f"{part!r} is no number of workers (allowed: NAME=N, with commas between; names are {names})"
            )
        backends += [name] * int(count)
    return backends


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    settings = load_settings()
    parser = argparse.ArgumentParser(prog="gradus up", description="Run the whole service on this machine.")
    parser.add_argument(
        "--workers",
        type=int,
        default=training_workers(),
        help="training workers (default: one per core, as far as memory goes)",
    )
    parser.add_argument(
        "--backend",
        type=backend_counts,
        help="training workers by backend, in place of --workers: tensorflow=1,jax=1",
    )
    parser.add_argument(
        "--port", type=port_number, default=settings.api_port, help="the API's port; 0: any free one"
    )
    parser.add_argument(
        "--mlflow-port", type=port_number, default=5642, help="MLflow's port; 0: any free one"
    )
    parser.add_argument(
        "--host",
        type=address,
        default=LOOPBACK,
        help="address the API binds to; beyond this machine everybody needs a key",
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
    stack = EmbeddedStack(
        settings,
        backends=[settings.backend] * options.workers if options.backend is None else options.backend,
        api_port=options.port,
        mlflow_port=options.mlflow_port,
        host=options.host,
    )
    try:
        stack.run()
    except (HomeInUse, HomeUnusable, PortTaken) as error:
        say(f"gradus up: {error}")
        return 2
    except StackError as error:
        say(f"gradus up: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run_program("gradus up", main))
