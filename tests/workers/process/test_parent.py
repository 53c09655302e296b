"""What a worker's parent does when its child dies, told by Celery's own signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery.signals import task_failure
from celery.worker import state as celery_state

from service import operations
from service.entities import Worker
from service.planner import dispatch
from service.store import queries
from tests.present import present
from tests.workers.conftest import Bench
from workers import app
from workers.process import drain
from workers.process import parent as parent_module
from workers.process.devices import Device
from workers.process.oversight import LATE, REQUEST_SECONDS, ChildOversight
from workers.process.parent import Parent
from workers.process.watchdog import EXIT_WORN


@pytest.fixture
def parent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Parent(bench.settings, Device("cpu", "cpu", 1))
    monkeypatch.setattr(app, "_parent", [made])
    return made


def sent(bench: Bench) -> Any:
    """One tile, sent and taken by this worker."""
    tiles: list[Any] = []
    operations.beat(bench.store, Worker("w", queues=("gradus.any",)))
    dispatch(bench.store, tiles.append, lambda queue: 0)
    return tiles


def die(tile: Any, message: str = "signal 9 (SIGKILL)") -> None:
    error = WorkerLostError(f"Worker exited prematurely: {message} Job: 1.")
    task_failure.send(sender=None, task_id="t", exception=error, args=[list(tile.run_ids), tile.width])


def test_a_child_that_dies_before_it_claimed_anything_loses_no_time(bench: Bench, parent: Any) -> None:
    bench.submit()
    (tile,) = sent(bench)
    assert sent(bench) == [], "its message is on its way"
    die(tile)
    (again,) = sent(bench)
    assert again.run_ids == tile.run_ids


def test_a_child_that_dies_while_it_trains_is_reaped_at_once(bench: Bench, parent: Any) -> None:
    bench.submit()
    (tile,) = sent(bench)
    operations.claim(bench.store, tile.run_ids, worker="w", spool="s", lease_seconds=3600)
    die(tile)
    assert sorted(lapsed.run for lapsed in operations.reap(bench.store)) == sorted(tile.run_ids)


class Message:
    """What Celery's state keeps of a task that was received."""

    def __init__(self, tile: Any) -> None:
        self.args = (list(tile.run_ids), tile.width)


class Pool:
    """A worker object whose pool has this one child."""

    def __init__(self, child: Any) -> None:
        self.pool = SimpleNamespace(_pool=SimpleNamespace(_pool=[child]))


@pytest.fixture
def child() -> Iterator[Any]:
    made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield made
    made.kill()
    made.wait()


@pytest.mark.parametrize("claimed", [False, True])
def test_told_to_stop_only_a_child_that_holds_runs_is_waited_for(
    bench: Bench, parent: Any, child: Any, claimed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.submit()
    (tile,) = sent(bench)
    if claimed:
        operations.claim(bench.store, tile.run_ids, worker="w", spool="s", lease_seconds=3600)
    monkeypatch.setattr(drain, "SIGNAL", 0)  # asks nothing, and is no end either
    monkeypatch.setattr(celery_state, "reserved_requests", [Message(tile)])
    parent.worker = Pool(child)
    parent.drain()
    if claimed:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(3 * parent_module.LOADING_SECONDS)
        parent.stop()
        return
    assert child.wait(10 * parent_module.LOADING_SECONDS) == -signal.SIGKILL
    assert {run.lease_expirations for run in queries.get_runs(bench.store, tile.run_ids).values()} == {0}


def test_a_child_that_left_for_its_memory_loses_nothing(bench: Bench, parent: Any) -> None:
    bench.submit()
    (tile,) = sent(bench)
    operations.claim(bench.store, tile.run_ids, worker="w", spool="s", lease_seconds=3600)
    die(tile, f"exitcode {EXIT_WORN}")
    assert operations.reap(bench.store) == []


@pytest.mark.parametrize("why", ["lease", "time"])
def test_a_child_that_stands_still_is_ended_from_outside(
    bench: Bench, parent: Any, child: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under SIGSTOP: it can look after neither its lease nor its time."""
    clock = Clock()
    monkeypatch.setattr(parent, "_oversight", ChildOversight(patience=20, clock=clock))
    bench.submit()
    (tile,) = sent(bench)
    operations.claim(bench.store, tile.run_ids, worker="w", spool="s", lease_seconds=3600)
    monkeypatch.setattr(celery_state, "reserved_requests", [Message(tile)])
    parent.worker = Pool(child)
    child.send_signal(signal.SIGSTOP)
    parent._end_stuck_child()
    if why == "lease":
        operations.abandon(bench.store, "w")
        operations.reap(bench.store)
        parent._end_stuck_child()
        clock.now += 21
    else:
        clock.now += bench.settings.max_run_seconds * 1.125 + 21
    assert child.poll() is None
    parent._end_stuck_child()
    assert child.wait(10) == -signal.SIGKILL
    ended = [queries.get_run(bench.store, run_id) for run_id in tile.run_ids]
    if why == "lease":
        assert {(run.status, run.reason) for run in ended} == {("SCHEDULED", "lost")}
    else:
        assert {(run.reason, run.committed_at is not None) for run in ended} == {("time_limit", True)}


@pytest.mark.parametrize("why", ["lease", "time"])
def test_a_child_that_stands_still_in_a_request_is_ended_and_the_person_told(
    bench: Bench, parent: Any, child: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prediction that does not end: with a renewed lease it fails with a sentence, without one it is sent again."""
    clock = Clock()
    monkeypatch.setattr(parent, "_oversight", ChildOversight(patience=20, clock=clock))
    (run,) = bench.submit()
    asked = operations.create_request(bench.store, run.id, kind="predict", payload={})
    seconds = 3600 if why == "time" else 0
    operations.claim_request(bench.store, asked.id, worker="w", lease_seconds=seconds)
    monkeypatch.setattr(celery_state, "active_requests", [SimpleNamespace(args=(asked.id,))])
    parent.worker = Pool(child)
    child.send_signal(signal.SIGSTOP)
    parent._end_stuck_child()
    if why == "lease":
        assert operations.claim_request(bench.store, asked.id, worker="other", lease_seconds=3600)
        parent._end_stuck_child()
        clock.now += 21
    else:
        clock.now += REQUEST_SECONDS * LATE + 21
    assert child.poll() is None
    parent._end_stuck_child()
    assert child.wait(10) == -signal.SIGKILL
    ended = queries.get_request(bench.store, asked.id)
    if why == "lease":
        assert (ended.status, ended.worker) == ("running", "other")
    else:
        assert ended.status == "failed"
        assert present(ended.error).startswith("answering took longer than 600 s")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now
