"""Claims, leases and what an attempt writes: exclusive, fenced, counted once. On both databases."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from service import operations as ops
from service.entities import Committed, Measured, MetricPoint
from service.lifecycle import RunStatus
from service.store import Store, queries
from tests.present import present
from tests.service.store.deeds import claim, edges, finished, ids


def test_a_claim_is_exclusive_and_raises_the_attempt(store: Store, submit: Any) -> None:
    run_ids = ids(store, submit())
    got = claim(store, run_ids[:2])
    assert [(run.id, run.attempt, run.status, run.worker) for run in got] == [
        (id, 1, RunStatus.RUNNING, "w1") for id in run_ids[:2]
    ]
    assert [run.id for run in claim(store, run_ids, worker="w2")] == run_ids[2:]
    assert claim(store, run_ids, worker="w3") == []


def test_what_an_older_attempt_writes_is_refused(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    (old,) = claim(store, [run_id], lease=0.001)
    time.sleep(0.01)
    (new,) = claim(store, [run_id], worker="w2")
    assert (new.attempt, new.lease_expirations) == (2, 1)
    assert ops.renew(store, {run_id: old.attempt}, 60) == set()
    assert ops.record(store, {run_id: Measured(old.attempt, [MetricPoint("train/loss", 1, 1.0)])})
    assert not ops.record_checkpoints(store, {run_id: old.attempt}, {run_id: {"epoch": 1}})
    assert ops.commit(store, {run_id: Committed(old.attempt, "FINISHED", "epochs", {})})
    ops.release(store, {run_id: old.attempt}, reason="drain")
    assert ops.renew(store, {run_id: new.attempt}, 60) == {run_id}
    assert not ops.commit(store, {run_id: Committed(new.attempt, "FINISHED", "epochs", {"n": 2})})
    assert present(queries.get_run(store, run_id).outcome)["n"] == 2
    assert queries.metric_history(store, run_id) == ([], None)
    assert edges(store, run_id) == ["claimed", "reclaimed"]


def test_a_commit_is_told_twice_and_counts_once(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    claim(store, [run_id])
    for _ in range(2):
        assert not ops.commit(store, {run_id: Committed(1, "FINISHED", "epochs", {"x": math.nan})})
    assert claim(store, [run_id]) == []
    assert ops.reap(store) == []
    run = finished(store, run_id)
    assert (run.status, run.reason, present(run.outcome)["x"]) == (RunStatus.FINISHED, "epochs", None)
    assert finished(store, run_id) == run
    assert not ops.commit(store, {run_id: Committed(1, "FAILED", "late", {})})
    assert queries.get_run(store, run_id).status == RunStatus.FINISHED
    assert edges(store, run_id) == ["claimed", "finished"]


def test_metrics_are_replayed_without_a_trace(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    claim(store, [run_id])
    points = [MetricPoint("train/loss", step, value) for step, value in ((1, 0.5), (2, math.inf), (2, 7.0))]
    for _ in range(2):
        assert not ops.record(store, {run_id: Measured(1, points, {"tag": "x"})})
    history, _ = queries.metric_history(store, run_id)
    assert [(m.step, m.value) for m in history] == [(1, 0.5), (2, None)]
    run = queries.get_run(store, run_id)
    assert (run.metrics, run.tags) == ({"train/loss": None}, {"tag": "x"})
    assert [m.id for m in queries.metrics_after(store, run_id, history[0].id, limit=9)] == [history[1].id]
    page, cursor = queries.metric_history(store, run_id, limit=1)
    assert queries.metric_history(store, run_id, cursor=cursor) == ([history[1]], None)
    assert page == [history[0]]


def test_given_back_is_no_loss(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    for attempt in range(1, 6):
        (run,) = claim(store, [run_id])
        assert (run.attempt, run.lease_expirations) == (attempt, 0)
        ops.release(store, {run_id: attempt}, reason="drain")
        waiting = queries.get_run(store, run_id)
        assert (waiting.status, waiting.reason, waiting.single_lane) == (RunStatus.SCHEDULED, "drain", False)


def test_three_losses_fail_a_run_and_progress_forgives_them(store: Store, submit: Any) -> None:
    first, second = ids(store, submit())[:2]
    for lost in (1, 2):
        claim(store, [first])
        ops.abandon(store, "w1")
        assert [(lapsed.run, lapsed.status) for lapsed in ops.reap(store)] == [(first, "SCHEDULED")]
        run = queries.get_run(store, first)
        assert (run.lease_expirations, run.single_lane, run.status) == (lost, lost > 1, RunStatus.SCHEDULED)
    (run,) = claim(store, [first])
    assert ops.record_checkpoints(
        store, {first: run.attempt}, {first: {"spool": "here", "epoch": 1, "width": 8}}
    )
    assert queries.get_run(store, first).lease_expirations == 0
    ops.abandon(store, "w1")
    assert [(lapsed.run, lapsed.status) for lapsed in ops.reap(store)] == [(first, "SCHEDULED")]
    for _ in range(3):
        claim(store, [second], worker="w2")
        ops.abandon(store, "w2")
        reaped = ops.reap(store)
    assert [(lapsed.run, lapsed.attempt, lapsed.worker, lapsed.status) for lapsed in reaped] == [
        (second, 3, "w2", "FAILED")
    ]
    failed = queries.get_run(store, second)
    assert (failed.status, failed.reason, failed.attempt) == (RunStatus.FAILED, "worker_lost", 3)
    assert edges(store, second) == ["claimed", "lost", "claimed", "lost", "claimed", "worker_lost"]


def test_a_run_that_must_be_alone_is_not_claimed_with_others(store: Store, submit: Any) -> None:
    run_ids = ids(store, submit())
    claim(store, run_ids[:1])
    ops.release(store, {run_ids[0]: 1}, reason="error", single_lane=True)
    assert [run.id for run in claim(store, run_ids)] == run_ids[1:]
    assert [run.id for run in claim(store, run_ids[:1])] == run_ids[:1]


def test_a_workers_clock_does_not_matter(store: Store, submit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = ids(store, submit())[0]
    real = time.time
    for shift in (-3600.0, 3600.0):
        monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
        (run,) = claim(store, [run_id], lease=60)
        assert ops.renew(store, {run_id: run.attempt}, 60) == {run_id}
        assert ops.reap(store) == []
        assert claim(store, [run_id], worker="w2") == []
        monkeypatch.undo()
        left = present(queries.get_run(store, run_id).lease_expires_at).timestamp() - queries.ping(store)
        assert 55 < left <= 60
        ops.release(store, {run_id: run.attempt}, reason="drain")


def test_release_of_everything(store: Store, submit: Any) -> None:
    run_ids = ids(store, submit())
    claim(store, run_ids[:2], worker="a")
    claim(store, run_ids[2:4], worker="b")
    assert sorted(ops.release_worker(store, "a", reason="drain")) == sorted(run_ids[:2])
    assert sorted(ops.release_all(store)) == sorted(run_ids[2:4])
    assert (
        queries.get_experiment(store, queries.get_run(store, run_ids[0]).experiment_id).counts["SCHEDULED"]
        == 6
    )
