"""How many runs a second one device trains as one JAX program, beside keras.fit on the same device.

    KERAS_BACKEND=jax python bench/gpu.py DATA_DIR                       # the whole table, on a GPU
    KERAS_BACKEND=jax python bench/gpu.py DATA_DIR --device cpu --quick  # every step with tiny sizes

It needs Keras, JAX, pydantic, ruamel.yaml, mpmath and h5py, and mnist.npz in DATA_DIR. First a lane must equal
keras.fit on this device; where it does not, no figure is printed. Lanes share one data order, as a sweep over learning
rates does. `update us` is the time of one update of all lanes, `MB/lane` the growth of the device's peak memory.
"""

from __future__ import annotations

import argparse
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
WIDTHS = {"mlp": (1, 32, 256, 1024, 4096), "cnn": (1, 8, 32), "regression": (1, 1024, 10_000)}
QUICK = {"mlp": (1, 4), "cnn": (1, 2), "regression": (1, 16)}
CHECK_UPDATES = 20
SOURCE: list[Source] = []
"""Where the data lie: set once, from the command line."""


def spec_of(task: str, samples: int | None = None, epochs: int | None = None) -> RunSpec:
    """The task's run, with fewer samples or epochs where these are given."""
    document = {"name": task, "diagnostics": "off", "gradient_check": "off", "backend": "jax", **TASKS[task]}
    if samples and task != "regression":
        document["dataset"] = {**document["dataset"], "train_samples": samples}
    if epochs:
        document["training"] = {**document["training"], "epochs": epochs}
    return ExperimentSpec.parse(document).expand()[0].spec


class Lanes:
    """`width` copies of a run with learning rates of their own, as one program on the device."""

    def __init__(self, spec: RunSpec, width: int, device: str) -> None:
        self.spec, self.width = spec, width
        self.program = Program(spec, Layout(1, width), device)
        data = models.arrays(spec, spec.dataset.load(SOURCE[0], spec.model.data_format))
        with backend.on(device):
            self.data = {name: (backend.tensor(x), backend.tensor(y)) for name, (x, y) in data.items()}
        self.samples = len(data["train"][0])
        self.lane = self.program.initial([spec])[0]
        self.active = self.program.axis.per_lane(dict.fromkeys(range(width), 1), "bool")
        self.numbers = self.program.settings(dict.fromkeys(range(width), spec))

    def train(self) -> list[np.ndarray]:
        """All epochs and the test data; the first lane's weights."""
        state = self.program.stack(dict.fromkeys(range(self.width), self.lane))
        for epoch in range(self.spec.training.epochs):
            order = data_order(self.spec.seed, epoch, self.samples)[None]
            for batches in self.program.batches(order):
                state = self.program.train(
                    state, self.numbers, self.active, batches, 0, batches.updates, self.data["train"]
                )
        self.program.evaluate(state, {"test": self.data["test"]})
        return self.program.lanes(state, [0])[0].weights

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
    parser.add_argument("--quick", action="store_true", help="tiny sizes: is every step in order?")
    options = parser.parse_args()
    SOURCE.append(Source(data_dir=options.data_dir))
    jax.config.update("jax_default_matmul_precision", "highest")  # no TF32: equality first
    device = jax.devices(options.device)[0]
    print(f"{device.device_kind}, {backend.versions()}")
    print(
        f"{'':12} {'lanes':>6} {'compile s':>10} {'warm s':>8} {'update us':>10} {'runs/s':>9} {'x fit':>8} {'MB/lane':>8}"
    )
    for task in options.tasks:
        updates = 2 if options.quick and task == "cnn" else CHECK_UPDATES
        samples = updates * TASKS[task]["training"]["batch_size"]
        short = spec_of(task, samples, 1)
        right, _ = fitted(short)
        ours = Lanes(short, 2, options.device).train()
        gap = max(float(np.abs(a - b).max()) for a, b in zip(ours, right, strict=True))
        if not gap <= EQUAL:
            raise SystemExit(f"{task}: a lane differs from keras.fit by {gap:.2g} on this device: no figures")
        spec = spec_of(task, samples, 1) if options.quick else spec_of(task)
        _, fit_seconds = fitted(spec)
        print(
            f"{task:12} {'fit':>6} {'':>10} {fit_seconds:8.2f} {'':>10} {1 / fit_seconds:9.2f} {1.0:8.1f}   |Δw| {gap:.1g}"
        )
        for width in (QUICK if options.quick else WIDTHS)[task]:
            before = memory(device)
            began = time.perf_counter()
            lanes = Lanes(spec, width, options.device)
            lanes.train()
            cold = time.perf_counter() - began
            began = time.perf_counter()
            lanes.train()
            warm = time.perf_counter() - began
            print(
                f"{task:12} {width:6d} {cold - warm:10.2f} {warm:8.3f} {1e6 * warm / lanes.updates:10.1f} "
                f"{width / warm:9.1f} {fit_seconds * width / warm:8.1f} {(memory(device) - before) / width / 1e6:8.2f}",
                flush=True,
            )
            del lanes


if __name__ == "__main__":
    main()
