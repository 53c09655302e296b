"""What a worker's parent does when its child dies, told by Celery's own signal."""

from __future__ import annotations

import pytest
from billiard.exceptions import WorkerLostError
from celery.signals import task_failure

from service import operations
from service.lifecycle import Worker
from service.planner import dispatch
from workers import app
from workers.devices import Device
from workers.parent import Parent
from workers.watchdog import EXIT_WORN


@pytest.fixture
def parent(bench, monkeypatch):
    made = Parent(bench.settings, Device("cpu", "cpu", 1))
    monkeypatch.setattr(app, "_parent", [made])
    return made


def sent(bench):
    """One tile, sent and taken by this worker."""
    tiles = []
    operations.beat(bench.store, Worker("w", queues=("gradus.any",)))
    dispatch(bench.store, tiles.append, lambda queue: 0)
    return tiles


def die(tile, message="signal 9 (SIGKILL)"):
    error = WorkerLostError(f"Worker exited prematurely: {message} Job: 1.")
    task_failure.send(sender=None, task_id="t", exception=error, args=[list(tile.run_ids), tile.width])


def test_a_child_that_dies_before_it_claimed_anything_loses_no_time(bench, parent):
    bench.submit()
    (tile,) = sent(bench)
    assert sent(bench) == [], "its message is on its way"
    die(tile)
    (again,) = sent(bench)
    assert again.run_ids == tile.run_ids


def test_a_child_that_dies_while_it_trains_is_reaped_at_once(bench, parent):
    bench.submit()
    (tile,) = sent(bench)
    operations.claim(bench.store, tile.run_ids, worker="w", spool="s", lease_seconds=3600)
    die(tile)
    assert operations.reap(bench.store).rescheduled == tile.run_ids


def test_a_child_that_left_for_its_memory_loses_nothing(bench, parent):
    bench.submit()
    (tile,) = sent(bench)
    operations.claim(bench.store, tile.run_ids, worker="w", spool="s", lease_seconds=3600)
    die(tile, f"exitcode {EXIT_WORN}")
    assert operations.reap(bench.store).rescheduled == ()
