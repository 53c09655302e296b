"""How fast the engine trains a sweep, beside keras.fit in a loop and bare scripts. See bench/README.md.

    GRADUS_DATA_DIR=... python bench/engine.py mlp --runs 32 --batch 32 --repeats 5
    python bench/engine.py regression --runs 128
    python bench/engine.py cnn --runs 1
    python bench/engine.py mlp --jax   # the engine on JAX and a bare script in JAX too
    python bench/engine.py mlp --ray PYTHON   # of an environment with requirements/worker.txt and ray[tune]

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
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "contestants"
TASKS = ("mlp", "regression", "cnn")
WITHIN = {"mlp": 2e-5, "regression": 2e-5, "cnn": 5e-4}
"""Largest difference of a float32 weight from keras.fit's after the check; Adam divides small gradients by small
roots, so rounding moves the CNN's weights further."""
LABELS = {
    "fresh": "(a) a process per run",
    "fit": "(b) keras.fit, warm loop",
    "fit-125": "(b') steps_per_execution=125",
    "fit-125-plain": "(b') the same, jit_compile=False",
    "ray": "(c) Ray Tune, actors reused",
    "bare": "(d) bare tf.vectorized_map",
    "jax": "(d) bare JAX, jit(scan(vmap))",
    "engine": "engine, 1 process",
    "engine-jax": "engine on JAX, 1 process",
    "engine x2": "engine, 2 processes of 1 thread",
}


class Player:
    """A contestant's process."""

    def __init__(self, command: list[str], threads: int, backend: str = "tensorflow") -> None:
        environment = os.environ | {
            "TF_CPP_MIN_LOG_LEVEL": "2", "TF_NUM_INTRAOP_THREADS": str(threads),
            "NPROC": str(threads), "KERAS_BACKEND": backend, "PYTHONPATH": str(FOLDER.parents[1]),
        }  # fmt: skip
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip

    @classmethod
    def of(cls, name: str, request: dict[str, Any], threads: int, python: str = sys.executable) -> Player:
        command = [python, str(FOLDER / "in_keras.py"), name, json.dumps(request)]
        return cls(command, threads, "jax" if name == "engine-jax" else "tensorflow")

    @classmethod
    def jax(cls, request: dict[str, Any], threads: int, folder: str) -> Player:
        """The script in JAX, given the same data, weights and orders as a file."""
        cls.of("work", request | {"folder": folder}, threads).close()
        return cls([sys.executable, str(FOLDER / "in_jax.py"), folder], threads)

    def send(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a contestant died: {' '.join(self.process.args[1:3])}")  # type: ignore[index]
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
                max(abs(a - b) for a, b in zip(right, weight, strict=True))
                for fitted, run in zip(truth, theirs, strict=True)
                for right, weight in zip(fitted, run, strict=True)
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
    player = Player.of("fit", request | {"runs": 1}, os.cpu_count() or 1)
    player.ask("warm")
    player.close()
    return (time.perf_counter() - began) * int(request["runs"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", nargs="?", choices=TASKS, default="mlp")
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--own-order", action="store_true", help="every run has its own data order")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=None, help="contestants besides fit")
    parser.add_argument("--processes", action="store_true", help="the engine in two processes too")
    parser.add_argument("--fresh", action="store_true", help="time (a) too")
    parser.add_argument("--jax", action="store_true", help="time the engine and the script on JAX too")
    parser.add_argument("--ray", metavar="PYTHON", help="of an environment with ray[tune] too: time (c)")
    options = parser.parse_args()
    request = {"task": options.task, "runs": options.runs, "batch": options.batch, "own": options.own_order}
    names = options.only or [
        "fit-125",
        "fit-125-plain",
        *(["bare"] if options.task == "mlp" else []),
        "engine",
    ]
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_SCRATCH"] = folder  # the players' and theirs alone
        players = {name: [Player.of(name, request, cores)] for name in ["fit", *names]}
        if options.processes and "engine" in names and options.runs > 1:
            players["engine x2"] = [Player.of(name, request, 1) for name in ("engine-a", "engine-b")]
        if options.jax:
            players["engine-jax"] = [Player.of("engine-jax", request, cores)]
            if options.task == "mlp":  # the one network that the script knows
                players["jax"] = [Player.jax(request, cores, folder)]
        if options.ray:
            players["ray"] = [Player.of("ray", request, 1, options.ray)]
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
            if "engine" in name or name in ("bare", "jax"):
                seconds, compiling, _ = timed(players[name], "cold")
                times[name]["cold"].append(seconds)
                times[name]["compile"].append(compiling)
            seconds, _, cpu = timed(players[name], "warm")
            times[name]["warm"].append(seconds)
            times[name]["cpu"].append(cpu)
    base = statistics.median(times["fit"]["warm"])
    print(f"{request}, {repeats} repeats, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(
        f"{'':34} {'cold s':>16} {'compile s':>10} {'warm s':>16} {'x (b) cold':>11} {'x (b) warm':>11} {'cpu s':>8} {'|Δw|':>8}"
    )
    for name, measured in times.items():
        cold = measured["cold"] or measured["warm"]
        print(
            f"{LABELS[name]:34} {spread(cold):>16} {statistics.median(measured['compile'] or [0]):>10.2f} "
            f"{spread(measured['warm']):>16} {base / statistics.median(cold):>11.1f} "
            f"{base / statistics.median(measured['warm']):>11.1f} {statistics.median(measured['cpu']):>8.1f} "
            f"{gaps[name]:>8.1g}"
        )
    if with_fresh:
        print(f"{LABELS['fresh']:34} {fresh(request):>16.1f}")


def spread(values: list[float]) -> str:
    half = (max(values) - min(values)) / 2
    return f"{statistics.median(values):.2f} ±{half:.2f}"


if __name__ == "__main__":
    main()
