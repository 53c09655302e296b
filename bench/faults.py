"""A storm of faults over the real stack, and what became of every run.

    python -m bench.faults [--seed 1] [--runs 200] [--faults 100] [--workers 2] [--every 1.25] [--overlapping]

Submits experiments of short and lasting runs and breaks something every so many seconds on average, by a seeded choice: kills
children, workers, the API, the broker, MLflow and maintenance, freezes processes past the lease, empties the
broker and cuts its connections, doubles messages, blocks the database, stops workers with SIGTERM. Then it waits
for calm and counts. A run is *lost* when it is not over, *doubled* when it ended more than once or has more than
one MLflow run; a status *differs* when MLflow and the database do not say the same.

Recovery is measured for every training that a fault took away (its attempt ended as lost, reclaimed or released;
a training that outlived the fault is no recovery), from the fault, by three clocks:

    noticed        until the run waits again, or is over
    running again  until another attempt has it, or it is over
    free           the same, less the time in which every worker trained something else

A worker that is being started, or loads TensorFlow, counts as free: that time is the product's own. The promise is
about the last: its 99th percentile is at most lease + reap interval + 10 s.

The promise is about one fault. So the next one comes as soon as what the one before took away runs again, or has
had that long; faults that took nothing away follow each other every --every seconds. With --overlapping they all do,
whatever is still being mended: with two workers, each is then struck again about when it has loaded TensorFlow, and
the recoveries say how long the storm kept them from training. What may not be lost or doubled is the same in both.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import itertools
import os
import random
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.fault_storm import Storm
from service.store import queries

sys.path.insert(0, str(Path(__file__).parent.parent))  # for what the tests share
from tests.faults.history import Entry, of_events, violations

_source = importlib.util.spec_from_file_location(
    "stack", Path(__file__).parent.parent / "tests" / "faults" / "conftest.py"
)
assert _source is not None
assert _source.loader is not None
_stack = importlib.util.module_from_spec(_source)
_source.loader.exec_module(_stack)
Stack: Any = _stack.Stack

GRACE = 10.0  # seconds: what a recovery may take beyond lease and reap interval
PATIENCE = 240.0  # seconds without the end of any run until what is not over counts as lost
TAKEN = ("lost", "reclaimed", "released", "worker_lost", "killed")


@dataclass(frozen=True)
class Recovery:
    """Seconds from a fault until its run was noticed to be gone, until it ran again, and of these with a free worker."""

    run: str
    fault: str
    at: float
    noticed: float
    again: float
    free: float


def recoveries(stack: Any, storm: Storm, workers: int) -> list[Recovery]:
    """One for each training that a fault took away, by the database's clock. One that never came back is not among
    them: it is lost, and counted there."""
    runs = {run.id: run for e in stack.accepted for run in stack.runs(e)}
    events = {
        id: [e for e in queries.events_after(stack.store, run_id=id, limit=5000) if e.kind == "status"]
        for id in runs
    }
    busy = trainings(runs, events, storm)
    interrupted = []
    hits = dict(storm.hit)
    for run_id, happened in events.items():
        for event in happened:
            if event.data["edge"] in (
                "lost",
                "reclaimed",
            ):  # by a fault that spares most: its lease ran out before
                attempt = event.data["attempt"] - (event.data["edge"] == "reclaimed")
                hits.setdefault((run_id, attempt), (event.at.timestamp() - stack.lease, "another fault"))
    for (run_id, attempt), (at, fault) in hits.items():
        later = [e for e in events[run_id] if e.data["attempt"] >= attempt and e.at.timestamp() >= at]
        gone = next((e for e in later if e.data["edge"] in TAKEN), None)
        again = next(
            (e for e in later if e.data["attempt"] > attempt or e.data["status"] in _stack.OVER), None
        )
        if gone is None or again is None:
            continue  # it outlived the fault
        back = again.at.timestamp()
        queued = all_busy(busy, at, back, workers)
        interrupted.append(
            Recovery(run_id, fault, at, gone.at.timestamp() - at, back - at, back - at - queued)
        )
    return interrupted


def trainings(
    runs: dict[str, Any], events: dict[str, Any], storm: Storm
) -> dict[str, list[tuple[float, float]]]:
    """Worker -> the times at which it trained something. One that a fault hit ends with the fault."""
    spans = defaultdict(list)
    for run_id, run in runs.items():
        happened = [(e.at.timestamp(), e) for e in events[run_id]]
        for number, (since, event) in enumerate(happened):
            if event.data["edge"] not in ("claimed", "reclaimed"):
                continue
            attempt = event.data["attempt"]
            ends = [at for at, later in happened[number + 1 :][:1]]
            if run.committed_at is not None and run.attempt == attempt:
                ends.append(run.committed_at.timestamp())
            elif (run_id, attempt) in storm.hit:
                ends.append(storm.hit[run_id, attempt][0])
            if ends:
                spans[event.data["worker"]].append((since, max(since, min(ends))))
    return spans


def all_busy(busy: dict[str, list[tuple[float, float]]], start: float, end: float, workers: int) -> float:
    """Seconds between `start` and `end` in which every one of `workers` trained something."""
    marks = sorted(
        {start, end, *(t for spans in busy.values() for span in spans for t in span if start < t < end)}
    )
    total = 0.0
    for left, right in itertools.pairwise(marks):
        middle = (left + right) / 2
        at_work = sum(any(a <= middle < b for a, b in spans) for spans in busy.values())
        total += (right - left) * (at_work >= workers)
    return total


def bounds(stack: Any) -> tuple[float, float]:
    """(lease, reap interval) of the stack, seconds."""
    return float(stack.environment["GRADUS_LEASE_SECONDS"]), float(stack.environment["GRADUS_REAP_SECONDS"])


def allowed(stack: Any) -> float:
    """Seconds that a recovery may take."""
    return sum(bounds(stack)) + GRACE


def p99(times: Sequence[float]) -> float:
    ordered = sorted(times)
    return ordered[round(0.99 * (len(ordered) - 1))]


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--runs", type=int, default=200)
    options.add_argument("--faults", type=int, default=100)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--every", type=float, default=1.25, help="mean seconds between faults")
    options.add_argument("--overlapping", action="store_true", help="do not wait for what a fault took away")
    chosen = options.parse_args()
    choice = random.Random(chosen.seed)
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and take the stack down
    stack = Stack(tempfile.mkdtemp(prefix="gradus-storm-"), chosen.workers, GRADUS_MAX_LOSSES="1000")
    try:
        stack.up()
        stack.wait_over(stack.post(stack.quick(2)))
        storm = Storm(stack, choice)
        accepted = 2
        while sum(storm.made.values()) < chosen.faults:
            if accepted < chosen.runs and choice.random() < 0.5:
                spec = (
                    stack.lasting(5, epochs=choice.randint(20, 60))
                    if choice.random() < 0.5
                    else stack.quick(10)
                )
                spec["seed"] = accepted
                try:
                    stack.post(spec, uuid.uuid4().hex, timeout=5)
                except (
                    httpx.HTTPError,
                    AssertionError,
                ) as error:  # the API may be down just now; what it did accept is found below
                    print(f"  (post: {type(error).__name__})")
                stack.accepted = [e.id for e in queries.list_experiments(stack.store, limit=1000)[0]]
                accepted = sum(len(stack.runs(e)) for e in stack.accepted)
            storm.strike()
            if not chosen.overlapping:
                storm.mended(allowed(stack))
            time.sleep(choice.uniform(0.4, 1.6) * chosen.every)
        while accepted < chosen.runs:
            stack.wait(lambda: _stack.alive(stack.url + "/livez"), 60)
            stack.post(stack.quick(10) | {"seed": accepted})
            accepted += 10
        return report(stack, storm, chosen.seed)
    finally:
        stack.down()


def report(stack: Any, storm: Storm, seed: int) -> int:
    """Wait for calm, count, print; the exit status says whether every promise held."""
    stack.accepted = [e.id for e in queries.list_experiments(stack.store, limit=1000)[0]]
    calm_from = time.monotonic()

    def restless() -> int:
        """Runs that are not over, or whose end MLflow does not know."""
        runs = [run for e in stack.accepted for run in stack.runs(e)]
        return sum(not (run.is_terminal and run.mlflow_status == run.status) for run in runs)

    left, moved = restless(), calm_from
    while left and time.monotonic() < moved + PATIENCE:
        if (now := restless()) != left:
            left, moved = now, time.monotonic()
        if stack.process.poll() is not None:
            raise SystemExit("the stack was ended from outside: this storm counts for nothing")
        time.sleep(0.5)
    calmed = time.monotonic() - calm_from
    runs = {run.id: run for e in stack.accepted for run in stack.runs(e)}
    lost = sum(not run.is_terminal for run in runs.values())
    doubled = differ = points = 0
    for experiment in stack.accepted:
        there = queries.get_experiment(stack.store, experiment).mlflow_experiment_id
        tracked = stack.mlflow.search_runs([there], max_results=5000) if there else []
        tagged = Counter(run.data.tags["gradus.run_id"] for run in tracked)
        doubled += sum(count > 1 for count in tagged.values())
        by_id = {run.data.tags["gradus.run_id"]: run for run in tracked}
        mine = stack.runs(experiment)
        differ += sum(run.id not in by_id or by_id[run.id].info.status != run.status for run in mine)
        try:
            stack.check_points(by_id, mine)
        except (AssertionError, KeyError):
            points += 1
    history: list[Entry] = []
    for run_id in runs:
        history += of_events(queries.events_after(stack.store, run_id=run_id, limit=100_000))
        ends = [
            event
            for event in queries.events_after(stack.store, run_id=run_id, limit=5000)
            if event.kind == "status" and event.data["status"] in _stack.OVER
        ]
        doubled += len(ends) > 1
    print(f"\nseed {seed}: {len(runs)} runs, {sum(storm.made.values())} faults, {stack.workers} workers")
    for kind, count in storm.made.most_common():
        print(f"  {kind:<20}{count:>5}")
    print(
        f"  {dict(Counter(run.status.value for run in runs.values()))}, all calm {calmed:.0f} s after the last"
    )
    print(
        f"  lost {lost}, doubled {doubled}, statuses that differ {differ}, experiments with other points {points}"
    )
    broken = violations(history, {id: run.status.value for id, run in runs.items()})
    print(f"  histories checked: {len(runs)}, violations {len(broken)}")
    for complaint in broken[:20]:
        print(f"    {complaint}")
    kept = told(stack, storm, recoveries(stack, storm, stack.workers))
    return int(bool(lost or doubled or differ or points or broken) or not kept)


def told(stack: Any, storm: Storm, recoveries: Sequence[Recovery]) -> bool:
    """Print the recoveries, and what happened in the slowest; whether the promise about them was kept."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"  load average {load} on {os.cpu_count()} cores")
    print(f"  faults hit {len(storm.hit)} trainings, {len(recoveries)} of them were taken away")
    if not recoveries:
        return True
    for what, times in (
        ("noticed", [recovery.noticed for recovery in recoveries]),
        ("running again or over", [recovery.again for recovery in recoveries]),
        ("the same, a worker free", [recovery.free for recovery in recoveries]),
    ):
        print(f"  {what:<24} median {statistics.median(times):5.1f} s   99 % {p99(times):5.1f} s")
    lease, reap = bounds(stack)
    kept = p99([recovery.free for recovery in recoveries]) <= allowed(stack)
    print(
        f"  allowed: lease {lease:g} + reap {reap:g} + {GRACE:g} = {allowed(stack):g} s: {'kept' if kept else 'NOT KEPT'}"
    )
    for recovery in sorted(recoveries, key=lambda recovery: -recovery.free)[:5]:
        print(
            f"    slowest: {recovery.free:5.1f} of {recovery.again:5.1f} s after {recovery.fault}, run {recovery.run[:8]}"
        )
        happened = [(at, what) for at, what in storm.story if recovery.at < at < recovery.at + recovery.again]
        for event in queries.events_after(stack.store, run_id=recovery.run, limit=5000):
            if event.kind == "status" and recovery.at <= event.at.timestamp() <= recovery.at + recovery.again:
                happened.append(
                    (event.at.timestamp(), f"run {event.data['edge']} {event.data.get('worker', '')}")
                )
        print("      " + ", ".join(f"{at - recovery.at:.1f} {what}" for at, what in sorted(happened)))
    return kept


if __name__ == "__main__":
    sys.exit(main())
