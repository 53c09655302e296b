"""The real embedded stack under faults: started once, broken by each test, and looked over after each."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis
from mlflow.tracking import MlflowClient

from service.queue import Sender
from service.settings import load_settings
from service.store import Store, queries
from tests.faults.history import of_events, violations
from tests.present import present

HOME = Path(__file__).resolve().parents[1] / "data" / "home-0.1.0.tar.xz"
LEASE = 3.0
OVER = ("FINISHED", "FAILED", "KILLED")
SETTINGS = {
    "GRADUS_LEASE_SECONDS": str(LEASE),
    "GRADUS_REAP_SECONDS": "1",
    "GRADUS_CHECKPOINT_SECONDS": "1",
    "GRADUS_POLL_SECONDS": "0.5",
    "GRADUS_REDISPATCH_SECONDS": "2",
    "GRADUS_DRAIN_SECONDS": "8",
    "GRADUS_WARM": "true",
    "XLA_FLAGS": "",  # `make test` has others, with which long trainings are slow
}


def quick(runs: int = 6, **changes: Any) -> Any:
    """Runs of a tenth of a second each."""
    spec = {
        "name": "quick",
        "dataset": {"name": "linear"},
        "model": {"layers": [{"type": "dense", "units": 1}]},
        "optimizer": {"name": "sgd", "learning_rate": 0.05},
        "training": {"epochs": 5, "batch_size": 8},
        "gradient_check": "off",
        "diagnostics": "off",
        "artifacts": {"plots": "none", "model": "none"},
        "sweep": {"seeds": runs},
    }
    return {**spec, **changes}


def lasting(runs: int = 1, epochs: int = 12, **changes: Any) -> Any:
    """Runs that share one program and last long enough to be broken: a twelfth of a second an epoch for one lane
    on one thread of an idle machine, more on a busy one."""
    layers = [{"type": "dense", "units": 64, "activation": "tanh"} for _ in range(2)]
    network = {"layers": [*layers, {"type": "dense", "units": 1}]}
    data = {"name": "polynomial", "samples": 200_000}
    spec = quick(runs, name="lasting", dataset=data, model=network)
    return {**spec, "training": {"epochs": epochs, "batch_size": 16}, **changes}


class Stack:
    """`gradus up` on a home of its own, and hands to break it with."""

    lease = LEASE
    quick = staticmethod(quick)
    lasting = staticmethod(lasting)

    def __init__(self, home: Path, workers: int = 2, *, spool_size: Any = None, **settings: Any) -> None:
        """spool_size: where given, the spool lies on a file system of that size."""
        self.spool_size = spool_size
        self.home = Path(home)
        self.workers = workers
        self.environment = {**os.environ, **SETTINGS, **settings}
        self.accepted: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        command = [sys.executable, "-m", "service.embedded.stack", "--workers", str(self.workers)]
        command += ["--port", "0", "--mlflow-port", "0", "--home", str(self.home)]
        (self.home / "spool").mkdir(parents=True, exist_ok=True)
        if self.spool_size:
            mount = f'mount -t tmpfs -o size={self.spool_size} tmpfs "$0" && exec "$@"'
            command = ["unshare", "-rm", "sh", "-c", mount, str(self.home / "spool"), *command]
        with (self.home / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True, cwd=self.home
            )
        deadline = time.monotonic() + 280
        while not (self.home / "stack.json").exists():
            if present(self.process).poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.home / "up.log").read_text()[-4000:])
            time.sleep(0.1)
        state = json.loads((self.home / "stack.json").read_text())
        self.url, self.mlflow_url = state["url"], state["mlflow_url"]
        self.store = Store(f"sqlite:///{self.home / 'gradus.db'}")
        self.mlflow = MlflowClient(self.mlflow_url)
        self.wait(lambda: len([w for w in queries.workers(self.store) if w.kind == "train"]) == self.workers)

    def down(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    # -- asking ------------------------------------------------------------------------------------

    def post(self, spec: Any, key: Any = None, timeout: float = 20) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        answer = httpx.post(f"{self.url}/v1/experiments", json=spec, headers=headers, timeout=timeout)
        assert answer.status_code == 201, answer.text
        self.accepted.append(answer.json()["id"])
        return answer.json()["id"]

    def cancel(self, kind: str, id: Any) -> None:
        answer = httpx.post(f"{self.url}/v1/{kind}/{id}/cancel", timeout=20)
        assert answer.status_code == 202, answer.text

    def runs(self, experiment: Any) -> Any:
        return queries.all_runs(self.store, experiment)

    def statuses(self, experiment: Any) -> Any:
        return [run.status.value for run in self.runs(experiment)]

    def wait(self, condition: Any, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            time.sleep(0.1)

    def wait_over(self, experiment: Any, seconds: float = 180) -> Any:
        self.wait(lambda: all(status in OVER for status in self.statuses(experiment)), seconds)
        return self.runs(experiment)

    def wait_running(self, experiment: Any, seconds: float = 120) -> Any:
        """Some run of the experiment is being trained, its first epoch done."""

        def begun() -> Any:
            held = [run for run in self.runs(experiment) if run.status == "RUNNING"]
            return [run for run in held if "train/loss" in run.metrics and run.committed_at is None]

        self.wait(begun, seconds)
        return begun()[0]

    # -- breaking ----------------------------------------------------------------------------------

    def process_of(self, name: str) -> Any:
        """The process of a program, wherever the supervisor started it last."""
        marks = {
            "api": "service.api",
            "maintenance": "workers.maintenance",
            "broker": "valkey",
            "mlflow": "mlflow",
        }
        stack = present(self.process).pid
        processes = psutil.Process(stack).children(recursive=True)
        parents = {}
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                parents[process.pid] = process.ppid()
        guards = {pid for pid, parent in parents.items() if parent == stack}
        for process in processes:
            if parents.get(process.pid) not in guards:  # each program is the one child of its guard
                continue
            with contextlib.suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())
                if (name in marks and marks[name] in line) or f"--hostname {name}@" in line:
                    return process
        return None

    def child_of(self, worker: Any) -> Any:
        """The child that trains, of a worker; None while it is being replaced."""
        parent = self.process_of(worker)
        try:
            children = parent.children() if parent else []
            spawned = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        except psutil.NoSuchProcess:
            return None
        return spawned[0] if spawned else None

    def kill(self, name: str) -> Any:
        """SIGKILL to a program and all its children; False where it is down already."""
        process = self.process_of(name)
        if process is None:
            return False
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        return True

    def pause(self, name: str) -> Any:
        """SIGSTOP to a program with all its children; gives what lets it go on, None where it is down."""
        process = self.process_of(name)
        if process is None:
            return None
        group = [process, *process.children(recursive=True)]
        for member in group:
            member.suspend()

        def go_on() -> None:
            for member in group:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.resume()

        return go_on

    def broker_url(self) -> Any:
        lines = (self.home / "broker" / "valkey.conf").read_text().splitlines()
        words = dict(line.split(None, 1) for line in lines)
        return f"redis://:{words['requirepass']}@127.0.0.1:{words['port']}/0"

    def broker(self) -> Any:
        """A client of the broker."""
        return redis.Redis.from_url(self.broker_url(), socket_timeout=5, socket_connect_timeout=5)

    def sender(self) -> Any:
        return Sender(load_settings(home=self.home, broker_url=self.broker_url()))

    # -- looking over ------------------------------------------------------------------------------

    def check(self, experiment: Any) -> Any:
        """The four invariants: accepted = over, at most one result, fences rise, MLflow says the same; and
        every point is in MLflow exactly once."""
        runs = self.wait_over(experiment)
        self.wait(lambda: all(run.mlflow_status == run.status for run in self.runs(experiment)))
        there = queries.get_experiment(self.store, experiment).mlflow_experiment_id
        tracked = self.mlflow.search_runs([there], max_results=5000)
        by_id = {run.data.tags["gradus.run_id"]: run for run in tracked}
        assert len(tracked) == len(by_id) == len(runs)
        assert {id: run.info.status for id, run in by_id.items()} == {run.id: run.status for run in runs}
        happened = queries.events_after(self.store, experiment_id=experiment, limit=1_000_000)
        assert violations(of_events(happened), {run.id: run.status.value for run in runs}) == []
        for run in runs:
            edges = [e.data for e in queries.events_after(self.store, run_id=run.id) if e.kind == "status"]
            ends = [edge for edge in edges if edge["status"] in OVER]
            retries = [edge for edge in edges if edge["edge"] == "retried"]
            assert len(ends) == 1 + len(retries), edges
            attempts = [edge["attempt"] for edge in edges if "attempt" in edge]
            assert attempts == sorted(attempts), edges
        self.check_points(by_id, runs)
        return runs

    def check_points(self, by_id: Any, runs: Any) -> None:
        with sqlite3.connect(self.home / "mlflow" / "mlflow.db") as db:
            for run in runs:
                mine = queries.metric_history(self.store, run.id, limit=1_000_000)[0]
                rows = db.execute(
                    "select key, step, count(*) from metrics where run_uuid = ? group by key, step",
                    [by_id[run.id].info.run_id],
                ).fetchall()
                assert {(m.key, m.step): 1 for m in mine} == {(key, step): n for key, step, n in rows}


@pytest.fixture(scope="package")
def running_stack(tmp_path_factory: pytest.TempPathFactory, compiled_once: dict[str, Any]) -> Iterator[Stack]:
    """A stack on a home that 0.1.0 left behind; before the first fault all that was in there is over, and every child has
    TensorFlow."""
    folder = tmp_path_factory.mktemp("stack")
    with tarfile.open(HOME) as archive:
        archive.extractall(folder, filter="data")
    stack = Stack(folder / "home-0.1.0", **compiled_once)
    stack.up()
    for experiment in queries.list_experiments(stack.store)[0]:
        stack.wait_over(experiment.id)
        stack.wait(lambda id=experiment.id: queries.get_experiment(stack.store, id).is_settled)
    yield stack
    stack.down()


@pytest.fixture
def make_stack(tmp_path: Path, prepare_mlflow: Callable[[Path], None]) -> Iterator[Any]:
    """Stacks of one's own: `make_stack(workers, **settings)`."""
    made: list[Stack] = []

    def make(workers: Any, **settings: Any) -> Any:
        made.append(Stack(tmp_path / f"stack-{len(made)}", workers, **settings))
        prepare_mlflow(made[-1].home / "mlflow")
        made[-1].up()
        return made[-1]

    yield make
    for stack in made:
        stack.down()


@pytest.fixture
def stack(running_stack: Any) -> Any:
    """The stack, whole again after the test before."""
    running_stack.wait(lambda: all(running_stack.child_of(f"worker-{n}") for n in (1, 2)))
    running_stack.wait(
        lambda: alive(running_stack.url + "/livez") and alive(running_stack.mlflow_url + "/health")
    )
    return running_stack


def alive(url: str) -> Any:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
