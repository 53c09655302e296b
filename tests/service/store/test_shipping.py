"""Who carries a run to MLflow, and when it has to be carried again. On both databases."""

from __future__ import annotations

import time
from typing import Any

from service import operations as ops
from service.entities import Committed, Measured, MetricPoint, Shipped, Worker
from service.lifecycle import RunStatus
from service.store import Store, queries
from tests.service.store.deeds import claim, finished, ids


def test_one_shipper_at_a_time(store: Store, submit: Any) -> None:
    run_ids = ids(store, submit())
    mine = ops.claim_shipping(store, shipper="a", spool="here", limit=4)
    yours = ops.claim_shipping(store, shipper="b", spool="here", limit=4)
    got = [run.id for run, _ in (*mine, *yours)]
    assert sorted(got) == sorted(run_ids)
    for run, _ in mine:
        ops.note_shipped(store, {run.id: Shipped(run.change, "m", "SCHEDULED", 0)})
    assert ops.claim_shipping(store, shipper="c", spool="here") == []


def test_what_changes_while_it_is_shipped_is_shipped_again(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    claim(store, [run_id])
    seen = queries.get_run(store, run_id)
    ops.record(store, {run_id: Measured(1, [MetricPoint("train/loss", 1, 1.0)])})
    ops.note_shipped(store, {run_id: Shipped(seen.change, "m", "RUNNING", 0)})
    assert run_id in {run.id for run in queries.to_ship(store, "here")}
    assert run_id not in {run.id for run in queries.to_ship(store, "elsewhere")}
    ops.commit(store, {run_id: Committed(1, "FINISHED", "epochs", {})})
    seen = queries.get_run(store, run_id)
    ops.finish(store, {run_id: Shipped(seen.change, "m", "FINISHED", 1)})
    assert run_id not in {run.id for run in queries.to_ship(store, "here")}


def test_a_cancel_that_overtakes_the_shipper_reaches_mlflow(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    claim(store, [run_id])
    ops.commit(store, {run_id: Committed(1, "FINISHED", "epochs", {})})
    seen = queries.get_run(store, run_id)
    ops.cancel_run(store, run_id)
    assert finished(store, run_id, Shipped(seen.change, "m", "FINISHED", 1)).status == RunStatus.KILLED
    assert run_id in {run.id for run in queries.to_ship(store, "here")}


def test_a_lost_spool_makes_its_runs_wait_again(store: Store, submit: Any) -> None:
    run_id, other = ids(store, submit())[:2]
    for id in (run_id, other):
        claim(store, [id])
        ops.commit(store, {id: Committed(1, "FINISHED", "epochs", {})})
    ops.cancel_run(store, other)
    assert ops.reschedule_lost_spools(store, 60) == {}
    time.sleep(0.01)
    assert sorted(ops.reschedule_lost_spools(store, 0.001)) == sorted([run_id, other])
    assert queries.get_run(store, other).status == RunStatus.KILLED
    (run,) = claim(store, [run_id])
    assert (run.attempt, run.outcome, run.spool) == (2, None, "here")


def test_a_spool_that_is_served_is_waited_for_however_long_mlflow_is_away(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    claim(store, [run_id])
    ops.commit(store, {run_id: Committed(1, "FINISHED", "epochs", {})})
    ops.beat(store, Worker("w1", spool="here"))
    ops.beat(store, Worker("w2", spool="elsewhere"))
    time.sleep(0.2)
    ops.beat(store, Worker("w1", spool="here"))
    assert ops.reschedule_lost_spools(store, 0.15) == {}
    ops.retire(store, "w1")
    assert ops.reschedule_lost_spools(store, 0.15) == {}, "it was served until just now"
    assert [worker.name for worker in queries.workers(store)] == ["w2"]
    assert queries.get_run(store, run_id).committed_at is not None
    time.sleep(0.2)
    assert list(ops.reschedule_lost_spools(store, 0.15)) == [run_id]
