"""What the diagnostics cost: the same training with and without them, in turn. `python bench/diagnostics.py`

    python bench/diagnostics.py [--repeats 7] [--epochs 2]

The course's 784-32-10 on MNIST (GRADUS_DATA_DIR; without it, the digits of scikit-learn stand in: 64-32-10), batches
of 32, as one run and as a tile of eight. Seconds are of whole `train` calls, compiled before. Ends with status 1 where
the share exceeds the allowed tenth.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path

from experiments.datasets import Source
from experiments.engine.training import train
from experiments.recording import MemoryRecorder
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec

ALLOWED = 0.10
FOLDER = os.environ.get("GRADUS_DATA_DIR")


def tile(runs: int, epochs: int, every: str) -> list[RunSpec]:
    document = {
        "name": "diagnosed", "dataset": "mnist" if FOLDER else "digits", "model": {"hidden": [32]},
        "optimizer": {"name": "rmsprop", "learning_rate": 0.001}, "diagnostics": every,
        "training": {"epochs": epochs, "batch_size": 32}, "sweep": {"seeds": runs},
    }  # fmt: skip
    return [point.spec for point in ExperimentSpec.parse(document).expand()]


def seconds(runs: int, epochs: int, every: str) -> float:
    """Of one training; what it measured is held against what was asked for."""
    recorder, began = MemoryRecorder(), time.perf_counter()
    train(
        tile(runs, epochs, every),
        recorder,
        lambda lane: None,
        source=Source(Path(FOLDER) if FOLDER else None),
    )
    took = time.perf_counter() - began
    measured = any(name.startswith("layers/") for name in recorder.history[0])
    assert measured == (every == "epoch"), "the wrong program was measured"
    return took


def main() -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {'MNIST' if FOLDER else 'digits'}, {options.epochs} epochs\n"
    )
    print(f"| runs in a tile | without, s | with, s | share (median, quartiles) |\n|{' --- |' * 4}")
    dear = False
    for runs in (1, 8):
        for every in ("off", "epoch"):
            seconds(runs, options.epochs, every)  # compiles
        off, on = [], []
        for turn in range(options.repeats):
            for every, kept in [("off", off), ("epoch", on)][:: 1 if turn % 2 else -1]:
                kept.append(seconds(runs, options.epochs, every))
        shares = [b / a - 1 for a, b in zip(off, on, strict=True)]
        low, middle, high = statistics.quantiles(shares, n=4)
        dear |= middle > ALLOWED
        print(
            f"| {runs} | {statistics.median(off):.2f} | {statistics.median(on):.2f} "
            f"| {middle:+.1%} ({low:+.1%} … {high:+.1%}) |", flush=True
        )  # fmt: skip
    return int(dear)


if __name__ == "__main__":
    sys.exit(main())
