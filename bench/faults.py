"""A storm of faults over the real stack, and what became of every run.

    python -m bench.faults [--seed 1] [--runs 200] [--faults 100] [--workers 2]

Submits experiments of short and lasting runs and breaks something every second or two, by a seeded choice: kills
children, workers, the API, the broker, MLflow and maintenance, freezes processes past the lease, empties the
broker and cuts its connections, doubles messages, blocks the database, stops workers with SIGTERM. Then it waits
for calm and counts. A run is *lost* when it is not over, *doubled* when it ended more than once or has more than
one MLflow run; a status *differs* when MLflow and the database do not say the same. Recovery is the time from a
fault that took a training away until the run is back in the queue, and until it is claimed again. The lease is
3 s, the reaper looks every second.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib.util
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis

from service.queue import Tile
from service.store import queries

_source = importlib.util.spec_from_file_location(
    "stack", Path(__file__).parent.parent / "tests" / "faults" / "conftest.py"
)
assert _source is not None
assert _source.loader is not None
_stack = importlib.util.module_from_spec(_source)
_source.loader.exec_module(_stack)
Stack: Any = _stack.Stack


class Storm:
    """The faults, each a method that gives True where it was made, and the runs each took away."""

    def __init__(self, stack: Any, choice: random.Random) -> None:
        self.stack, self.choice = stack, choice
        self.made: Counter[str] = Counter()
        self.taken: list[tuple[str, int, float]] = []  # run, attempt, when

    def strike(self) -> None:
        """One fault, the kinds that hit trainings more often than the others."""
        kinds = {
            self.kill_child: 6,
            self.kill_worker: 3,
            self.freeze_child: 3,
            self.stop_worker: 2,
            self.kill_broker: 2,
            self.flush_broker: 2,
            self.cut_connections: 3,
            self.double_messages: 3,
            self.kill_api: 2,
            self.kill_mlflow: 1,
            self.freeze_mlflow: 1,
            self.kill_maintenance: 2,
            self.block_database: 2,
        }
        fault = self.choice.choices(list(kinds), list(kinds.values()))[0]
        try:
            if fault():
                self.made[fault.__name__.replace("_", " ")] += 1
                print(f"  {sum(self.made.values())}: {fault.__name__.replace('_', ' ')}", flush=True)
        except (
            psutil.Error,
            subprocess.SubprocessError,
            ProcessLookupError,
            ConnectionError,
            AttributeError,
            TypeError,
        ):
            return  # what was to be broken is down already
        except redis.RedisError as error:  # the broker refuses while it starts
            print(f"  ({fault.__name__}: {type(error).__name__})")

    def worker(self) -> str:
        return f"worker-{self.choice.randint(1, self.stack.workers)}"

    def _held_by(self, worker: str) -> list[Any]:
        held = []
        for experiment in self.stack.accepted:
            held += [
                run
                for run in self.stack.runs(experiment)
                if run.status == "RUNNING" and run.worker == worker and run.committed_at is None
            ]
        return held

    def _take(self, worker: str) -> None:
        now = time.monotonic()
        self.taken += [(run.id, run.attempt, now) for run in self._held_by(worker)]

    def kill_child(self) -> bool:
        worker = self.worker()
        child = self.stack.child_of(worker)
        held = self._held_by(worker)
        child.kill()
        self.taken += [(run.id, run.attempt, time.monotonic()) for run in held]
        return True

    def kill_worker(self) -> bool:
        worker = self.worker()
        held = self._held_by(worker)
        self.stack.process_of(worker).kill()
        self.taken += [(run.id, run.attempt, time.monotonic()) for run in held]
        return True

    def freeze_child(self) -> bool:
        child = self.stack.child_of(self.worker())
        child.suspend()
        self._later(self.choice.uniform(4.0, 7.0), child.resume)
        return True

    def stop_worker(self) -> bool:
        self.stack.process_of(self.worker()).terminate()
        return True

    def kill_broker(self) -> bool:
        self.stack.kill("broker")
        return True

    def flush_broker(self) -> bool:
        return bool(self.stack.broker().flushall())

    def cut_connections(self) -> bool:
        return self.stack.broker().client_kill_filter(_type="normal") >= 0

    def double_messages(self) -> bool:
        waiting = [run for e in self.stack.accepted for run in self.stack.runs(e) if not run.is_terminal]
        if not waiting:
            return False
        sender = self.stack.sender()
        for run in self.choice.sample(waiting, min(5, len(waiting))):
            sender.send_tile(Tile(uuid.uuid4().hex[:20], (run.id,), 1, "gradus.any"))
        return True

    def kill_api(self) -> bool:
        self.stack.kill("api")
        return True

    def kill_mlflow(self) -> bool:
        self.stack.kill("mlflow")
        return True

    def freeze_mlflow(self) -> bool:
        self._later(self.choice.uniform(2.0, 6.0), self.stack.pause("mlflow"))
        return True

    def kill_maintenance(self) -> bool:
        self.stack.kill("maintenance")
        return True

    def block_database(self) -> bool:
        seconds = self.choice.choice([1.0, 2.0, 5.0])
        with sqlite3.connect(self.stack.home / "gradus.db", isolation_level=None, timeout=20) as db:
            db.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            db.execute("ROLLBACK")
        return True

    def _later(self, seconds: float, act: Any) -> None:
        def go_on() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):  # killed by another fault meanwhile
                act()

        timer = threading.Timer(seconds, go_on)
        timer.daemon = True
        timer.start()


def recoveries(stack: Any, storm: Storm, started: tuple[float, float]) -> tuple[list[float], list[float]]:
    """Seconds from each fault that took a training away until the run waits again or is over, and until it is
    claimed again; between the two it waits for a worker that is free."""
    monotonic, database = started
    back, again = [], []
    for run_id, attempt, at in storm.taken:
        events = [
            e for e in queries.events_after(stack.store, run_id=run_id, limit=5000) if e.kind == "status"
        ]
        mine = [e for e in events if e.data.get("attempt", 0) >= attempt]
        seconds = {e.id: max(0.0, (e.at.timestamp() - database) - (at - monotonic)) for e in mine}
        noticed = [
            e for e in mine if e.data["edge"] in ("lost", "reclaimed", "released", "worker_lost", "finished")
        ]
        claimed = [
            e for e in mine if e.data["attempt"] > attempt and e.data["edge"] in ("claimed", "reclaimed")
        ]
        back += [seconds[e.id] for e in noticed[:1]]
        again += [seconds[e.id] for e in claimed[:1]]
    return sorted(back), sorted(again)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--runs", type=int, default=200)
    options.add_argument("--faults", type=int, default=100)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    choice = random.Random(chosen.seed)
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and take the stack down
    stack = Stack(tempfile.mkdtemp(prefix="gradus-storm-"), chosen.workers, GRADUS_MAX_LOSSES="1000")
    try:
        stack.up()
        stack.wait_over(stack.post(stack.quick(2)))
        started = (time.monotonic(), queries.ping(stack.store))
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
            time.sleep(choice.uniform(0.5, 2.0))
        while accepted < chosen.runs:
            stack.wait(lambda: _stack.alive(stack.url + "/livez"), 60)
            stack.post(stack.quick(10) | {"seed": accepted})
            accepted += 10
        return report(stack, storm, started, chosen.seed)
    finally:
        stack.down()


def report(stack: Any, storm: Storm, started: tuple[float, float], seed: int) -> int:
    """Wait for calm, count, print; the exit status says whether the promise held."""
    stack.accepted = [e.id for e in queries.list_experiments(stack.store, limit=1000)[0]]
    deadline = time.monotonic() + 600

    def calm() -> bool:
        runs = [run for e in stack.accepted for run in stack.runs(e)]
        return all(run.is_terminal and run.mlflow_status == run.status for run in runs)

    while not calm() and time.monotonic() < deadline:
        time.sleep(0.5)
    runs = {run.id: run for e in stack.accepted for run in stack.runs(e)}
    lost = sum(not run.is_terminal for run in runs.values())
    doubled = differ = points = 0
    for experiment in stack.accepted:
        there = queries.get_experiment(stack.store, experiment).mlflow_experiment_id
        found = stack.mlflow.search_runs([there], max_results=5000) if there else []
        tagged = Counter(run.data.tags["gradus.run_id"] for run in found)
        doubled += sum(count > 1 for count in tagged.values())
        by_id = {run.data.tags["gradus.run_id"]: run for run in found}
        mine = stack.runs(experiment)
        differ += sum(run.id not in by_id or by_id[run.id].info.status != run.status for run in mine)
        try:
            stack.check_points(by_id, mine)
        except (AssertionError, KeyError):
            points += 1
    for run_id in runs:
        ends = [
            event
            for event in queries.events_after(stack.store, run_id=run_id, limit=1000)
            if event.kind == "status" and event.data["status"] in _stack.OVER
        ]
        doubled += len(ends) > 1
    back, again = recoveries(stack, storm, started)
    print(f"\nseed {seed}: {len(runs)} runs, {sum(storm.made.values())} faults")
    for kind, count in storm.made.most_common():
        print(f"  {kind:<20}{count:>5}")
    print(f"  {dict(Counter(run.status.value for run in runs.values()))}")
    print(
        f"  lost {lost}, doubled {doubled}, statuses that differ {differ}, experiments with other points {points}"
    )
    for what, times in (("noticed", back), ("claimed again", again)):
        if times:
            p99 = times[round(0.99 * (len(times) - 1))]
            print(f"  {what}: {len(times)}, median {statistics.median(times):.1f} s, 99 % {p99:.1f} s")
    return int(bool(lost or doubled or differ or points))


if __name__ == "__main__":
    sys.exit(main())
