"""How many runs a second one device trains as one JAX program, beside keras.fit and bare JAX on the same device.

    KERAS_BACKEND=jax python -m bench.gpu DATA_DIR                       # the whole table, on a GPU
    KERAS_BACKEND=jax python -m bench.gpu DATA_DIR --device cpu --quick  # every step with tiny sizes

It needs Keras, JAX, pydantic, ruamel.yaml, mpmath and h5py, and mnist.npz in DATA_DIR; the worker's row also what a
worker has (requirements/worker-jax-gpu.txt), and says so where that is missing. First a lane must equal keras.fit on this
device; where it does not, no figure is printed. That check uses plain gradient descent: Adam's first updates divide each
gradient by its own size, so that a rounding error of a gradient near 0 decides the direction of a whole step.

Lanes share one data order, as a sweep over learning rates does. `warm s` is the whole way of a tile whose program is
compiled: weights to the device, training, test data, weights back; `runs/s` and `x fit` count it. `update us` is the time of
one update of all lanes, in training alone; `MB/lane` the growth of the device's peak memory. MLPs at 1,024 lanes are timed in the
ladder's three layouts (groups x lanes that share a batch). The CNN is timed twice: with XLA's convolutions, which under a map
over lanes become grouped ones, and with products of patches (im2col); its rows of width 1 are the price of one network
after another.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np

from experiments.datasets import Source
from experiments.engine import backend, models
from experiments.engine.layouts import Layout
from experiments.engine.program import Program
from experiments.engine.states import State
from experiments.keras_ext import convolution
from experiments.randomness import data_order
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec

EQUAL = 5e-4
"""Largest difference of a float32 weight from keras.fit's after the check's 20 updates."""
TASKS: dict[str, dict[str, Any]] = {
    "mlp": {"dataset": {"name": "mnist", "validation_split": 0.0}, "model": {"hidden": [32], "activation": "relu"},
            "optimizer": {"name": "adam"}, "training": {"epochs": 2, "batch_size": 32}},
    "cnn": {"dataset": {"name": "mnist", "validation_split": 0.0, "train_samples": 6400},
            "model": {"pattern": "INPUT-[CONV*1-POOL]*2-FC*2-OUTPUT", "conv": {"filters": [32, 64], "kernel_size": 5},
                      "pool": {"pool_size": 2}, "fc": {"units": [1024]}, "activation": "relu"},
            "optimizer": {"name": "adam"}, "training": {"epochs": 1, "batch_size": 64}},
    "regression": {"dataset": {"name": "linear", "samples": 250, "validation_split": 0.0}, "model": {"hidden": []},
                   "optimizer": {"name": "sgd"}, "training": {"epochs": 50, "batch_size": 32}},
}  # fmt: skip
SIZES: dict[str, tuple[Layout, ...]] = {
    "mlp": (*(Layout(1, width) for width in (1, 32, 256, 1024, 4096)), Layout(32, 32), Layout(1024, 1)),
    "cnn": (Layout(1, 1), Layout(1, 8), Layout(1, 32)),
    "regression": (Layout(1, 1), Layout(1, 1024), Layout(1, 10_000)),
}
QUICK = {
    "mlp": (Layout(1, 1), Layout(2, 2)),
    "cnn": (Layout(1, 1), Layout(1, 2)),
    "regression": (Layout(1, 1), Layout(1, 16)),
}
WORKER_WIDTHS = (4, 32, 256, 1024)
CHECK_UPDATES = 20
SOURCE: list[Source] = []
"""Where the data lie: set once, from the command line."""


def spec_of(
    task: str, samples: int | None = None, epochs: int | None = None, **fields: dict[str, Any]
) -> RunSpec:
    """The task's run, with fewer samples or epochs, or other fields of the spec, where these are given."""
    document = {"name": task, "diagnostics": "off", "gradient_check": "off", "backend": "jax"}
    document |= {**TASKS[task], **fields}
    if samples and task != "regression":
        document["dataset"] = {**document["dataset"], "train_samples": samples}
    if epochs:
        document["training"] = {**document["training"], "epochs": epochs}
    return ExperimentSpec.parse(document).expand()[0].spec


