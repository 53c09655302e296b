"""What bench/faults.py breaks, and how: a seeded choice of faults over a real stack."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import redis

from service.errors import BrokerUnavailable
from service.queue import TileMessage
from service.store import queries


class Storm:
    """The faults, each a method that gives True where it was made, and the trainings that each hit."""

    def __init__(self, stack: Any, choice: random.Random) -> None:
        self.stack, self.choice = stack, choice
        self.began = time.monotonic()
        self.made: Counter[str] = Counter()
        self.story: list[tuple[float, str]] = []  # when, by the database's clock, and what
        self.hit: dict[tuple[str, int], tuple[float, str]] = {}  # (run, attempt) -> when first, by what

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
        name = fault.__name__.replace("_", " ")
        at, began = time.monotonic() - self.began, queries.ping(self.stack.store)
        try:
            if fault():
                self.made[name] += 1
                self.story.append((began, name))
                print(f"  {at:6.1f} s  {sum(self.made.values()):3}: {name}", flush=True)
        except (psutil.NoSuchProcess, ProcessLookupError, redis.RedisError) as error:
            # It went down in just this moment by an earlier fault, or the broker still starts: nothing was broken.
            print(f"  {at:6.1f} s  ({name}: {type(error).__name__})", flush=True)

    def mended(self, seconds: float) -> None:
        """Wait until everything that faults took away runs again or is over, or has had so many seconds."""
        now = queries.ping(self.stack.store)
        open_ = {training for training, (at, _) in self.hit.items() if now - at < seconds}
        while open_ and queries.ping(self.stack.store) - now < seconds:
            runs = queries.get_runs(self.stack.store, {id for id, _ in open_})
            open_ = {
                (id, attempt)
                for id, attempt in open_
                if (run := runs[id]).attempt == attempt and not run.is_terminal and run.committed_at is None
            }
            time.sleep(0.1)

    def worker(self) -> str:
        return f"worker-{self.choice.randint(1, self.stack.workers)}"

    def _held(self, *workers: str) -> list[tuple[str, int]]:
        """The trainings of these workers, or of all."""
        return [
            (run.id, run.attempt)
            for experiment in self.stack.accepted
            for run in self.stack.runs(experiment)
            if run.status == "RUNNING" and run.committed_at is None and (not workers or run.worker in workers)
        ]

    def _note(self, held: list[tuple[str, int]], at: float, what: str) -> None:
        for training in held:
            self.hit.setdefault(training, (at, what))

    def _strike(
        self, worker: str, process: psutil.Process | None, act: Callable[[psutil.Process], None], what: str
    ) -> bool:
        """Do something to a worker's process, and note which trainings it had."""
        if process is None:
            return False
        held, at = self._held(worker), queries.ping(self.stack.store)
        act(process)
        self._note(held, at, what)
        return True

    def kill_child(self) -> bool:
        worker = self.worker()
        return self._strike(worker, self.stack.child_of(worker), lambda child: child.kill(), "kill child")

    def freeze_child(self) -> bool:
        worker = self.worker()

        def freeze(child: psutil.Process) -> None:
            child.suspend()
            self._later(self.choice.uniform(4.0, 7.0), child.resume)

        return self._strike(worker, self.stack.child_of(worker), freeze, "freeze child")

    def kill_worker(self) -> bool:
        worker = self.worker()
        return self._strike(worker, self.stack.process_of(worker), lambda it: it.kill(), "kill worker")

    def stop_worker(self) -> bool:
        worker = self.worker()
        return self._strike(worker, self.stack.process_of(worker), lambda it: it.terminate(), "stop worker")

    def kill_broker(self) -> bool:
        return bool(self.stack.kill("broker"))

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
            with contextlib.suppress(BrokerUnavailable):
                sender.send_tile(TileMessage(uuid.uuid4().hex[:20], (run.id,), 1, "gradus.any"))
        return True

    def kill_api(self) -> bool:
        return bool(self.stack.kill("api"))

    def kill_mlflow(self) -> bool:
        return bool(self.stack.kill("mlflow"))

    def freeze_mlflow(self) -> bool:
        go_on = self.stack.pause("mlflow")
        if go_on is None:
            return False
        self._later(self.choice.uniform(2.0, 6.0), go_on)
        return True

    def kill_maintenance(self) -> bool:
        return bool(self.stack.kill("maintenance"))

    def block_database(self) -> bool:
        seconds = self.choice.choice([1.0, 2.0, 5.0])
        with sqlite3.connect(self.stack.home / "gradus.db", isolation_level=None, timeout=20) as db:
            db.execute("BEGIN IMMEDIATE")
            held, at = self._held(), queries.ping(self.stack.store)  # reading needs no lock
            time.sleep(seconds)
            db.execute("ROLLBACK")
        if seconds > self.stack.lease:  # else they go on
            self._note(held, at, "block database")
        return True

    def _later(self, seconds: float, act: Any) -> None:
        def go_on() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):  # killed by another fault meanwhile
                act()

        timer = threading.Timer(seconds, go_on)
        timer.daemon = True
        timer.start()
