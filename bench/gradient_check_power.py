"""Does the check catch wrong gradients, and leave right ones alone? `python -m bench.gradient_check_power [SEEDS]`

Each program of `gradient_check_programs` is checked at SEEDS (default 12) sets of other weights, points and coordinates;
then every fault that has a place in it, and that changes its gradient, is injected. Exit status 1 where a right program
was called failed, a fault was not caught, or a certificate was issued though no fault was caught. Ctrl-C or SIGTERM prints the
table of what was measured so far.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from bench.gradient_check_programs import Program, programs
from experiments.datasets import Data, Source
from experiments.gradient_check.check import ATTEMPTS, Checker, jumps
from experiments.gradient_check.injected_faults import applicable, changed
from experiments.gradient_check.objective import Objective


@dataclass
class Tally:
    """What the programs of a group came to."""

    programs: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    caught: int = 0
    largest: float = 0.0
    seconds: float = 0.0


def main() -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    wanted = sys.argv[2:]
    tallies: dict[str, Tally] = {}
    data: dict[str, Data] = {}
    wrong = 0
    chosen = [program for program in programs() if not wanted or program.group in wanted]
    random.Random(0).shuffle(chosen)  # a run that is cut off has then seen some of every group
    try:
        for program in chosen:
            name = program.spec.dataset.canonical + program.spec.model.data_format
            if name not in data:
                data[name] = program.spec.dataset.load(Source(), program.spec.model.data_format)
            wrong += measure(program, data[name], seeds, tallies.setdefault(program.group, Tally()))
            print(f"{sum(tally.programs for tally in tallies.values())} of {len(chosen)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("cut off")
    show(tallies)
    return 1 if wrong else 0


def measure(program: Program, data: Data, seeds: int, tally: Tally) -> int:
    """Add one program to its group's tally; how many of its answers were wrong."""
    began = time.perf_counter()
    tally.programs += 1
    if jumps(program.spec):
        tally.verdicts["refused"] += seeds
        return 0
    checker = Checker(program.spec, data)
    reports = [checker.report(seed, engine=seed == 0) for seed in range(seeds)]
    verdicts = Counter(report.verdict for report in reports)
    tally.verdicts.update(verdicts)
    certified = [report.max_rel_err or 0.0 for report in reports if report.verdict == "certified"]
    tally.largest = max([tally.largest, *certified])
    injected, missed = faults(checker, data)
    tally.faults += injected
    tally.caught += injected - len(missed)
    unproven = bool(certified) and injected == len(missed)
    for report in {report.verdict: report for report in reports}.values():
        if report.verdict != "certified" or len(verdicts) > 1:
            count = verdicts[report.verdict]
            print(f"{program}: {report.verdict} at {count} seeds, e.g. {report.seed}: {report.reason}")
    for name in missed:
        print(f"{program}: {name} was not caught")
    if unproven:
        print(f"{program}: certified, and no fault was caught")
    sys.stdout.flush()
    tally.seconds += time.perf_counter() - began
    return verdicts["failed"] + len(missed) + unproven


def faults(checker: Checker, data: Data) -> tuple[int, list[str]]:
    """The number of faults that change the gradient, and those of them that were not caught.

    A fault in a program that is not assessed need not be called failed; it must not be certified.
    """
    certified = checker.report(engine=False).verdict == "certified"
    right = {at: checker.gradient(*at) for at in ATTEMPTS}
    injected, missed = 0, []
    for name in applicable(Objective(checker.spec, data)):
        faulty = checker.with_fault(name)
        if not any(changed(gradient, faulty.gradient(*at)) for at, gradient in right.items()):
            continue
        injected += 1
        verdict = faulty.report(engine=False).verdict
        if verdict == "certified" or (certified and verdict != "failed"):
            missed.append(name)
    return injected, missed


def show(tallies: dict[str, Tally]) -> None:
    """The table of docs/gradient-check.md."""
    kinds = ("certified", "not assessed", "refused", "failed")
    print(
        f"| {' | '.join(('group', 'programs', 'checks', *kinds, 'faults', 'caught', 'largest error', 's'))} |"
    )
    print("|" + " --- |" * 11)
    for group, tally in tallies.items():
        counts = " | ".join(str(tally.verdicts[kind]) for kind in kinds)
        print(
            f"| {group} | {tally.programs} | {tally.verdicts.total()} | {counts} | {tally.faults} | {tally.caught} "
            f"| {tally.largest:.1e} | {tally.seconds:.0f} |"
        )
    checks = sum(tally.verdicts.total() - tally.verdicts["refused"] for tally in tallies.values())
    alarms = sum(tally.verdicts["failed"] for tally in tallies.values())
    injected, caught = (sum(getattr(t, name) for t in tallies.values()) for name in ("faults", "caught"))
    print(f"\nfalse alarms: {alarms} of {checks}; faults caught: {caught} of {injected}")


if __name__ == "__main__":
    sys.exit(main())