class Lanes:
    """Copies of a run as one program on the device."""

    def __init__(self, spec: RunSpec, layout: Layout, device: str) -> None:
        self.spec, self.layout, self.width = spec, layout, layout.width
        self.seconds = 0.0
        """Of the last training alone."""
        self.program = Program(spec, layout, device)
        data = models.arrays(spec, spec.dataset.load(SOURCE[0], spec.model.data_format))
        with backend.on(device):
            self.data = {name: (backend.tensor(x), backend.tensor(y)) for name, (x, y) in data.items()}
        self.samples = len(data["train"][0])
        self.lane = self.program.initial([spec])[0]
        self.active = self.program.axis.per_lane(dict.fromkeys(range(self.width), 1), "bool")
        self.numbers = self.program.settings(dict.fromkeys(range(self.width), spec))

    def train(self) -> list[np.ndarray]:
        """All epochs and the test data, and all weights to the host; those of the first lane."""
        state = jax.block_until_ready(self.program.stack(dict.fromkeys(range(self.width), self.lane)).parts())
        state, began = State(*state), time.perf_counter()
        for epoch in range(self.spec.training.epochs):
            order = data_order(self.spec.seed, epoch, self.samples)
            for batches in self.program.batches(np.repeat(order[None], self.layout.groups, axis=0)):
                state = self.program.train(
                    state, self.numbers, self.active, batches, 0, batches.updates, self.data["train"]
                )
        self.seconds = time.perf_counter() - began
        self.program.evaluate(state, {"test": self.data["test"]})
        return self.program.lanes(state, [0], optimizer=False)[0].weights

    @property
    def updates(self) -> int:
        """Of one lane."""
        return self.spec.training.epochs * -(-self.samples // self.spec.training.batch_size)


def fitted(spec: RunSpec) -> tuple[list[np.ndarray], float]:
    """keras.fit with the run's initial weights and data order: (trained weights, seconds of a second, warm fit)."""
    x, y = models.arrays(spec, spec.dataset.load(SOURCE[0], spec.model.data_format))["train"]
    weights: list[np.ndarray] = []
    seconds = 0.0
    model = models.build(spec)
    for _ in range(2):
        for variable, value in zip(model.variables, models.build(spec).variables, strict=True):
            variable.assign(value.value)
        optimizer = getattr(keras.optimizers, spec.optimizer.keras_name)(**spec.optimizer.arguments())
        model.compile(optimizer=optimizer, loss=models.loss(spec.loss))
        began = time.perf_counter()
        for epoch in range(spec.training.epochs):
            order = data_order(spec.seed, epoch, len(x))
            model.fit(x[order], y[order], batch_size=spec.training.batch_size, shuffle=False, verbose=0)
        seconds = time.perf_counter() - began
        weights = [np.asarray(v.value) for v in model.trainable_variables]
    return weights, seconds


def bare(spec: RunSpec, width: int) -> float:
    """Seconds of the MLP's sweep as a bare script in JAX, warm: the floor (bench/contestants/in_jax.py)."""
    from bench.contestants.in_jax import Floor

    x, y = models.arrays(spec, spec.dataset.load(SOURCE[0], spec.model.data_format))["train"]
    orders = [data_order(spec.seed, epoch, len(x))[None] for epoch in range(spec.training.epochs)]
    start = [np.asarray(v.value) for v in models.build(spec).trainable_variables]
    with tempfile.TemporaryDirectory() as folder:
        np.savez(
            Path(folder) / "work.npz", batch=np.asarray(spec.training.batch_size), x=x, y=y, orders=np.stack(orders),
            rates=np.linspace(2e-4, 2e-3, width, dtype="float32"),
            **{f"w{i}": np.repeat(w[None], width, axis=0) for i, w in enumerate(start)},
        )  # fmt: skip
        floor = Floor(Path(folder))
    for _ in range(2):
        began = time.perf_counter()
        floor.train("", slice(None))
        seconds = time.perf_counter() - began
    return seconds


def worker(runs: int, device: str, spec: RunSpec) -> None:
    """Print what a worker's whole way takes for a sweep of learning rates, on SQLite: claim, certificate, training, files,
    commit. No broker and no MLflow. Once in a process that has compiled nothing, once more in the same."""
    missing = [name for name in ("sqlalchemy", "structlog", "celery") if not importlib.util.find_spec(name)]
    if missing:
        print(f"worker: not timed, {', '.join(missing)} is not installed")
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(
            GRADUS_HOME=home, GRADUS_BACKEND="jax", GRADUS_DATA_DIR=str(SOURCE[0].data_dir),
            CUDA_VISIBLE_DEVICES=os.environ.get("CUDA_VISIBLE_DEVICES", "0" if device == "gpu" else "-1"),
        )  # fmt: skip
        from service import operations
        from service.store import Store, queries
        from service.store.migrate import upgrade
        from workers.process.child import worker_context
        from workers.training.execute import execute

        context = worker_context()
        upgrade(context.settings.sql_url)
        document = spec.model_dump(mode="json", exclude_none=True) | {
            "name": "worker", "device": device, "gradient_check": {"mode": "sampled"}, "diagnostics": {"every": "epoch"},
            "sweep": {"learning_rate": {"log": [1e-4, 1e-2], "points": runs}},
        }  # fmt: skip
        wanted = ExperimentSpec.parse(document)
        store = Store(context.settings.sql_url)
        for name in ("cold", "warm"):
            experiment = operations.submit(store, wanted, wanted.expand(), owner="")
            ids = [run.id for run in queries.all_runs(store, experiment.id)]
            began = time.perf_counter()
            execute(ids, next(width for width in WORKER_WIDTHS if width >= runs))
            seconds = time.perf_counter() - began
            trained = queries.all_runs(store, experiment.id)
            statuses = sorted({str((run.outcome or {}).get("status")) for run in trained})
            certificates = sorted({run.tags.get("gradus.certificate", "none") for run in trained})
            outcomes = ", ".join([*statuses, *certificates])
            print(f"worker, {name}: {runs} runs in {seconds:.1f} s, {runs / seconds:.1f} runs/s: {outcomes}")


def memory(device: Any) -> int:
    """Peak bytes in use on the device; 0 where it does not say."""
    return int((device.memory_stats() or {}).get("peak_bytes_in_use", 0))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir", type=Path, help="the folder of mnist.npz")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="gpu")
    parser.add_argument("--tasks", nargs="*", choices=tuple(TASKS), default=tuple(TASKS))
    parser.add_argument("--no-worker", action="store_true", help="leave the worker's rows out")
    parser.add_argument("--only-worker", action="store_true", help="print the worker's rows alone")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: is every step in order?")
    options = parser.parse_args()
    SOURCE.append(Source(data_dir=options.data_dir))
    if options.only_worker:
        spec = spec_of("mlp", 640, 1) if options.quick else spec_of("mlp")
        worker(3 if options.quick else 1024, options.device, spec)
        return
    device = jax.devices(options.device)[0]
    print(f"{device.device_kind}, {backend.versions()}")
    print(
        f"{'':12} {'lanes':>7} {'compile s':>10} {'warm s':>8} {'update us':>10} {'runs/s':>9} {'x fit':>8} {'MB/lane':>8}"
    )
    for task in options.tasks:
        methods = {"": None} if task != "cnn" else {" grouped": False, " im2col": True}
        for label, patches in methods.items():
            if patches is not None:
                convolution.by_patches = lambda chosen=patches: chosen  # type: ignore[assignment,misc]
            time_task(task, label, options, device)
    if not options.no_worker:  # in a process of its own, as a worker is
        again = [sys.executable, "-m", "bench.gpu", *sys.argv[1:], "--only-worker"]
        sys.stdout.flush()
        subprocess.run(again, check=True)


def time_task(task: str, label: str, options: argparse.Namespace, device: Any) -> None:
    """Print the rows of a task; none where a lane does not equal keras.fit."""
    updates = 2 if options.quick and task == "cnn" else CHECK_UPDATES
    samples = updates * TASKS[task]["training"]["batch_size"]
    short, name = spec_of(task, samples, 1, optimizer={"name": "sgd", "learning_rate": 0.01}), task + label
    right, _ = fitted(short)
    ours = Lanes(short, Layout(1, 2), options.device).train()
    gap = max(float(np.abs(a - b).max()) for a, b in zip(ours, right, strict=True))
    if not gap <= EQUAL:
        print(f"{name:12} a lane differs from keras.fit by {gap:.2g} on this device: no figures")
        return
    spec = spec_of(task, samples, 1) if options.quick else spec_of(task)
    _, fit_seconds = fitted(spec)
    print(
        f"{name:12} {'fit':>7} {'':>10} {fit_seconds:8.2f} {'':>10} {1 / fit_seconds:9.2f} {1.0:8.1f}   |Δw| {gap:.1g}"
    )
    for layout in (QUICK if options.quick else SIZES)[task]:
        width = layout.width
        before = memory(device)
        began = time.perf_counter()
        lanes = Lanes(spec, layout, options.device)
        lanes.train()
        cold = time.perf_counter() - began
        began = time.perf_counter()
        lanes.train()
        warm = time.perf_counter() - began
        floor = (
            f"   bare {width / bare(spec, width):.1f} runs/s" if task == "mlp" and layout.groups == 1 else ""
        )
        print(
            f"{name:12} {layout!s:>7} {cold - warm:10.2f} {warm:8.3f} {1e6 * lanes.seconds / lanes.updates:10.1f} "
            f"{width / warm:9.1f} {fit_seconds * width / warm:8.1f} {(memory(device) - before) / width / 1e6:8.2f}{floor}",
            flush=True,
        )
        del lanes


if __name__ == "__main__":
    main()
