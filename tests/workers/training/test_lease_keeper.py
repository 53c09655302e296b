"""The lease keeper on a real database that can be switched off, with a clock that the test moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from experiments.spec import ExperimentSpec
from service import operations
from service.entities import MetricPoint
from service.errors import StoreUnavailable
from service.store import Store, queries
from tests.databases import make_tables
from tests.workers.conftest import LINEAR
from workers.training.lease_keeper import CheckpointRef, LeaseKeeper

T = TypeVar("T")


class SwitchedStore(Store):
    """A database that answers nobody while it is `away`."""

    away = False

    def read(self, work: Callable[[Connection], T]) -> T:
        self._answer()
        return super().read(work)

    def write(self, work: Callable[[Connection], T], *, lock_name: str | None = None) -> T:
        self._answer()
        return super().write(work, lock_name=lock_name)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("switched off")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A tile of two runs, claimed, and its keeper: lease 3 s, stop requests read every 2 s."""

    def __init__(self, store: SwitchedStore) -> None:
        self.store, self.clock = store, Clock()
        spec = ExperimentSpec.parse({**LINEAR, "sweep": {"seeds": 2}})
        experiment = operations.submit(store, spec, spec.expand(), owner="")
        self.a, self.b = (run.id for run in queries.all_runs(store, experiment.id))
        operations.claim(store, [self.a, self.b], worker="w", spool="s", lease_seconds=60)
        self.keeper = LeaseKeeper(store, {self.a: 1, self.b: 1}, lease=3.0, poll=2.0, clock=self.clock)

    def lease(self, run_id: str) -> object:
        return queries.get_run(self.store, run_id).lease_expires_at

    def take_away(self, run_id: str) -> None:
        """Another worker claims the run."""
        operations.release(self.store, {run_id: 1}, reason="test")
        operations.claim(self.store, [run_id], worker="other", spool="s", lease_seconds=60)

    def points(self, run_id: str) -> list[tuple[str, int, float | None]]:
        stored = queries.metric_history(self.store, run_id)[0]
        return [(point.key, point.step, point.value) for point in stored]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    url = f"sqlite:///{tmp_path / 'gradus.db'}"
    make_tables(url)
    store = SwitchedStore(url)
    yield Scene(store)
    store.close()


def test_renews_every_third_of_the_lease(scene: Scene) -> None:
    leases = [scene.lease(scene.a)]
    for _ in range(13):
        scene.keeper.turn()
        leases.append(scene.lease(scene.a))
        scene.clock.now += 0.25
    renewed = [turn for turn, (old, new) in enumerate(itertools.pairwise(leases)) if old != new]
    assert renewed == [4, 8, 12], "after 1, 2 and 3 s"
    assert scene.keeper.asked(scene.a) is None


def test_a_newer_attempt_takes_one_lane_only(scene: Scene) -> None:
    scene.take_away(scene.a)
    scene.clock.now += 1.0
    scene.keeper.turn()
    assert scene.keeper.asked(scene.a) == "lost"
    assert scene.keeper.asked(scene.b) is None


def test_cancellation_is_read_within_the_poll_interval(scene: Scene) -> None:
    scene.keeper.turn()
    operations.cancel_run(scene.store, scene.a)
    scene.clock.now += 1.9
    scene.keeper.turn()
    assert scene.keeper.asked(scene.a) is None
    scene.clock.now += 0.1
    scene.keeper.turn()
    assert scene.keeper.asked(scene.a) == "cancelled"
    assert scene.keeper.asked(scene.b) is None


def test_database_away_for_less_than_the_lease_changes_nothing(scene: Scene) -> None:
    scene.keeper.record(scene.a, [MetricPoint("train/loss", 1, 0.5)])
    scene.store.away = True
    for _ in range(5):
        scene.clock.now += 0.5
        with pytest.raises(StoreUnavailable):
            scene.keeper.turn()
    assert scene.keeper.asked(scene.a) is None
    scene.store.away = False
    scene.keeper.turn()
    assert scene.points(scene.a) == [("train/loss", 1, 0.5)]


def test_database_away_for_the_whole_lease_loses_the_runs(scene: Scene) -> None:
    scene.store.away = True
    scene.clock.now += 3.01
    assert scene.keeper.asked(scene.a) == "lost"


def test_measurements_are_sent_once_and_a_refused_run_is_lost(scene: Scene) -> None:
    scene.take_away(scene.b)
    for run_id in (scene.a, scene.b):
        scene.keeper.record(run_id, [MetricPoint("x", 0, float("nan"))], {"t": "1"})
    scene.keeper.flush()
    scene.keeper.send()
    assert scene.points(scene.a) == [("x", 0, None)]
    assert queries.get_run(scene.store, scene.a).tags["t"] == "1"
    assert scene.points(scene.b) == []
    assert scene.keeper.asked(scene.b) == "lost"
    assert scene.keeper.waiting() == []


def test_a_checkpoint_is_noted_after_what_was_recorded_before_it(scene: Scene) -> None:
    stored_when_noted: list[object] = []

    def noted() -> None:
        stored_when_noted.extend(scene.points(scene.a))

    location = {"spool": "s", "name": "checkpoint-1-7", "epoch": 7, "width": 2}
    scene.keeper.record(scene.a, [MetricPoint("x", 7, 1.0)])
    scene.keeper.checkpoint(scene.a, CheckpointRef(location, noted))
    scene.keeper.flush()
    assert queries.get_run(scene.store, scene.a).checkpoint == location
    assert stored_when_noted == [("x", 7, 1.0)]


def test_the_checkpoint_of_a_lost_run_is_not_noted(scene: Scene) -> None:
    scene.take_away(scene.a)
    forgotten: list[str] = []
    location = {"spool": "s", "name": "checkpoint-1-7", "epoch": 7, "width": 2}
    scene.keeper.checkpoint(scene.a, CheckpointRef(location, lambda: forgotten.append("older ones")))
    scene.keeper.send()
    assert queries.get_run(scene.store, scene.a).checkpoint is None
    assert forgotten == []


def test_the_thread_renews_and_sends_by_itself(scene: Scene) -> None:
    before = scene.lease(scene.a)
    with LeaseKeeper(scene.store, {scene.a: 1}, lease=0.6, poll=0.05) as keeper:
        keeper.record(scene.a, [MetricPoint("x", 1, 1.0)])
        keeper._done.wait(0.5)
        assert keeper.asked(scene.a) is None
    assert scene.lease(scene.a) != before
    assert scene.points(scene.a) == [("x", 1, 1.0)]
