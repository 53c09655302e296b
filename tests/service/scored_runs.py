"""A store filled through the real operations, with results that a formula gives instead of a training."""

from __future__ import annotations

import contextlib
import hashlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from experiments.spec import ExperimentSpec
from service import operations
from service.analysis import design
from service.api.app import create_app
from service.entities import Committed, Measured, MetricPoint
from service.lifecycle import RunStatus
from service.settings import load_settings
from service.store import Store, queries
from tests.databases import make_tables

QUESTION = """
name: activations
description: Three activations, each at its own best learning rate.
dataset: {name: digits}
model: {hidden: [32]}
optimizer: {name: sgd}
training: {epochs: 3}
sweep: {activation: [sigmoid, tanh, relu]}
compare:
  factor: activation
  delta: 0.01
  tune: {learning_rate: {log: [1.0e-3, 1.0], points: 4}, seeds: 2}
  looks: [5, 10]
"""


def noise(*parts: object) -> float:
    """A fixed number in (−1, 1) for these words."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**31 - 1


def accuracy(run: Any) -> float:
    """Best at a rate of 0.1; relu ahead of tanh by 0.002 and of sigmoid by 0.06."""
    level = {"sigmoid": 0.88, "tanh": 0.938, "relu": 0.94}[run.params["activation"]]
    rate = float(run.params["learning_rate"])
    return (
        level - 0.03 * abs(math.log10(rate) + 1) + 0.004 * noise(run.params["activation"], run.params["seed"])
    )


class World:
    """A service without workers: `work` gives every waiting run a result at once."""

    QUESTION = QUESTION
    accuracy = staticmethod(accuracy)
    noise = staticmethod(noise)

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'gradus.db'}"
        make_tables(url)
        self.store = Store(url)

    def submit(self, text: str, **more: object) -> Any:
        spec = ExperimentSpec.parse(text)
        points, stage, plan = design.initial_points(spec)
        return operations.submit(self.store, spec, points, stage=stage, design=plan)

    def work(
        self,
        experiment_id: str,
        score: Any = accuracy,
        status: Any = lambda run: "FINISHED",
        tags: Any = lambda run: {},
        most: int | None = None,
    ) -> int:
        """Finish what waits, the first `most` of it. score(run) None: it diverged. tags(run): beside or in place of the
        usual ones."""
        waiting = [r for r in queries.all_runs(self.store, experiment_id) if r.status == RunStatus.SCHEDULED]
        ids = [run.id for run in waiting[:most]]
        for run in operations.claim(self.store, ids, worker="w", spool="s", lease_seconds=60):
            value, epochs = score(run), run.spec["training"]["epochs"]
            points = []
            for step in range(1, epochs + 1):
                known = None if value is None else value - 0.05 * (epochs - step)
                loss = None if known is None else 2 * (1 - known)
                for part in ("train", "val", "test"):
                    points.append(MetricPoint(f"{part}/loss", step, loss))
                    if run.run_spec().measures_accuracy:
                        points.append(MetricPoint(f"{part}/accuracy", step, known))
            for layer, share in enumerate((0.02, 0.1, 0.4)):
                points.append(MetricPoint(f"layers/{layer}-dense/grad_norm", epochs, share))
            own = {"gradus.certificate": "certified", "gradus.keras": "3.15.0", **tags(run)}
            operations.record(self.store, {run.id: Measured(run.attempt, points, own)})
            reason = "diverged" if value is None else "epochs"
            ended = status(run)
            operations.commit(self.store, {run.id: Committed(run.attempt, ended, reason, {})})
            operations.finish(self.store, {run.id: None})
        return len(ids)

    def ask(self, text: str, score: Any = accuracy, turns: int = 20) -> Any:
        """Submit a question and let it go on until nothing more is queued."""
        experiment = self.submit(text)
        for _ in range(turns):
            self.work(experiment.id, score)
            if not design.advance(self.store):
                break
        return queries.get_experiment(self.store, experiment.id)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    made = World(tmp_path)
    yield made
    made.store.close()


@contextlib.contextmanager
def serving(store: Store, **settings: Any) -> Iterator[Any]:
    """The real application on a free port of this machine; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(load_settings(url=url, **settings), store)
        # Without a log configuration: setting one closes the handlers there are, and absl's closes the stream it writes to.
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture
def serve(world: World) -> Iterator[Any]:
    """A function that starts the application over the world's store with these settings; its address."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serving(world.store, **settings))
