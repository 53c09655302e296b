"""Does the check catch wrong gradients, and leave right ones alone? `python bench/gradient_check_power.py [SEEDS]`

Every fault that a network has a place for is injected into each of the networks; then each network's right program is
checked at SEEDS (default 100) other points: other weights, data points and coordinates.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from experiments.datasets import Source
from experiments.gradient_check import check
from experiments.injected_faults import FAULTS, places
from experiments.objective import Objective
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec

CONVOLUTION = {
    "pattern": "INPUT-CONV-POOL-FC*2-OUTPUT",
    "conv": {"filters": 3, "kernel_size": 3},
    "fc": {"units": 8},
}
NETWORKS: dict[str, dict[str, Any]] = {
    "tanh MLP": {"model": {"hidden": [8], "activation": "tanh"}},
    "ReLU MLP with l1": {"model": {"hidden": [8, 8], "kernel_regularizer": {"name": "l1", "l1": 1e-3}}},
    "sigmoid, 4 layers": {"model": {"hidden": [8] * 4, "activation": "sigmoid"}},
    "CNN, max pool": {"model": CONVOLUTION},
    "CNN, average pool": {"model": {**CONVOLUTION, "pool": {"type": "average_pool2d"}}},
    "simple RNN": {"model": {"layers": [{"type": "simple_rnn", "units": 5}, {"type": "dense", "units": 10}]}},
    "GRU": {"model": {"layers": [{"type": "gru", "units": 4}, {"type": "dense", "units": 10}]}},
}  # fmt: skip


def spec_of(document: dict[str, Any]) -> RunSpec:
    return ExperimentSpec.parse({"name": "power", "dataset": "digits", **document}).expand()[0].spec


def main() -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    specs = {name: spec_of(document) for name, document in NETWORKS.items()}
    data = next(iter(specs.values())).dataset.load(Source())
    missed = detection(specs, data)
    wrong = alarms(specs, data, range(seeds))
    return 1 if missed or wrong else 0


def detection(specs: dict[str, RunSpec], data: Any) -> int:
    print(f"| fault | {' | '.join(specs)} |\n|{' --- |' * (len(specs) + 1)}")
    possible = {name: places(Objective(spec, data)) for name, spec in specs.items()}
    missed = 0
    for fault in FAULTS:
        row = []
        for name, spec in specs.items():
            if fault not in possible[name]:
                row.append("—")
                continue
            verdict = check(spec, data=data, inject_fault=fault).verdict
            row.append("caught" if verdict == "failed" else f"**{verdict}**")
            missed += verdict != "failed"
        print(f"| {fault} | {' | '.join(row)} |", flush=True)
    print(f"\nmissed: {missed}\n")
    return missed


def alarms(specs: dict[str, RunSpec], data: Any, seeds: Iterable[int]) -> int:
    """The right program of every network at every seed; how many were called failed."""
    print(
        f"| network | seeds | certified | not assessed | failed | largest error | seconds |\n|{' --- |' * 7}"
    )
    failed, checked = 0, 0
    for name, spec in specs.items():
        began = time.perf_counter()
        reports = [check(spec, data=data, seed=seed, engine=False) for seed in seeds]
        seconds = time.perf_counter() - began
        verdicts = [report.verdict for report in reports]
        largest = max(report.max_rel_err or 0.0 for report in reports)
        counts = " | ".join(str(verdicts.count(kind)) for kind in ("certified", "not assessed", "failed"))
        print(f"| {name} | {len(reports)} | {counts} | {largest:.1e} | {seconds:.0f} |", flush=True)
        failed, checked = failed + verdicts.count("failed"), checked + len(reports)
        for report in reports:
            if report.verdict != "certified":
                print(f"seed {report.seed}: {report.verdict}: {report.reason}")
    print(f"\nfalse alarms: {failed} of {checked}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
