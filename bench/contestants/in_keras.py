"""The contestants of bench/engine.py: each trains the same sweep its own way, in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CHECK_UPDATES = 20
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
RATES = {"mlp": (2e-4, 2e-3), "regression": (0.01, 0.2), "cnn": (5e-5, 1e-4)}


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


class Contestant(ABC):
    """Trains the runs of one sweep. `seconds` trains them all; `weights` gives the result of the check."""

    def __init__(self, specs: list[Any], check: list[Any]) -> None:
        self.specs, self.checked = specs, check

    @property
    def scale(self) -> float:
        """All runs over those that were timed."""
        return 1.0

    def cold(self) -> None:  # noqa: B027  most compile nothing
        """Forget what was compiled."""

    @abstractmethod
    def seconds(self) -> float: ...

    @abstractmethod
    def weights(self) -> list[list[list[float]]]: ...


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

    def fitted(self, spec: Any, x: Any, y: Any, shuffle: bool) -> Any:
        import keras

        from experiments.engine import models

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
            self.fitted(spec, *self.data, shuffle=True)
        return (time.perf_counter() - began) * len(self.specs) / len(sample)

    def weights(self) -> list[list[list[float]]]:
        from experiments.randomness import data_order

        weights = []
        for spec in self.checked:
            x, y = arrays(spec)
            order = data_order(spec.seed, 0, len(x))
            model = self.fitted(spec, x[order], y[order], shuffle=False)
            weights.append([np.asarray(v.value).ravel().tolist() for v in model.variables])
        return weights


class Engine(Contestant):
    """This project's engine."""

    def cold(self) -> None:
        from experiments.engine import cache

        cache._programs.clear()
        cache._evaluations.clear()

    def seconds(self) -> float:
        began = time.perf_counter()
        self.compile_s = 0.0
        size = max(1, min(32, self.specs[0].max_width()))
        for start in range(0, len(self.specs), size):
            outcomes = self.train(self.specs[start : start + size])[0]
            self.compile_s += sum(outcome.metrics["time/compile_s"] for outcome in outcomes)
        return time.perf_counter() - began

    def train(self, tile: list[Any]) -> Any:
        from experiments.engine.training import train
        from experiments.recording import MemoryRecorder

        recorder = MemoryRecorder()
        return train(tile, recorder, lambda lane: None, source=source()), recorder

    def weights(self) -> list[list[list[float]]]:
        from experiments.engine import models

        width = self.checked[0].max_width()
        tiles = [self.checked] if width > 1 else [[spec] for spec in self.checked]
        weights = []
        for tile in tiles:
            _, recorder = self.train(tile)
            for lane, spec in enumerate(tile):
                model = models.build(spec)
                path = Path(os.environ["BENCH_SCRATCH"]) / f"{os.getpid()}.weights.h5"
                path.write_bytes(recorder.artifacts[lane]["weights/model.weights.h5"])
                model.load_weights(path)
                weights.append([np.asarray(v.value).ravel().tolist() for v in model.variables])
        return weights


class Bare(Contestant):
    """(d) A script for this one network: tf.vectorized_map in one XLA loop, RMSprop written out, no metrics."""

    def __init__(self, specs: list[Any], check: list[Any]) -> None:
        super().__init__(specs, check)
        self.data = arrays(specs[0])
        self.program: Any = None

    def cold(self) -> None:
        self.program = None

    def epochs(self, specs: list[Any], data: Any) -> Any:
        import tensorflow as tf

        from experiments.engine import models
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
                    lane = lambda a, xb=xb, yb=yb: step(*a, xb, yb)  # noqa: E731
                    args = (weights, velocity, rates)
                else:
                    lane = lambda a: step(*a)  # noqa: E731
                    args = (weights, velocity, rates, tf.gather(x, rows), tf.gather(y, rows))
                weights, velocity = tf.vectorized_map(lane, args, fallback_to_while_loop=False)
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


class RayTune(Fit):
    """(c) keras.fit under Ray Tune: one CPU per trial, as many trials at once as there are cores, actors reused."""

    scale = 1.0

    def seconds(self) -> float:
        import ray
        from ray import tune

        if not ray.is_initialized():
            ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
        specs = self.specs

        class Trial(tune.Trainable):  # type: ignore[misc]
            def setup(self, config: dict[str, Any]) -> None:
                self.fit, self.number = Fit(specs, []), config["run"]

            def reset_config(self, new_config: dict[str, Any]) -> bool:
                self.number = new_config["run"]
                return True

            def step(self) -> dict[str, Any]:
                model = self.fit.fitted(specs[self.number], *self.fit.data, shuffle=True)
                return {"weights": float(sum(v.numpy().sum() for v in model.variables)), "done": True}

        began = time.perf_counter()
        results = tune.Tuner(
            tune.with_resources(Trial, {"cpu": 1}),
            param_space={"run": tune.grid_search(list(range(len(self.specs))))},
            tune_config=tune.TuneConfig(reuse_actors=True, metric="weights", mode="max"),
            run_config=tune.RunConfig(
                verbose=0, checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False)
            ),
        ).fit()
        if results.num_errors:
            raise SystemExit(str(results.errors[0]))
        return time.perf_counter() - began


def work(folder: Path, specs: list[Any], check: list[Any]) -> None:
    """Write what bench/contestants/in_jax.py needs: it has none of this project."""
    import numpy as np

    from experiments.engine import models
    from experiments.randomness import data_order

    parts: dict[str, Any] = {"batch": np.asarray(specs[0].training.batch_size)}
    for prefix, chosen in (("", specs), ("check_", check)):
        parts[f"{prefix}x"], parts[f"{prefix}y"] = arrays(chosen[0])
        samples, seeds = len(parts[f"{prefix}x"]), [spec.seed for spec in chosen]
        parts[f"{prefix}orders"] = np.stack(
            [
                np.stack([data_order(seed, epoch, samples) for seed in dict.fromkeys(seeds)])
                for epoch in range(chosen[0].training.epochs)
            ]
        )
        parts[f"{prefix}rates"] = np.asarray([spec.optimizer.learning_rate for spec in chosen], "float32")
        start = [[v.numpy() for v in models.build(spec).trainable_variables] for spec in chosen]
        parts |= {f"{prefix}w{i}": np.stack(column) for i, column in enumerate(zip(*start, strict=True))}
    np.savez(folder / "work.npz", **parts)


def source() -> Any:
    from experiments.datasets import Source

    folder = os.environ.get("GRADUS_DATA_DIR")
    return Source(Path(folder) if folder else None)


def arrays(spec: Any, part: str = "train") -> Any:
    from experiments.engine import models

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
    "engine-jax": Engine,
    "bare": Bare,
    "ray": RayTune,
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
    if name == "work":
        work(Path(request["folder"]), chosen, specs(request["runs"], True))
        return
    if name in ("engine-a", "engine-b"):
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


if __name__ == "__main__":
    play(sys.argv[1], json.loads(sys.argv[2]))
