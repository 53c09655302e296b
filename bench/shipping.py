"""How many finished runs a second reach MLflow, by its number of server processes and its database.

    python -m bench.shipping --runs 200 --servers 1 2 4
    python -m bench.shipping --runs 200 --servers 1 2 4 --postgres postgresql+psycopg://USER@HOST/EMPTY_DATABASE

Each row is a fresh MLflow server and a fresh service database on SQLite. The runs are committed and their files are in
the spool before the clock starts, as after a tile; then the product's own shipper carries them, until the last has its
final status. A run has the points, parameters, tags and files of one of five epochs with diagnostics. CPU is that of
the server's processes and of the shipper's, in milliseconds a run. Afterwards MLflow is asked: every run is there once,
ended, with all of its points.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import httpx
import psutil
from mlflow.tracking import MlflowClient

from experiments.spec import ExperimentSpec
from service import operations
from service.embedded.ports import free_port
from service.entities import Committed, Measured, MetricPoint
from service.report.experiment_note import describe_experiment
from service.settings import Settings
from service.store import Store, queries
from service.store.migrate import upgrade
from service.tracking.client import Tracking
from service.tracking.shipper import Shipper
from service.tracking.spool import Spool

EPOCHS, SCALARS, LAYERS = 5, 6, 12
FILES = {
    "spec.yaml": 700,
    "diagnosis.json": 2_000,
    "certificate.json": 3_000,
    "weights/model.weights.h5": 60_000,
}
SPEC = {
    "name": "shipping",
    "dataset": {"name": "digits"},
    "model": {"hidden": [32]},
    "optimizer": {"name": "sgd"},
    "training": {"epochs": EPOCHS},
}


def committed(store: Store, spool: Spool, count: int) -> str:
    """An experiment whose runs are committed and wait for the shipper; its id."""
    spec = ExperimentSpec.parse({**SPEC, "sweep": {"seeds": count}})
    experiment = operations.submit(store, spec, spec.expand(), owner="")
    ids = [run.id for run in queries.all_runs(store, experiment.id)]
    runs = operations.claim(store, ids, worker="bench", spool=spool.id, lease_seconds=3600)
    names = [f"scalar/{number}" for number in range(SCALARS)]
    names += [f"layers/{number}-dense/grad_norm" for number in range(LAYERS)]
    points = [MetricPoint(name, step, 0.1 * step) for name in names for step in range(EPOCHS)]
    for run in runs:
        for path, size in FILES.items():
            spool.put(run.id, run.attempt, path, os.urandom(size))
        operations.record(store, {run.id: Measured(run.attempt, points, {"gradus.device": "cpu"})})
        outcome = {"epochs": EPOCHS, "dataset": {"name": "digits", "digest": "bench", "spec": {}}}
        operations.commit(store, {run.id: Committed(run.attempt, "FINISHED", "epochs", outcome)})
    return experiment.id


def serve(folder: Path, processes: int, database: str) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(processes), "--backend-store-uri", database]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / "mlflow.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline:
            try:
                if client.get(f"{url}/health").status_code == 200:
                    return process, url
            except httpx.TransportError:
                pass
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise SystemExit((folder / "mlflow.log").read_text()[-2000:])


def cpu_seconds(process: psutil.Process) -> float:
    """Of a process and those it started."""
    return sum(sum(member.cpu_times()[:2]) for member in (process, *process.children(recursive=True)))


def row(folder: Path, count: int, processes: int, database: str) -> None:
    server, url = serve(folder, processes, database)
    try:
        settings = Settings(home=folder)
        upgrade(f"sqlite:///{folder / 'gradus.db'}")
        store, spool = Store(f"sqlite:///{folder / 'gradus.db'}"), Spool.open(folder / "spool")
        experiment_id = committed(store, spool, count)
        shipper = Shipper(store, spool, Tracking(url), partial(describe_experiment, store, settings))
        whole, own = psutil.Process(server.pid), psutil.Process()
        at_server, here, began = cpu_seconds(whole), sum(own.cpu_times()[:2]), time.perf_counter()
        while queries.to_ship(store, spool.id):
            shipper.turn()
        seconds = time.perf_counter() - began
        server_ms = 1000 * (cpu_seconds(whole) - at_server) / count
        own_ms = 1000 * (sum(own.cpu_times()[:2]) - here) / count
        shipper.close()
        client = MlflowClient(url)
        experiment = queries.get_experiment(store, experiment_id)
        there = client.search_runs([str(experiment.mlflow_experiment_id)], max_results=10 * count)
        runs = {run.data.tags["gradus.run_id"] for run in there if run.info.status == "FINISHED"}
        whole_runs = all(len(run.data.metrics) == SCALARS + LAYERS for run in there)
        right = len(there) == len(runs) == count and whole_runs
        print(
            f"{processes:>9} {count / seconds:>8.1f} {server_ms:>14.0f} {own_ms:>15.0f}"
            f"  {'all there once' if right else 'NOT RIGHT'}",
            flush=True,
        )
        store.close()
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--postgres", help="the address of an empty database; without it: SQLite")
    given = parser.parse_args()
    print("processes   runs/s  server ms/run  shipper ms/run")
    for processes in given.servers:
        with tempfile.TemporaryDirectory() as folder:
            database = given.postgres or f"sqlite:///{folder}/mlflow.db"
            row(Path(folder), given.runs, processes, database)


if __name__ == "__main__":
    main()
