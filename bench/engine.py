"""How fast the engine trains a sweep, beside keras.fit in a loop and bare scripts. See bench/README.md.

    GRADUS_DATA_DIR=... python bench/engine.py mlp --runs 32 --batch 32 --repeats 5
    python bench/engine.py regression --runs 128
    python bench/engine.py cnn --runs 1

Every contestant is a process of its own that stays warm; they take turns in alternating order. Before a figure is
printed, each contestant trains 20 updates from the same weights in the same order and must agree with keras.fit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
CHECK_UPDATES = 20
WITHIN = {"mlp": 2e-5, "regression": 2e-5, "cnn": 5e-4}
"""Largest difference of a float32 weight from keras.fit's after the check; Adam divides small gradients by small
roots, so rounding moves the CNN's weights further."""

TASKS: dict[str, dict[str, Any]] = {
    "mlp": {
        "dataset": {"name": "mnist", "validation_split": 0.0},
        "model": {"hidden": [32], "activation": "relu"},
        "optimizer": {"name": "rmsprop", "rho": 0.9, "epsilon": 1e-8},
        "training": {"epochs": 2, "batch_size": 32},
    },
    "regression": {
        "dataset": {"name": "linear", "samples": 250, "validation_split": 0.0},  # 200 to train on, 50 to test
        "model": {"hidden": []},
        "optimizer": {"name": "sgd"},
        "training": {"epochs": 50, "batch_size": 32},
    },
    "cnn": {
        "dataset": {"name": "mnist", "validation_split": 0.0, "train_samples": 6400},
        "model": {"pattern": "INPUT-[CONV*1-POOL]*2-FC*2-OUTPUT", "conv": {"filters": [32, 64], "kernel_size": 5},
                  "pool": {"pool_size": 2}, "fc": {"units": [1024]}, "activation": "relu"},
        "optimizer": {"name": "adam"},
        "training": {"epochs": 1, "batch_size": 64},
    },
}  # fmt: skip
RATES = {"mlp": (2e-4, 2e-3), "regression": (0.01, 0.2), "cnn": (1e-4, 1e-4)}


def document(task: str, runs: int, batch: int | None, own_order: bool, check: bool) -> dict[str, Any]:
    """The sweep: learning rates that share a seed (and with it a data order), or seeds."""
    base = json.loads(json.dumps(TASKS[task])) | {"name": task, "diagnostics": "off", "gradient_check": "off"}
    if batch:
        base["training"]["batch_size"] = batch
    if check:
        runs = min(runs, 2)
        base["training"]["epochs"] = 1
        base["dataset"]["train_samples"] = min(CHECK_UPDATES * base["training"]["batch_size"], 6400)
        if task == "regression":
            del base["dataset"]["train_samples"]
    low, high = RATES[task]
    rates = {"log": [low, high], "points": runs} if runs > 1 else [high]
    if own_order:
        base["optimizer"]["learning_rate"] = high
    return base | {"sweep": {"seeds": runs} if own_order else {"learning_rate": rates}}


# ------------------------------------------------------------------- contestants, each in its own process


class Contestant:
    """Trains the runs of one sweep. `seconds` trains them all; `weights` gives the result of the check."""

    def __init__(self, specs: list[Any], check: list[Any]) -> None:
        self.specs, self.checked = specs, check

    @property
    def scale(self) -> float:
        """All runs over those that were timed."""
        return 1.0

    def cold(self) -> None:
        """Forget what was compiled."""

    def seconds(self) -> float:
        raise NotImplementedError

    def weights(self) -> list[list[list[float]]]:
        raise NotImplementedError


