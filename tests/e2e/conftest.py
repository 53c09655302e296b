"""The stack under test: the embedded one, started here, or a compose stack that `make compose-test` has started.

The tests speak to it over HTTP only. What they do to its processes goes through `Stack`, which has one form for
each kind of stack.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import httpx
import psutil
import pytest

from service.embedded.ports import free_port
from tests.collector import Collector, collecting

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = (
    "gradus-e2e-elsewhere"  # the compose project of the workers that are not in the stack's own network
)
OVER = ("FINISHED", "FAILED", "KILLED")
QUICK_SETTINGS = {
    "GRADUS_LEASE_SECONDS": "6",
    "GRADUS_REAP_SECONDS": "1",
    "GRADUS_CHECKPOINT_SECONDS": "2",
}
MADE_UP_GPU = "GPU-11112222-3333-4444-5555-666677778888"
"""What the made-up driver of the embedded stack lists. TensorFlow sees no GPU and computes on the CPU; everything before it,
from discovery to routing, is what it would be."""
DRIVER = f"#!/bin/sh\necho '0, {MADE_UP_GPU}, Made-up GPU, 8192'\n"
Json = dict[str, Any]


class Stack(Protocol):
    """What can be done to a stack from outside."""

    url: str
    mlflow_url: str
    key: str | None

    def kill_worker(self, worker: Json) -> None:
        """SIGKILL to everything of a worker that `/v1/workers` lists."""

    def stop(self, part: str) -> None:
        """Make `mlflow` answer nobody."""

    def start(self, part: str) -> None:
        """Undo `stop`."""

    def restart(self, part: str) -> None:
        """Restart `broker` or `database`, without notice."""


class Embedded:
    """`gradus up` on a home of its own."""

    key: str | None = None

    def __init__(self, home: Path, workers: Sequence[str] = ("--workers", "2"), **environment: str) -> None:
        self.environment = {**os.environ, **QUICK_SETTINGS, **environment}
        self.workers = workers
        self.port, self.mlflow_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.mlflow_url = f"http://127.0.0.1:{self.mlflow_port}"
        self.begin(home)

    def begin(self, home: Path) -> None:
        """`gradus up --home HOME`, at the same addresses every time."""
        self.home = home
        command = [sys.executable, "-m", "service.embedded.stack", "--home", str(home), *self.workers]
        command += ["--port", str(self.port), "--mlflow-port", str(self.mlflow_port)]
        with (home / "up.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, cwd=home)
        wait_until(lambda: (home / "stack.json").exists() or self.process.poll() is not None, within=240)
        assert self.process.poll() is None, (home / "up.log").read_text()

    def kill_worker(self, worker: Json) -> None:
        os.killpg(os.getpgid(worker["pid"]), signal.SIGKILL)

    def stop(self, part: str) -> None:
        self._signal(part, signal.SIGSTOP)

    def start(self, part: str) -> None:
        self._signal(part, signal.SIGCONT)

    def restart(self, part: str) -> None:
        self._signal(part, signal.SIGKILL)  # the supervisor starts it again

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=90)

    def kill(self) -> None:
        """`kill -9`, and wait until the last of its processes is gone."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        _, left = psutil.wait_procs(family, timeout=30)
        assert not left

    def _signal(self, part: str, number: int) -> None:
        mark = {"mlflow": "mlflow", "broker": "valkey-server"}[part]
        for guard in psutil.Process(self.process.pid).children():
            for child in guard.children():
                if any(mark in word for word in child.cmdline()[:3]):
                    os.killpg(os.getpgid(child.pid), number)
                    return
        raise AssertionError(f"no {part} is running")


