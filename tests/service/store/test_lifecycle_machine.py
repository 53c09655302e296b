"""A state machine that does anything in any order, and four things that hold after every step.

accepted runs end once everybody stops disturbing; a run has at most one committed outcome per retry; fences only
rise; a status changes only along an edge of TRANSITIONS.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import event

from experiments.spec import ExperimentSpec
from service import operations as ops
from service.entities import Committed, Measured, MetricPoint
from service.errors import IllegalTransition
from service.lifecycle import TRANSITIONS, Edge, RunStatus, is_terminal
from service.store import Store, queries
from service.store.tables import metadata
from tests.present import present

RUNS = 4
WORKERS = ("a", "b", "c")
some_runs = st.lists(st.integers(0, RUNS - 1), min_size=1, max_size=RUNS, unique=True)
a_run = st.integers(0, RUNS - 1)
a_worker = st.sampled_from(WORKERS)
SPEC = ExperimentSpec.parse(
    {
        "name": "machine",
        "dataset": {"name": "digits"},
        "model": {"hidden": [2]},
        "optimizer": {"name": "sgd"},
        "sweep": {"seeds": RUNS},
    }
)


class Machine(RuleBasedStateMachine):
    """Workers remember what they claimed, also long after they lost it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(f"sqlite:///{Path(self.folder.name) / 'x.db'}")
        event.listen(self.store.engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA synchronous=OFF"))
        metadata.create_all(self.store.engine)
        self.memory: dict[str, list[tuple[str, int]]] = {worker: [] for worker in WORKERS}
        self.attempts: dict[str, int] = {}
        self.accepted: set[tuple[str, int]] = set()  # (run, attempt) whose outcome was taken
        self.cancelled: dict[str, bool] = {}
        self.cursor: str | None = None
        self.statuses: dict[str, str] = {}

    @initialize()
    def submit(self) -> None:
        experiment = ops.submit(self.store, SPEC, SPEC.expand())
        self.runs = [run.id for run in queries.all_runs(self.store, experiment.id)]
        self.experiment = experiment.id
        self.statuses = dict.fromkeys(self.runs, "SCHEDULED")

    @rule(which=some_runs, worker=a_worker)
    def claim(self, which: Any, worker: Any) -> None:
        wanted = [self.runs[number] for number in which]
        for run in ops.claim(self.store, wanted, worker=worker, spool="s", lease_seconds=600):
            assert run.attempt > self.attempts.get(run.id, 0)
            self.attempts[run.id] = run.attempt
            self.memory[worker].append((run.id, run.attempt))

    @rule(worker=a_worker)
    def die(self, worker: Any) -> None:
        """Its leases run out; it may come back as a ghost that remembers everything."""
        ops.abandon(self.store, worker)

    @rule()
    def reap(self) -> None:
        ops.reap(self.store)

    @rule(worker=a_worker, data=st.data(), step=st.integers(1, 3))
    def record(self, worker: Any, data: Any, step: Any) -> None:
        for run_id, attempt in self._remembered(worker, data):
            taken = not ops.record(self.store, {run_id: Measured(attempt, [MetricPoint("loss", step, 0.5)])})
            assert not taken or attempt == self.attempts[run_id]

    @rule(worker=a_worker, data=st.data())
    def checkpoint(self, worker: Any, data: Any) -> None:
        for run_id, attempt in self._remembered(worker, data):
            place = {"spool": "s", "epoch": 1, "width": 4}
            assert (
                not ops.record_checkpoints(self.store, {run_id: attempt}, {run_id: place})
                or attempt == self.attempts[run_id]
            )

    @rule(worker=a_worker, data=st.data(), status=st.sampled_from(["FINISHED", "FAILED", "KILLED"]))
    def commit(self, worker: Any, data: Any, status: Any) -> None:
        for run_id, attempt in self._remembered(worker, data):
            if not ops.commit(self.store, {run_id: Committed(attempt, status, "x", {})}):
                assert attempt == self.attempts[run_id]
                self.accepted.add((run_id, attempt))

    @rule(worker=a_worker, data=st.data(), single_lane=st.booleans())
    def release(self, worker: Any, data: Any, single_lane: Any) -> None:
        ops.release(self.store, dict(self._remembered(worker, data)), reason="drain", single_lane=single_lane)

    @rule(number=a_run)
    def finish(self, number: int) -> None:
        ops.finish(self.store, {self.runs[number]: None})

    @rule(number=a_run)
    def cancel(self, number: int) -> None:
        run = ops.cancel_run(self.store, self.runs[number])
        assert run.status != RunStatus.SCHEDULED
        if run.status != RunStatus.FINISHED and run.status != RunStatus.FAILED:
            self.cancelled[run.id] = True

    @rule(number=a_run)
    def retry(self, number: int) -> None:
        try:
            run = ops.retry_run(self.store, self.runs[number])
        except IllegalTransition:
            return
        if run.status == RunStatus.SCHEDULED:
            self.cancelled[run.id] = False

    @rule(which=some_runs, packed_anew=st.booleans())
    def go_on(self, which: Any, packed_anew: bool) -> None:
        """Those that are FINISHED train on for more epochs; the others stay as they are."""
        wanted = [self.runs[number] for number in which]
        finished = [id for id in wanted if self.statuses[id] == "FINISHED"]
        seen = queries.get_experiment(self.store, self.experiment)
        again = ops.continue_runs(
            self.store,
            seen,
            {id: {"epochs": 9} for id in wanted},
            going_on=wanted,
            packed_anew=packed_anew,
            stage=seen.stage,
        )
        assert again == len(finished)

    def _remembered(self, worker: Any, data: Any) -> Any:
        if not self.memory[worker]:
            return []
        return [data.draw(st.sampled_from(self.memory[worker]))]

    @invariant()
    def statuses_follow_the_edges(self) -> None:
        edges = {(a.value, e.value, b.value) for a, e, b in TRANSITIONS}
        batch = queries.events_after(self.store, experiment_id=self.experiment, after=self.cursor)
        for happened in batch:
            self.cursor = happened.id
            if happened.kind == "status":
                step = (happened.data["from"], happened.data["edge"], happened.data["status"])
                assert step in edges
                assert self.statuses[present(happened.run_id)] == happened.data["from"]
                self.statuses[present(happened.run_id)] = happened.data["status"]
        now = {run.id: run for run in queries.get_runs(self.store, self.runs).values()}
        assert {id: run.status.value for id, run in now.items()} == self.statuses

    @invariant()
    def fences_and_outcomes_hold(self) -> None:
        for run in queries.get_runs(self.store, self.runs).values():
            assert run.attempt == self.attempts.get(run.id, 0)
            assert sum(id == run.id and attempt == run.attempt for id, attempt in self.accepted) <= 1
            if run.outcome is not None:
                assert (run.id, run.outcome["attempt"]) in self.accepted
            if self.cancelled.get(run.id):
                assert run.status != RunStatus.FINISHED
            assert (run.committed_at is None) == (run.outcome is None)

    def teardown(self) -> None:
        """Everybody works properly from now on: then every accepted run ends."""
        try:
            for _ in range(10):
                ops.reap(self.store)
                for worker in WORKERS:
                    ops.abandon(self.store, worker)
                for run_id in self.runs:
                    got = ops.claim(self.store, [run_id], worker="last", spool="s", lease_seconds=600)
                    for run in got:
                        ops.commit(self.store, {run.id: Committed(run.attempt, "FINISHED", "x", {})})
                    ops.finish(self.store, {run_id: None})
            runs = queries.get_runs(self.store, self.runs).values()
            assert all(is_terminal(run.status) for run in runs)
        finally:
            self.store.close()
            self.folder.cleanup()


Machine.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestLifecycle = Machine.TestCase


def test_every_edge_has_a_name_and_terminal_statuses_end() -> None:
    assert {edge for _, edge, _ in TRANSITIONS} == set(Edge)
    ended = {(source, edge) for source, edge, _ in TRANSITIONS if is_terminal(source)}
    assert ended == {
        (RunStatus.FAILED, Edge.RETRIED), (RunStatus.KILLED, Edge.RETRIED), (RunStatus.FINISHED, Edge.CONTINUED),
    }  # fmt: skip
