"""How much memory does a worker hold over many programs? Every tile is another program; the process is replaced as a worker
replaces its child.

    python -m bench.memory [--programs 500] [--limit-mib 2048] [--tiny]

Each tile trains 4 runs of a program of its own on the digits; with `--tiny` one run of one epoch on XOR, without diagnoses,
which is many programs in little time. After a tile the process ends where it holds more than three quarters of the
limit (`workers.process.child.WORN`), and the next tile begins in a new one. Prints the memory after every 25 tiles, the peak
and the number of replacements. Ends with status 1 where the peak exceeds the limit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any

from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from workers.process.child import WORN
from workers.process.watchdog import current_memory

MIB = 2**20


DIGITS: dict[str, Any] = {
    "dataset": {"name": "digits", "train_samples": 320}, "training": {"epochs": 2}, "sweep": {"seeds": 4},
}  # fmt: skip
TINY: dict[str, Any] = {"dataset": {"name": "xor"}, "training": {"epochs": 1}, "diagnostics": "off"}


def tile(number: int, document: dict[str, Any]) -> list[RunSpec]:
    """The runs of a program that no other tile has: its layer has as many units as no other's."""
    spec = ExperimentSpec.parse({"name": "memory", **document, "model": {"hidden": [8 + number]}})
    return [point.spec for point in spec.expand()]


def child(first: int, programs: int, limit: int, document: dict[str, Any]) -> None:
    """Train tile after tile; print `number bytes` after each; end after the last, or where too much is held."""
    from experiments.datasets import Source
    from experiments.engine.training import train
    from experiments.recording import MemoryRecorder

    for number in range(first, programs):
        train(tile(number, document), MemoryRecorder(), lambda lane: None, source=Source())
        held = current_memory()
        print(number, held, flush=True)
        if held > WORN * limit:
            return


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--programs", type=int, default=500)
    parser.add_argument("--limit-mib", type=int, default=2048)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    limit = options.limit_mib * MIB
    if options.first is not None:
        child(options.first, options.programs, limit, TINY if options.tiny else DIGITS)
        return
    began, done, peak, processes = time.perf_counter(), 0, 0, 0
    while done < options.programs:
        arguments = ["--programs", options.programs, "--limit-mib", options.limit_mib, "--first", done]
        command = [sys.executable, "-m", "bench.memory", *map(str, arguments), *(["--tiny"] * options.tiny)]
        before = done
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
        ) as process:
            for line in process.stdout or ():
                number, held = map(int, line.split())
                done, peak = number + 1, max(peak, held)
                if done % 25 == 0:
                    seconds = time.perf_counter() - began
                    print(f"{done:5} programs  {held / MIB:6.0f} MiB  {seconds:6.0f} s", flush=True)
        processes += 1
        if done == before:
            sys.exit(f"the process ended with status {process.returncode} and trained nothing")
    print(
        f"{options.programs} programs: peak {peak / MIB:.0f} MiB of {options.limit_mib} MiB, "
        f"{processes - 1} replacements"
    )
    sys.exit(peak > limit)


if __name__ == "__main__":
    main()