class Compose:
    """Containers, through the command that started them (its words, as JSON, are in GRADUS_E2E_COMPOSE)."""

    SERVICES: ClassVar = {"broker": "redis", "database": "postgres", "mlflow": "mlflow"}

    def __init__(self) -> None:
        self.url, self.mlflow_url = os.environ["GRADUS_E2E_URL"], os.environ["GRADUS_E2E_MLFLOW_URL"]
        self.key: str | None = os.environ["GRADUS_E2E_KEY"]
        self._compose: list[str] = json.loads(os.environ["GRADUS_E2E_COMPOSE"])

    def kill_worker(self, worker: Json) -> None:
        # Everything but the container's init, which then ends, and the restart policy applies. (A `docker kill`
        # counts as a person's wish, after which the container stays down.)
        subprocess.run(["docker", "exec", worker["host"], "sh", "-c", "kill -9 -1"], check=False)

    def stop(self, part: str) -> None:
        self._do("stop", "--timeout", "2", self.SERVICES[part])

    def start(self, part: str) -> None:
        self._do("start", self.SERVICES[part])

    def restart(self, part: str) -> None:
        self._do("kill", "-s", "SIGKILL", self.SERVICES[part])
        self._do("start", self.SERVICES[part])

    def scale(self, workers: int) -> None:
        self._do("up", "-d", "--no-build", "--no-recreate", "--scale", f"worker={workers}", "worker")

    def hosts(self) -> list[str]:
        """The containers of the stack."""
        shown = subprocess.run([*self._compose, "ps", "-q"], capture_output=True, text=True, check=True)
        return shown.stdout.split()

    def shell(self, lines: Sequence[str], cwd: Path) -> None:
        """Run commands as the docs show them. Where they say `docker compose`, this stack is meant; with
        `-f deploy/worker.yml`, a project of its own, as it would be on another host.
        """
        ours = shlex.join(self._compose)
        for line in lines:
            words = re.sub(
                r"^docker compose( -f docker-compose\.yml -f deploy/reachable\.yml)?(?! -f)", ours, line
            )
            words = re.sub(r"^docker compose -f deploy/worker\.yml", self._elsewhere(), words)
            done = subprocess.run(
                ["bash", "-ec", words], cwd=cwd, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout[-1000:]}{done.stderr[-2000:]}"

    def _elsewhere(self) -> str:
        plain = self._compose[: self._compose.index("-p")]
        return shlex.join([*plain, "-p", ELSEWHERE, "-f", str(ROOT / "deploy" / "worker.yml")])

    def _do(self, *words: str) -> None:
        done = subprocess.run([*self._compose, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]


class Service:
    """The API of a stack, as a client sees it."""

    def __init__(self, stack: Stack) -> None:
        headers = {"Authorization": f"Bearer {stack.key}"} if stack.key else {}
        self.http = httpx.Client(base_url=stack.url, headers=headers, timeout=30, trust_env=False)
        self.mlflow = httpx.Client(base_url=stack.mlflow_url, timeout=30, trust_env=False)

    def ready(self) -> None:
        """Wait until all its parts answer."""
        wait_until(lambda: self.http.get("/readyz").json()["status"] == "ok", within=180)

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.http.get(path, params=parameters)
        if answer.status_code == 503:  # the database is away for a moment: the same as no answer
            raise httpx.TransportError(answer.text)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, spec: Json) -> str:
        answer = self.http.post("/v1/experiments", json=spec)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def ask(self, path: str) -> None:
        answer = self.http.post(path)
        assert answer.status_code == 202, answer.text

    def runs(self, experiment: str) -> list[Json]:
        return list(self.get(f"/v1/experiments/{experiment}/runs", limit=200)["items"])

    def statuses(self, experiment: str) -> list[str]:
        return [run["status"] for run in self.runs(experiment)]

    def workers(self) -> list[Json]:
        return [w for w in self.get("/v1/workers")["items"] if w["alive"] and w["kind"] == "train"]

    def wait_over(self, experiment: str, *, within: float = 150) -> list[Json]:
        wait_until(lambda: all(status in OVER for status in self.statuses(experiment)), within=within)
        return self.runs(experiment)

    def helpers(self, experiment: str, *, within: float = 300) -> set[str]:
        """Names of the workers that were seen at its runs until all were FINISHED."""
        seen: set[str] = set()

        def over() -> bool:
            runs = self.runs(experiment)
            seen.update(run["worker"] for run in runs if run["worker"])
            return {run["status"] for run in runs} == {"FINISHED"}

        wait_until(over, within=within)
        return seen

    def wait_training(self, experiment: str, *, within: float = 120) -> Json:
        """A run that is being trained and has an epoch behind it."""
        training: list[Json] = []

        def begun() -> bool:
            training[:] = [
                run
                for run in self.runs(experiment)
                if run["status"] == "RUNNING" and "train/loss" in run["metrics"] and run["substatus"] is None
            ]
            return bool(training)

        wait_until(begun, within=within)
        return training[0]

    def in_mlflow(self, run: Json) -> Json:
        """MLflow's own view of a run."""
        answer = self.mlflow.get("/api/2.0/mlflow/runs/get", params={"run_id": run["mlflow"]["run_id"]})
        assert answer.status_code == 200, answer.text
        record: Json = answer.json()["run"]
        return record