class Fit(Contestant):
    """keras.fit, one run after the other, in one warm process. Timed on `sample` runs, which scales to all."""

    sample = 2

    @property
    def scale(self) -> float:
        return len(self.specs) / len(self.specs[: self.sample])

    def __init__(self, specs: list[Any], check: list[Any], **compile_options: Any) -> None:
        super().__init__(specs, check)
        self.options = compile_options
        self.data, self.test = arrays(specs[0]), arrays(specs[0], "test")

    def one(self, spec: Any, x: Any, y: Any, shuffle: bool) -> Any:
        import keras

        from experiments import models

        model = models.build(spec)
        optimizer = getattr(keras.optimizers, spec.optimizer.keras_name)(**spec.optimizer.arguments())
        model.compile(optimizer, models.loss(spec.loss), metrics=metrics(spec), **self.options)
        training = spec.training
        model.fit(
            x, y, batch_size=training.batch_size, epochs=training.epochs, shuffle=shuffle, verbose=0,
            validation_data=self.test, validation_batch_size=1024,
        )  # fmt: skip
        return model

    def seconds(self) -> float:
        sample = self.specs[: self.sample]
        began = time.perf_counter()
        for spec in sample:
            self.one(spec, *self.data, shuffle=True)
        return (time.perf_counter() - began) * len(self.specs) / len(sample)

    def weights(self) -> list[list[list[float]]]:
        from experiments.randomness import data_order

        found = []
        for spec in self.checked:
            x, y = arrays(spec)
            order = data_order(spec.seed, 0, len(x))
            model = self.one(spec, x[order], y[order], shuffle=False)
            found.append([v.numpy().ravel().tolist() for v in model.variables])
        return found


class Engine(Contestant):
    """This project's engine."""

    def cold(self) -> None:
        from experiments import programs

        programs._programs.clear()

    def seconds(self) -> float:
        began = time.perf_counter()
        self.compile_s = 0.0
        size = max(1, min(32, self.specs[0].max_width()))
        for start in range(0, len(self.specs), size):
            outcomes = self.train(self.specs[start : start + size])[0]
            self.compile_s += sum(outcome.metrics["time/compile_s"] for outcome in outcomes)
        return time.perf_counter() - began

    def train(self, tile: list[Any]) -> Any:
        from experiments.recording import MemoryRecorder
        from experiments.training import train

        recorder = MemoryRecorder()
        return train(tile, recorder, lambda lane: None, source=source()), recorder

    def weights(self) -> list[list[list[float]]]:
        from experiments import models

        width = self.checked[0].max_width()
        tiles = [self.checked] if width > 1 else [[spec] for spec in self.checked]
        found = []
        for tile in tiles:
            _, recorder = self.train(tile)
            for lane, spec in enumerate(tile):
                model = models.build(spec)
                path = Path(os.environ["BENCH_SCRATCH"]) / f"{os.getpid()}.weights.h5"
                path.write_bytes(recorder.artifacts[lane]["weights/model.weights.h5"])
                model.load_weights(path)
                found.append([v.numpy().ravel().tolist() for v in model.variables])
        return found


class Bare(Contestant):
    """(d) A script for this one network: tf.vectorized_map in one XLA loop, RMSprop written out, no metrics."""

    def __init__(self, specs: list[Any], check: list[Any]) -> None:
        super().__init__(specs, check)
        self.data = arrays(specs[0])
        self.program: Any = None

    def cold(self) -> None:
        self.program = None

    def epochs(self, specs: list[Any], data: Any) -> Any:
        import numpy as np
        import tensorflow as tf

        from experiments import models
        from experiments.randomness import data_order

        x, y = (tf.constant(part) for part in data)
        size, n = specs[0].training.batch_size, len(data[0])
        steps = n // size
        start = [[v.numpy() for v in models.build(spec).trainable_variables] for spec in specs]
        weights = [tf.constant(np.stack(column)) for column in zip(*start, strict=True)]
        velocity = [tf.zeros_like(w) for w in weights]
        rates = tf.constant([spec.optimizer.learning_rate for spec in specs], tf.float32)
        shared = len({spec.seed for spec in specs}) == 1

        def step(w: Any, v: Any, rate: Any, xb: Any, yb: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(w)
                hidden = tf.nn.relu(tf.reshape(xb, (-1, 784)) @ w[0] + w[1])
                logits = hidden @ w[2] + w[3]
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(yb, logits))
            g = tape.gradient(loss, w)
            v = [0.9 * a + 0.1 * b * b for a, b in zip(v, g, strict=True)]
            return [a - rate * b / tf.sqrt(c + 1e-8) for a, b, c in zip(w, g, v, strict=True)], v

        def epoch(weights: Any, velocity: Any, order: Any) -> Any:
            for i in tf.range(order.shape[1]):
                rows = tf.gather(order, i, axis=1)
                if shared:
                    xb, yb = tf.gather(x, rows[0]), tf.gather(y, rows[0])
                    one = lambda a, xb=xb, yb=yb: step(*a, xb, yb)  # noqa: E731
                    args = (weights, velocity, rates)
                else:
                    one = lambda a: step(*a)  # noqa: E731
                    args = (weights, velocity, rates, tf.gather(x, rows), tf.gather(y, rows))
                weights, velocity = tf.vectorized_map(one, args, fallback_to_while_loop=False)
            return weights, velocity

        if self.program is None:
            self.program = tf.function(epoch, jit_compile=True)
        for number in range(specs[0].training.epochs):
            seeds = [specs[0].seed] if shared else [spec.seed for spec in specs]
            order = np.stack([data_order(seed, number, n) for seed in seeds])
            weights, velocity = self.program(
                weights, velocity, tf.constant(order[:, : steps * size].reshape(-1, steps, size))
            )
        return [w.numpy() for w in weights]

    def seconds(self) -> float:
        began = time.perf_counter()
        for start in range(0, len(self.specs), 32):
            self.epochs(self.specs[start : start + 32], self.data)
        return time.perf_counter() - began

    def weights(self) -> list[list[list[float]]]:
        self.program = None
        stacked = self.epochs(self.checked, arrays(self.checked[0]))
        self.program = None
        return [[w[i].ravel().tolist() for w in stacked] for i in range(len(self.checked))]


