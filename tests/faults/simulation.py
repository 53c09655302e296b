"""The protocol under simulated time: operations and planner on a database in memory, everything else made up.

A seeded scheduler lets workers, planner, reaper, shipper and a person take turns. Between turns time jumps, so that leases
run out; a turn may crash at any statement (the transaction is rolled back) or right after its commit (the caller never
learns of it); messages get lost and doubled. Afterwards everybody works properly for a while, and the history is checked.
The same seed makes the same schedule.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock

from sqlalchemy import Connection, event
from sqlalchemy.pool import StaticPool

from experiments.spec import ExperimentSpec
from service import operations, planner
from service.entities import Committed, Measured, MetricPoint, Run, Shipped, Worker
from service.errors import IllegalTransition
from service.lifecycle import RunStatus
from service.store import Store, queries
from service.store.tables import metadata
from tests.faults.history import Entry, of_events, violations

T = TypeVar("T")
Steps = Generator[None, None, None]
ROUTES = (("auto", "tensorflow"), ("cpu", "tensorflow"))
LEASE, RUNS, WORKERS = 10.0, 2, ("a", "b")
BEAT = 8.0  # seconds after which workers report again
CHAOS_STEPS, CALM_STEPS = 30, 600
SPEC = ExperimentSpec.parse(
    {
        "name": "simulated",
        "dataset": {"name": "digits"},
        "model": {"hidden": [2]},
        "optimizer": {"name": "sgd"},
        "sweep": {"seeds": RUNS},
    }
)
POINTS = SPEC.expand()


class Crash(Exception):
    """The process of an actor dies here."""


class Clock:
    """The database's clock, in seconds."""

    now = 1_000_000.0


class SimulatedStore(Store):
    """One SQLite database in memory whose clock and crashes are made up."""

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.engine.dispose()
        self.engine = self.engine.execution_options()
        pool = StaticPool(self.engine.pool._creator)  # one connection, which is the database
        self.engine.pool = pool
        event.listen(pool, "connect", self._connected)
        event.listen(self.engine, "before_cursor_execute", self._statement)
        self.crash_at: int | None = None  # statements from now; 0: right after the next commit
        metadata.create_all(self.engine)

    @staticmethod
    def _connected(dbapi: Any, record: Any) -> None:
        dbapi.isolation_level = None
        dbapi.execute("PRAGMA foreign_keys=ON")
        # SQLite lets an application replace its functions; db_now() is made of this one.
        dbapi.create_function("julianday", 1, lambda _: Clock.now / 86400.0 + 2440587.5)

    def _statement(self, *args: Any) -> None:
        if self.crash_at is not None and self.crash_at > 0:
            self.crash_at -= 1
            if self.crash_at == 0:
                self.crash_at = None
                raise Crash

    def write(self, work: Callable[[Connection], T], *, lock_name: str | None = None) -> T:
        result = super().write(work, lock_name=lock_name)
        if self.crash_at == 0:
            self.crash_at = None
            raise Crash
        return result

    def clear(self) -> None:
        """Delete every row."""
        with self.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())


