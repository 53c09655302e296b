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
from experiments.gradient_check.certificates import GradientReport
from experiments.gradient_check.check import HAND_BOUND, check
from experiments.gradient_check.injected_faults import FAULTS, places
from experiments.gradient_check.objective import Objective
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
            report = check(spec, data=data, inject_fault=fault)
            row.append(caught_by(report) if report.verdict == "failed" else f"**{report.verdict}**")
            missed += report.verdict != "failed"
        print(f"| {fault} | {' | '.join(row)} |", flush=True)
    print("\nq: a coordinate's quotient, d: a direction, h: backprop by hand, t: the Taylor test's slope")
    print(f"missed: {missed}\n")
    return missed


def caught_by(report: GradientReport) -> str:
    """What objects: q a coordinate's quotient, d a direction, h backprop by hand, t the Taylor test's slope."""
    tensors = [tensor for state in report.states for tensor in state.tensors]
    ways = {
        "q": any(t.status == "failed" and (t.max is not None and not t.max <= 1e-4) for t in tensors),
        "d": any(t.direction is not None and t.direction.status == "failed" for t in tensors),
        "h": any(t.by_hand is not None and not t.by_hand <= HAND_BOUND for t in tensors),
        "t": any(s.slope is not None and not 1.9 <= s.slope <= 2.1 for s in report.states),
    }
    return " ".join(way for way, objects in ways.items() if objects) or "failed"


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
