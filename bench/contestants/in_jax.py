"""(d) in JAX: jit(scan(vmap)) of the one network that bench/engine.py's `mlp` trains, RMSprop written out, no metrics.

Speaks the protocol of bench/engine.py's contestants, in an environment of its own that has jax and numpy and nothing
of this project: `python in_jax.py FOLDER`. FOLDER holds work.npz, which bench/engine.py writes: data, initial
weights of every run (`w0`, ...), rates, and the order of every epoch, for the sweep and for the check (`check_`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Weights = list[Any]
"""Of all lanes: (lanes, 784, 32), (lanes, 32), (lanes, 32, 10), (lanes, 10)."""


def loss(weights: Weights, x: Any, y: Any) -> Any:
    hidden = jax.nn.relu(x.reshape(len(x), -1) @ weights[0] + weights[1])
    scores = jax.nn.log_softmax(hidden @ weights[2] + weights[3])
    return -jnp.mean(jnp.sum(y * scores, axis=-1))


def update(weights: Weights, velocity: Weights, rate: Any, x: Any, y: Any) -> tuple[Weights, Weights]:
    slopes = jax.grad(loss)(weights, x, y)
    velocity = [0.9 * v + 0.1 * g * g for v, g in zip(velocity, slopes, strict=True)]
    moved = zip(weights, slopes, velocity, strict=True)
    return [w - rate * g / jnp.sqrt(v + 1e-8) for w, g, v in moved], velocity


def epoch(shared: bool) -> Callable[..., Any]:
    """rows: (updates, 1 or lanes, batch), indices into x and y."""
    lanes = jax.vmap(update, in_axes=(0, 0, 0, None, None) if shared else 0)

    @jax.jit
    def run(weights: Weights, velocity: Weights, rates: Any, rows: Any, x: Any, y: Any) -> Any:
        def step(carry: Any, index: Any) -> Any:
            index = index[0] if shared else index
            return lanes(*carry, rates, x[index], y[index]), None

        return jax.lax.scan(step, (weights, velocity), rows)[0]

    return run


class Floor:
    def __init__(self, folder: Path) -> None:
        self.work = dict(np.load(folder / "work.npz"))
        self.programs: dict[bool, Callable[..., Any]] = {}

    def train(self, prefix: str, lanes: slice) -> Weights:
        work = self.work
        orders = work[f"{prefix}orders"]  # (epochs, 1 or runs, samples)
        shared = orders.shape[1] == 1
        if not shared:
            orders = orders[:, lanes]
        run = self.programs.setdefault(shared, epoch(shared))
        size = int(work["batch"])
        x, y = jnp.asarray(work[f"{prefix}x"]), jnp.asarray(work[f"{prefix}y"])
        weights = [jnp.asarray(work[f"{prefix}w{i}"][lanes]) for i in range(4)]
        velocity = [jnp.zeros_like(w) for w in weights]
        rates = jnp.asarray(work[f"{prefix}rates"][lanes])
        steps = orders.shape[2] // size
        for order in orders:
            rows = order[:, : steps * size].reshape(len(order), steps, size).swapaxes(0, 1)
            weights, velocity = run(weights, velocity, rates, jnp.asarray(rows), x, y)
        return [np.asarray(w) for w in weights]

    def seconds(self) -> float:
        began = time.perf_counter()
        for start in range(0, len(self.work["rates"]), 32):
            self.train("", slice(start, start + 32))
        return time.perf_counter() - began

    def weights(self) -> list[list[list[float]]]:
        stacked = self.train("check_", slice(None))
        return [[w[lane].ravel().tolist() for w in stacked] for lane in range(len(stacked[0]))]


def main() -> None:
    floor = Floor(Path(sys.argv[1]))
    for line in sys.stdin:
        command, reply = line.strip(), {}
        if command == "weights":
            reply["weights"] = floor.weights()
        if command == "cold":
            jax.clear_caches()
            floor.programs.clear()
        if command in ("cold", "warm"):
            cpu = time.process_time()
            reply["seconds"] = floor.seconds()
            reply["cpu"], reply["compile"] = time.process_time() - cpu, 0.0
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