class Simulation:
    """One schedule."""

    def __init__(self, store: SimulatedStore, seed: int) -> None:
        self.store, self.choice = store, random.Random(seed)
        self.queue: list[Any] = []
        self.mlflow: list[dict[str, str]] = []  # MLflow's runs: of, status
        self.history: list[Entry] = []
        self.cancelled: set[str] = set()
        self.chaos = True
        self.beaten = 0.0
        self.cursor: str | None = None
        self.experiment = operations.submit(store, SPEC, POINTS).id
        self.runs = [run.id for run in queries.all_runs(store, self.experiment)]
        self.make: dict[str, Callable[[], Steps]] = {
            "planner": self.planning,
            "reaper": self.reaping,
            "shipper": self.shipping,
            "person": self.person,
            **{f"worker-{name}": lambda name=name: self.working(name) for name in WORKERS},  # type: ignore[misc]
        }
        self.actors: dict[str, Steps] = {name: make() for name, make in self.make.items()}

    # -- the actors, a step between two yields -----------------------------------------------------------

    def planning(self) -> Steps:
        while True:
            if Clock.now - self.beaten > BEAT:
                for name in WORKERS:
                    operations.beat(self.store, Worker(name, queues=("gradus.cpu", "gradus.any")))
                self.beaten = Clock.now
            if self.chaos or not self.queue:
                planner.dispatch(
                    self.store, self.send, lambda queue: self.waiting(queue), redispatch_seconds=5
                )
            yield

    def send(self, message: Any) -> None:
        copies = self.choice.choice((0, 1, 1, 1, 2)) if self.chaos else 1
        self.queue += [message] * copies

    def waiting(self, queue: str) -> int:
        return sum(message.queue == queue for message in self.queue)

    def reaping(self) -> Steps:
        while True:
            operations.reap(self.store, max_lease_expirations=1000)
            yield

    def working(self, name: str) -> Steps:
        while True:
            if not self.queue:
                yield
                continue
            message = self.queue.pop(0)
            run_ids, _ = planner.more_urgent(self.store, message.run_ids, message.width, ROUTES)
            yield
            runs = operations.claim(
                self.store,
                run_ids,
                worker=name,
                spool=name,
                lease_seconds=LEASE,
                max_lease_expirations=1000,
            )
            claims = {run.id: run.attempt for run in runs}
            yield
            for epoch in (1, 2) if self.chaos else (1,):
                held = operations.renew(self.store, claims, LEASE)
                self.log("renew", {id: claims[id] for id in held})
                claims = {id: attempt for id, attempt in claims.items() if id in held}
                yield
                batch = {id: Measured(n, [MetricPoint("train/loss", epoch, 0.5)]) for id, n in claims.items()}
                refused = operations.record(self.store, batch)
                self.log("record", {id: n for id, n in claims.items() if id not in refused})
                yield
            if self.chaos and self.choice.random() < 0.2:
                operations.release(self.store, claims, reason="drain")
                yield
                continue
            # What is committed is logged in the same step: no other actor comes between.
            open_ = {
                id: run
                for id, run in queries.get_runs(self.store, claims).items()
                if run.committed_at is None
            }
            status = self.choice.choice(("FINISHED", "FINISHED", "FAILED"))
            try:
                refused = operations.commit(
                    self.store, {id: Committed(n, status, "x", {}) for id, n in claims.items()}
                )
            except Crash:
                stored = queries.get_runs(self.store, open_)
                self.log("commit", {id: r.attempt for id, r in stored.items() if r.committed_at is not None})
                raise
            self.log("commit", {id: n for id, n in claims.items() if id not in refused and id in open_})
            yield

    def shipping(self) -> Steps:
        while True:
            spool = self.choice.choice(WORKERS)
            leased = operations.claim_shipping(self.store, shipper="s", spool=spool, limit=10)
            yield
            for run, before in leased:
                there = run.mlflow_run_id
                if there is None and before is not None:
                    there = next((str(n) for n, r in enumerate(self.mlflow) if r["of"] == run.id), None)
                if there is None:
                    self.mlflow.append({"of": run.id, "status": "SCHEDULED"})
                    there = str(len(self.mlflow) - 1)
                yield
                yield from self.carry(run, there)

    def carry(self, run: Run, there: str) -> Steps:
        status = str(run.outcome["status"]) if run.outcome else run.status.value
        self.mlflow[int(there)]["status"] = status
        yield
        known = Shipped(run.change, there, status, attempt=run.attempt)
        if run.status == RunStatus.RUNNING and run.outcome:
            operations.finish(self.store, {run.id: known}, shipper="s")
        else:
            operations.note_shipped(self.store, {run.id: known}, shipper="s")
        self.log("ship", {run.id: run.attempt})
        yield

    def person(self) -> Steps:
        while True:
            run_id = self.choice.choice(self.runs)
            if self.chaos and self.choice.random() < 0.3:
                self.cancelled.add(run_id)
                operations.cancel_run(self.store, run_id)
            elif self.chaos and self.choice.random() < 0.3:
                try:
                    operations.retry_run(self.store, run_id)
                except IllegalTransition:
                    pass
                else:
                    self.cancelled.discard(run_id)
            yield

    # -- the scheduler ---------------------------------------------------------------------------------------

    def log(self, kind: Any, attempts: dict[str, int]) -> None:
        self.catch_up()
        self.history += [Entry(run, kind, attempt) for run, attempt in attempts.items()]

    def catch_up(self) -> None:
        """Take the status events since the last look into the history."""
        happened = queries.events_after(
            self.store, experiment_id=self.experiment, after=self.cursor, limit=10_000
        )
        if happened:
            self.cursor = happened[-1].id
        self.history += of_events(happened)

    def turn(self, name: str) -> None:
        if self.chaos and self.choice.random() < 0.25:
            self.store.crash_at = self.choice.choice((0, 1, 1, 2, 3, 4, 6, 8))
        try:
            next(self.actors[name])
        except Crash:
            self.actors[name].close()
            if name.startswith("worker-") and self.choice.random() < 0.5:
                operations.abandon(self.store, name.removeprefix("worker-"))
            self.actors[name] = self.make[name]()
        finally:
            self.store.crash_at = None

    def run(self) -> list[str]:
        """The violations of this schedule."""
        names = list(self.actors)
        for _ in range(CHAOS_STEPS):
            Clock.now += self.choice.choice((0.1, 0.1, 0.5, 2.0, LEASE + 1))
            self.turn(self.choice.choice(names))
        self.chaos = False
        names.remove("person")
        for step in range(CALM_STEPS):
            Clock.now += 1.0
            self.turn(names[step % len(names)])
            if step % len(names) == 0 and self.settled():
                break
        self.catch_up()
        runs = queries.get_runs(self.store, self.runs)
        complaints = violations(self.history, {id: run.status.value for id, run in runs.items()})
        for run in runs.values():
            there = [r["status"] for r in self.mlflow if r["of"] == run.id]
            if there != [run.status.value]:
                complaints.append(f"run {run.id}: {run.status} here, {there} in MLflow")
            if run.id in self.cancelled and run.status == RunStatus.FINISHED and run.cancel_requested_at:
                complaints.append(f"run {run.id}: cancelled, and FINISHED")
        return complaints

    def settled(self) -> bool:
        runs = queries.get_runs(self.store, self.runs).values()
        return all(run.is_terminal and run.mlflow_status == run.status for run in runs)


def simulate(seeds: range) -> dict[int, list[str]]:
    """Seed -> violations, of the schedules that have any."""
    store = SimulatedStore()
    by_seed = {}
    try:
        for seed in seeds:
            store.clear()
            with seeded_ids(seed):
                complaints = Simulation(store, seed).run()
            if complaints:
                by_seed[seed] = complaints
    finally:
        store.close()
    return by_seed


@contextmanager
def seeded_ids(seed: int) -> Iterator[None]:
    """Ids by the seed as well: rows are locked in the order of their ids, so they belong to the schedule."""
    choice = random.Random(f"ids {seed}")
    with mock.patch("secrets.token_hex", lambda size: f"{choice.getrandbits(8 * size):0{2 * size}x}"):
        yield
