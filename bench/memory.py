"""Does a training process grow? 2,000 runs of many programs, resident memory after each hundred.

    python bench/memory.py [--runs 2000] [--programs 20]

Tiles of 32 runs over a number of programs in turn. Ends with status 1 where memory grew by more than a fifth
after every program was compiled once. (With more programs than a worker keeps, it does: TensorFlow does not give
back what XLA compiled. A worker is recycled on its current memory for that reason.)
"""

from __future__ import annotations

import argparse
import sys
import time

import psutil

from experiments.datasets import Source
from experiments.engine.training import train
from experiments.recording import MemoryRecorder
from experiments.spec import ExperimentSpec


def tile(number: int, programs: int) -> ExperimentSpec:
    return ExperimentSpec.parse(
        {
            "name": "memory", "dataset": {"name": "digits", "train_samples": 320},
            "model": {"hidden": [8 + number % programs]}, "training": {"epochs": 2},
            "sweep": {"seeds": 32}, "seed": number * 32,
        }
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--programs", type=int, default=20)
    options = parser.parse_args()
    process, began, base = psutil.Process(), time.perf_counter(), 0.0
    for number in range(-(-options.runs // 32)):
        specs = [point.spec for point in tile(number, options.programs).expand()]
        train(specs, MemoryRecorder(), lambda lane: None, source=Source())
        done, used = (number + 1) * 32, process.memory_info().rss / 2**20
        if number < options.programs:
            base = used
        if number % 4 == 3:
            print(f"{done:5} runs  {used:7.0f} MiB  {time.perf_counter() - began:6.0f} s", flush=True)
    used = process.memory_info().rss / 2**20
    print(f"from {32 * options.programs} runs on: {base:.0f} -> {used:.0f} MiB ({used / base - 1:+.1%})")
    sys.exit(used > 1.2 * base)


if __name__ == "__main__":
    main()