def wait_until(condition: Callable[[], bool], *, within: float) -> None:
    """Wait until it is so. An answer that does not come counts as no."""
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(httpx.TransportError):
            if condition():
                return
        assert time.monotonic() < deadline, f"did not come true within {within:.0f} s"
        time.sleep(0.2)


def small_spec(*, runs: int = 4, **changes: Any) -> Json:
    """A second of work: a straight line."""
    spec: Json = {
        "name": "small",
        "dataset": {"name": "linear"},
        "model": {"layers": [{"type": "dense", "units": 1}]},
        "optimizer": {"name": "sgd", "learning_rate": 0.05},
        "training": {"epochs": 3, "batch_size": 8},
        "artifacts": {"plots": "none", "model": "none"},
        "sweep": {"seeds": runs},
    }
    return {**spec, **changes}


def lasting_spec(*, runs: int = 2, epochs: int = 20, **changes: Any) -> Json:
    """A quarter of a second an epoch. Workers of containers compile for speed of training, and those of the embedded stack
    here for speed of compiling."""
    samples = 300_000 if "GRADUS_E2E_COMPOSE" in os.environ else 60_000
    layers = [{"type": "dense", "units": 16, "activation": "tanh"}, {"type": "dense", "units": 1}]
    return {
        **small_spec(runs=runs, name="lasting"),
        "dataset": {"name": "polynomial", "samples": samples},
        "model": {"layers": layers},
        "training": {"epochs": epochs, "batch_size": 16},
        **changes,
    }


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """What the embedded stack sends its traces to."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="package")
def stack(
    tmp_path_factory: pytest.TempPathFactory,
    prepare_mlflow: Callable[[Path], None],
    compiled_once: dict[str, Any],
    collector: Collector,
) -> Iterator[Stack]:
    if "GRADUS_E2E_COMPOSE" in os.environ:
        yield Compose()
        return
    home = tmp_path_factory.mktemp("home")
    prepare_mlflow(home / "mlflow")
    driver = tmp_path_factory.mktemp("driver") / "nvidia-smi"
    driver.write_text(DRIVER)
    driver.chmod(0o755)
    path = f"{driver.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "CUDA_VISIBLE_DEVICES": "0", **compiled_once}
    embedded = Embedded(home, GRADUS_OTLP_ENDPOINT=collector.url, **environment)
    try:
        yield cast(Stack, embedded)  # its addresses are there once it is up
    finally:
        embedded.end()


@pytest.fixture(scope="package")
def service(stack: Stack) -> Service:
    made = Service(stack)
    made.ready()
    return made


@pytest.fixture
def start_embedded(
    tmp_path: Path, prepare_mlflow: Callable[[Path], None], compiled_once: dict[str, Any]
) -> Iterator[Callable[..., Embedded]]:
    """To start a stack of one's own, with variables of its own."""
    if "GRADUS_E2E_COMPOSE" in os.environ:
        pytest.skip("speaks to no compose stack; `make test` runs it")
    started: list[Embedded] = []

    def start(*workers: str, **environment: str) -> Embedded:
        home = tmp_path / f"home-{len(started)}"
        prepare_mlflow(home / "mlflow")
        environment = {**compiled_once, **environment}
        started.append(Embedded(home, workers or ("--workers", "2"), **environment))
        return started[-1]

    yield start
    for stack in started:
        stack.end()


@pytest.fixture
def service_of() -> Callable[[Stack], Service]:
    """The API of a stack, once it is ready."""

    def service_of(stack: Stack) -> Service:
        service = Service(stack)
        service.ready()
        return service

    return service_of


@pytest.fixture
def embedded(stack: Stack) -> Embedded:
    """The stack, where it is an embedded one."""
    if not isinstance(stack, Embedded):
        pytest.skip("speaks to no compose stack; `make test` runs it")
    return stack


@pytest.fixture(autouse=True)
def _whole(request: pytest.FixtureRequest) -> None:
    """Every test begins with a stack that is whole again."""
    if "service" in request.fixturenames:
        request.getfixturevalue("service").ready()


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """A whole stack takes its time on a busy machine."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.timeout(420))


@pytest.fixture
def small() -> Callable[..., Json]:
    return small_spec


@pytest.fixture
def lasting() -> Callable[..., Json]:
    return lasting_spec


@pytest.fixture
def eventually() -> Callable[..., None]:
    return wait_until
