"""The Python client: how long `import gradus` takes, and 1,000 runs as a DataFrame.

    python -m bench.client

The runs are in a SQLite database behind a real API on this machine; frames are timed from the first request to the
last cell, the best of five.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import structlog
import uvicorn

from experiments.spec import ExperimentSpec
from gradus import Client
from service import operations
from service.api.app import create_app
from service.embedded.ports import free_port, http_answers
from service.entities import Measured, MetricPoint
from service.settings import Settings
from service.store import Store, queries
from service.store.migrate import upgrade

SPEC = {
    "name": "a thousand runs",
    "dataset": {"name": "digits"},
    "model": {"hidden": [8]},
    "optimizer": {"name": "sgd"},
    "sweep": {"activation": ["relu", "tanh"], "learning_rate": [0.01, 0.1], "seeds": 250},
}
METRICS = [f"{part}/{name}" for part in ("train", "val", "test") for name in ("loss", "accuracy")]
IMPORTS = {
    "import gradus": "import gradus",
    "and the client": "import gradus; gradus.Client('http://127.0.0.1:8642', 'key')",
}


def cpu_seconds(code: str) -> float:
    """Processor time that a fresh interpreter takes for the code, the least of five."""
    taken = []
    for _ in range(5):
        before = os.times()
        subprocess.run([sys.executable, "-c", code], check=True)
        after = os.times()
        taken.append(
            after.children_user - before.children_user + after.children_system - before.children_system
        )
    return min(taken)


def frames(folder: Path) -> tuple[int, list[float]]:
    """Rows of the frame, and the seconds of five of them."""
    settings = Settings(home=folder, _env_file=None)
    upgrade(settings.sql_url)
    store, port = Store(settings.sql_url), free_port()
    spec = ExperimentSpec.parse(SPEC)
    experiment = operations.submit(store, spec, spec.expand())
    runs = [run.id for run in queries.all_runs(store, experiment.id)]
    for run in operations.claim(store, runs, worker="w", spool="s", lease_seconds=600):
        points = [MetricPoint(key, step, 0.5) for key in METRICS for step in (1, 2)]
        operations.record(store, {run.id: Measured(run.attempt, points)})
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    config = uvicorn.Config(create_app(settings, Store(settings.sql_url)), port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not http_answers(f"http://127.0.0.1:{port}/livez"):
        time.sleep(0.05)
    seconds, rows = [], 0
    with Client(f"http://127.0.0.1:{port}") as client:
        for _ in range(5):
            began = time.perf_counter()
            rows = len(client.experiment(experiment.id).runs().frame())
            seconds.append(time.perf_counter() - began)
    server.should_exit = True
    thread.join()
    return rows, seconds


def main() -> int:
    for what, code in IMPORTS.items():
        print(f"{what:<16}{1000 * (cpu_seconds(code) - cpu_seconds('pass')):6.0f} ms of CPU")
    with tempfile.TemporaryDirectory() as folder:
        rows, seconds = frames(Path(folder))
    print(
        f"{rows} runs as a DataFrame: {min(seconds):.2f} s (five times: {', '.join(f'{s:.2f}' for s in seconds)})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