def source() -> Any:
    from experiments.datasets import Source

    folder = os.environ.get("GRADUS_DATA_DIR")
    return Source(Path(folder) if folder else None)


def arrays(spec: Any, part: str = "train") -> Any:
    from experiments import models

    return models.arrays(spec, spec.dataset.load(source(), spec.model.data_format))[part]


def metrics(spec: Any) -> list[str]:
    return ["accuracy"] if spec.data_shape.kind != "regression" else []


CONTESTANTS: dict[str, Callable[..., Contestant]] = {
    "fit": Fit,
    "fit-125": lambda *a: Fit(*a, steps_per_execution=125),
    "fit-125-plain": lambda *a: Fit(*a, steps_per_execution=125, jit_compile=False),
    "engine": Engine,
    "engine-a": Engine,
    "engine-b": Engine,
    "bare": Bare,
}
LABELS = {
    "fresh": "(a) a process per run",
    "fit": "(b) keras.fit, warm loop",
    "fit-125": "(b') steps_per_execution=125",
    "fit-125-plain": "(b') the same, jit_compile=False",
    "bare": "(d) bare tf.vectorized_map",
    "engine": "engine, 1 process",
    "engine x2": "engine, 2 processes of 1 thread",
}


def play(name: str, request: dict[str, Any]) -> None:
    """The child: answer each command on stdin with a JSON line on the real stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from experiments.spec import ExperimentSpec

    def specs(runs: int, check: bool) -> list[Any]:
        body = document(request["task"], runs, request["batch"], request["own"], check)
        return [point.spec for point in ExperimentSpec.parse(body).expand()]

    chosen = specs(request["runs"], False)
    if name.startswith("engine-"):
        chosen = chosen[0 if name == "engine-a" else 1 :: 2] or chosen[:1]
    contestant = CONTESTANTS[name](chosen, specs(request["runs"], True))
    for line in sys.stdin:
        command, reply = line.strip(), {}
        if command == "weights":
            reply["weights"] = contestant.weights()
        if command == "cold":
            contestant.cold()
        if command in ("cold", "warm"):
            cpu = time.process_time()
            reply["seconds"] = contestant.seconds()
            reply["cpu"] = (time.process_time() - cpu) * contestant.scale
            reply["compile"] = getattr(contestant, "compile_s", 0.0)
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


# ------------------------------------------------------------------------------------------- the referee


class Player:
    """A contestant's process."""

    def __init__(self, name: str, request: dict[str, Any], threads: int) -> None:
        environment = os.environ | {
            "TF_CPP_MIN_LOG_LEVEL": "2", "TF_NUM_INTRAOP_THREADS": str(threads), "PYTHONPATH": str(FOLDER.parent),
        }  # fmt: skip
        command = [
            sys.executable,
            __file__,
            request["task"],
            "--play",
            name,
            "--request",
            json.dumps(request),
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip

    def send(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a contestant died: {' '.join(self.process.args[2:5])}")  # type: ignore[index]
        return dict(json.loads(line))

    def ask(self, command: str) -> dict[str, Any]:
        self.send(command)
        return self.receive()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def agree(players: dict[str, list[Player]], task: str) -> dict[str, float]:
    """Each contestant's largest difference from keras.fit after the check. Ends the bench where one is too far."""
    truth = players["fit"][0].ask("weights")["weights"]
    worst = {}
    for name, team in players.items():
        for player in team:
            theirs = player.ask("weights")["weights"]
            gaps = [
                max(abs(a - b) for a, b in zip(one, other, strict=True))
                for ours, run in zip(truth, theirs, strict=True)
                for one, other in zip(ours, run, strict=True)
            ]
            worst[name] = max(worst.get(name, 0.0), *gaps)
        if not worst[name] <= WITHIN[task]:
            raise SystemExit(f"{LABELS[name]} differs from keras.fit by {worst[name]:.2g}: no figures")
    return worst


def timed(team: list[Player], command: str) -> tuple[float, float, float]:
    """(seconds until the last is done, seconds of them compiling, processor seconds of all)."""
    for player in team:
        player.send(command)
    replies = [player.receive() for player in team]
    return (
        max(reply["seconds"] for reply in replies),
        max(reply["compile"] for reply in replies),
        sum(reply["cpu"] for reply in replies),
    )


def fresh(request: dict[str, Any]) -> float:
    """(a): one process from start to end for one run, times the number of runs."""
    began = time.perf_counter()
    player = Player("fit", request | {"runs": 1}, os.cpu_count() or 1)
    player.ask("warm")
    player.close()
    return (time.perf_counter() - began) * int(request["runs"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--own-order", action="store_true", help="every run has its own data order")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=None, help="contestants besides fit")
    parser.add_argument("--processes", action="store_true", help="the engine in two processes too")
    parser.add_argument("--fresh", action="store_true", help="time (a) too")
    parser.add_argument("--play", help=argparse.SUPPRESS)
    parser.add_argument("--request", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        play(options.play, json.loads(options.request))
        return
    request = {"task": options.task, "runs": options.runs, "batch": options.batch, "own": options.own_order}
    os.environ.setdefault("BENCH_SCRATCH", os.environ.get("TMPDIR", "/tmp"))
    names = options.only or [
        "fit-125",
        "fit-125-plain",
        *(["bare"] if options.task == "mlp" else []),
        "engine",
    ]
    cores = os.cpu_count() or 1
    players = {name: [Player(name, request, cores)] for name in ["fit", *names]}
    if options.processes and "engine" in names and options.runs > 1:
        players["engine x2"] = [Player(name, request, 1) for name in ("engine-a", "engine-b")]
    try:
        referee(players, request, options.repeats, options.fresh)
    finally:
        for team in players.values():
            for player in team:
                player.close()


def referee(
    players: dict[str, list[Player]], request: dict[str, Any], repeats: int, with_fresh: bool
) -> None:
    gaps = agree(players, request["task"])
    times: dict[str, dict[str, list[float]]] = {
        name: {"cold": [], "warm": [], "compile": [], "cpu": []} for name in players
    }
    for repeat in range(repeats):
        order = list(players) if repeat % 2 == 0 else list(reversed(players))
        for name in order:
            if "engine" in name or name == "bare":
                seconds, compiling, _ = timed(players[name], "cold")
                times[name]["cold"].append(seconds)
                times[name]["compile"].append(compiling)
            seconds, _, cpu = timed(players[name], "warm")
            times[name]["warm"].append(seconds)
            times[name]["cpu"].append(cpu)
    base = statistics.median(times["fit"]["warm"])
    print(f"{request}, {repeats} repeats, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(
        f"{'':34} {'cold s':>16} {'compile s':>10} {'warm s':>16} {'x (b) cold':>11} {'x (b) warm':>11} {'|Δw|':>8}"
    )
    for name, found in times.items():
        cold = found["cold"] or found["warm"]
        print(
            f"{LABELS[name]:34} {spread(cold):>16} {statistics.median(found['compile'] or [0]):>10.2f} "
            f"{spread(found['warm']):>16} {base / statistics.median(cold):>11.1f} "
            f"{base / statistics.median(found['warm']):>11.1f} {statistics.median(found['cpu']):>8.1f} "
            f"{gaps[name]:>8.1g}"
        )
    if with_fresh:
        print(f"{LABELS['fresh']:34} {fresh(request):>16.1f}")


def spread(values: list[float]) -> str:
    half = (max(values) - min(values)) / 2
    return f"{statistics.median(values):.2f} ±{half:.2f}"


if __name__ == "__main__":
    main()
