"""Every operation against both databases: what it does, what it refuses, and what it leaves behind."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest
from sqlalchemy.event import listen

from service import operations as ops
from service.entities import Committed, Measured, MetricPoint, Run, Shipped, Worker
from service.errors import (
    AmbiguousId,
    BadCursor,
    Conflict,
    IllegalTransition,
    KeyInFlight,
    KeyReused,
    NotFound,
    QuotaExceeded,
    StaleStage,
    StaleVersion,
)
from service.lifecycle import RunStatus
from service.store import Store, queries
from tests.present import present


def ids(store: Store, experiment: Any) -> Any:
    return [run.id for run in queries.all_runs(store, experiment.id)]


def claim(store: Store, run_ids: Any, worker: str = "w1", spool: str = "here", lease: float = 60.0) -> Any:
    return ops.claim(store, run_ids, worker=worker, spool=spool, lease_seconds=lease)


def done(store: Store, run: Any, status: str = "FINISHED") -> Any:
    assert not ops.commit(store, {run.id: Committed(run.attempt, status, "epochs", {})})
    return finished(store, run.id)


def finished(store: Store, run_id: str, what: Shipped | None = None) -> Run:
    assert ops.finish(store, {run_id: what}) == set()
    return queries.get_run(store, run_id)


def edges(store: Store, run_id: str) -> Any:
    return [e.data["edge"] for e in queries.events_after(store, run_id=run_id) if e.kind == "status"]


# ---- submission


def test_submitted_runs_wait_in_the_order_of_the_sweep(store: Store, submit: Any, make_spec: Any) -> None:
    experiment = submit(seeds=2)
    assert experiment.counts == {"SCHEDULED": 4, "RUNNING": 0, "FINISHED": 0, "FAILED": 0, "KILLED": 0}
    runs = queries.all_runs(store, experiment.id)
    assert [run.index for run in runs] == [0, 1, 2, 3]
    assert runs[0].run_spec() == make_spec(2).expand()[0].spec
    assert experiment.experiment_spec.expand() == make_spec(2).expand()


def test_the_same_key_gives_the_first_answer(store: Store, make_spec: Any) -> None:
    spec, key = make_spec(), ops.IdempotencyKey("k", "hash")
    first = ops.submit(store, spec, spec.expand(), owner="me", idempotency=key)
    again = ops.submit(store, spec, spec.expand(), owner="me", idempotency=key)
    assert (again.id, again.replayed, first.replayed) == (first.id, True, False)
    with pytest.raises(KeyReused):
        ops.submit(store, spec, spec.expand(), owner="me", idempotency=ops.IdempotencyKey("k", "other"))
    assert ops.submit(store, spec, spec.expand(), owner="you", idempotency=key).id != first.id


def test_a_key_in_flight_is_a_conflict(store: Store, make_spec: Any) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold(connection: Any) -> None:
        held.set()
        go_on.wait(10)

    thread = threading.Thread(target=lambda: store.write(hold, lock_name="idempotency:me:k"))
    thread.start()
    held.wait(10)
    spec = make_spec()
    try:
        with pytest.raises(KeyInFlight):
            ops.submit(store, spec, spec.expand(), owner="me", idempotency=ops.IdempotencyKey("k", "hash"))
    finally:
        go_on.set()
        thread.join()
    assert ops.submit(store, spec, spec.expand(), owner="me", idempotency=ops.IdempotencyKey("k", "hash"))


def test_a_failed_submission_leaves_no_row_and_frees_its_key(store: Store, make_spec: Any) -> None:
    spec, key = make_spec(), ops.IdempotencyKey("k", "hash")
    with pytest.raises(QuotaExceeded):
        ops.submit(store, spec, spec.expand(), owner="me", idempotency=key, quota=5)
    assert queries.list_experiments(store) == ([], None)
    assert ops.submit(store, spec, spec.expand(), owner="me", idempotency=key, quota=6).n_runs == 6
    with pytest.raises(QuotaExceeded):
        ops.submit(store, spec, spec.expand(), owner="me", quota=6)
    assert ops.submit(store, spec, spec.expand(), owner="you", quota=6)


def test_runs_have_the_tags_of_their_experiment_also_those_added_later(
    store: Store, submit: Any, make_spec: Any
) -> None:
    experiment = submit(seeds=1, tags={"course": "nn-101"})
    ops.add_runs(store, experiment.id, make_spec(2).expand(), stage="look-1", expected_stage="grid")
    tags = [run.tags for run in queries.all_runs(store, experiment.id)]
    assert tags == [{"course": "nn-101"}] * 4


def test_added_runs_reuse_equal_ones_and_only_one_adder_wins(
    store: Store, submit: Any, make_spec: Any
) -> None:
    experiment = submit(seeds=2)
    more = make_spec(3).expand()
    added = ops.add_runs(store, experiment.id, more, stage="look-1", expected_stage="grid", design={"k": 1})
    assert len({run.id for run in added}) == 6
    assert {run.id for run in added} >= set(ids(store, experiment)[:4])
    now = queries.get_experiment(store, experiment.id)
    assert (now.n_runs, now.stage, now.design) == (6, "look-1", {"k": 1})
    assert [run.levels["seed"] for run in added] == [point.levels["seed"] for point in more]
    with pytest.raises(StaleStage):
        ops.add_runs(store, experiment.id, more, stage="look-1", expected_stage="grid")
    ops.cancel_experiment(store, experiment.id)
    with pytest.raises(Conflict):
        ops.add_runs(store, experiment.id, make_spec(5).expand(), stage="look-2", expected_stage="look-1")


# ---- holding


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
    assert not ops.record_checkpoint(store, run_id, old.attempt, {"epoch": 1})
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
        assert [(one.run, one.status) for one in ops.reap(store)] == [(first, "SCHEDULED")]
        run = queries.get_run(store, first)
        assert (run.lease_expirations, run.single_lane, run.status) == (lost, lost > 1, RunStatus.SCHEDULED)
    (run,) = claim(store, [first])
    assert ops.record_checkpoint(store, first, run.attempt, {"spool": "here", "epoch": 1, "width": 8})
    assert queries.get_run(store, first).lease_expirations == 0
    ops.abandon(store, "w1")
    assert [(one.run, one.status) for one in ops.reap(store)] == [(first, "SCHEDULED")]
    for _ in range(3):
        claim(store, [second], worker="w2")
        ops.abandon(store, "w2")
        reaped = ops.reap(store)
    assert [(one.run, one.attempt, one.worker, one.status) for one in reaped] == [(second, 3, "w2", "FAILED")]
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


# ---- control


def test_cancelled_while_it_waits(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    for _ in range(2):
        run = ops.cancel_run(store, run_id)
        assert (run.status, run.reason) == (RunStatus.KILLED, "cancelled")
    assert claim(store, [run_id]) == []
    assert [run.id for run in queries.to_ship(store, "anywhere") if run.status == RunStatus.KILLED] == [
        run_id
    ]


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_cancelled_while_it_runs_never_finishes(store: Store, submit: Any, status: Any) -> None:
    run_id = ids(store, submit())[0]
    claim(store, [run_id])
    asked = ops.cancel_run(store, run_id)
    assert asked.status == RunStatus.RUNNING
    assert asked.cancel_requested_at is not None
    assert ops.stop_requests(store, [run_id]) == {run_id}
    assert not ops.commit(store, {run_id: Committed(1, status, "epochs", {})})
    assert finished(store, run_id).status == RunStatus.KILLED


def test_cancelled_between_commit_and_finish(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    claim(store, [run_id])
    ops.commit(store, {run_id: Committed(1, "FINISHED", "epochs", {"epochs": 2})})
    ops.cancel_run(store, run_id)
    run = finished(store, run_id)
    assert (run.status, run.reason, present(run.outcome)["epochs"]) == (RunStatus.KILLED, "cancelled", 2)


@pytest.mark.parametrize("how", ["release", "reap"])
def test_cancelled_and_given_back_or_lost(store: Store, submit: Any, how: Any) -> None:
    run_id = ids(store, submit())[0]
    claim(store, [run_id])
    ops.cancel_run(store, run_id)
    if how == "release":
        ops.release(store, {run_id: 1}, reason="drain")
    else:
        ops.abandon(store, "w1")
        assert claim(store, [run_id]) == []
        assert [(one.run, one.status) for one in ops.reap(store)] == [(run_id, "KILLED")]
    assert queries.get_run(store, run_id).status == RunStatus.KILLED


def test_a_finished_run_stays_finished(store: Store, submit: Any) -> None:
    (run,) = claim(store, ids(store, submit())[:1])
    done(store, run)
    assert ops.cancel_run(store, run.id).status == RunStatus.FINISHED
    with pytest.raises(IllegalTransition):
        ops.retry_run(store, run.id)


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_retry(store: Store, submit: Any, status: Any) -> None:
    (run,) = claim(store, ids(store, submit())[:1])
    done(store, run, status)
    again = ops.retry_run(store, run.id)
    assert (again.status, again.outcome, again.lease_expirations, again.reason, again.attempt) == (
        RunStatus.SCHEDULED, None, 0, "", 1,
    )  # fmt: skip
    assert ops.retry_run(store, run.id).status == RunStatus.SCHEDULED
    (run,) = claim(store, [run.id])
    assert run.attempt == 2
    assert done(store, run).status == RunStatus.FINISHED
    with pytest.raises(NotFound):
        ops.retry_run(store, "0" * 20)


def test_cancel_and_retry_of_an_experiment(store: Store, submit: Any) -> None:
    experiment = submit()
    claim(store, ids(store, experiment)[:2])
    counts = ops.cancel_experiment(store, experiment.id).counts
    assert (counts["KILLED"], counts["RUNNING"]) == (4, 2)
    assert ops.retry_experiment(store, experiment.id).counts["SCHEDULED"] == 4
    with pytest.raises(NotFound):
        ops.cancel_experiment(store, "nope")


def test_patch_needs_the_present_version(store: Store, submit: Any) -> None:
    experiment = submit()
    changed = ops.change_experiment(store, experiment.id, if_match=1, priority=5, name="new")
    assert (changed.version, changed.priority, changed.name) == (2, 5, "new")
    assert ops.change_experiment(store, experiment.id, priority=5).version == 2
    with pytest.raises(StaleVersion):
        ops.change_experiment(store, experiment.id, if_match=1, priority=6)
    assert queries.all_runs(store, experiment.id)[0].priority == 5


def test_deleted_at_once_and_removed_when_mlflow_knows(store: Store, submit: Any) -> None:
    experiment = submit()
    (run, other) = claim(store, ids(store, experiment)[:2])
    known = Shipped(queries.get_run(store, run.id).change, "mlflow-run", "RUNNING", 0)
    ops.note_shipped(store, {run.id: known})
    ops.delete_experiment(store, experiment.id)
    for look in (queries.get_experiment, lambda s, id: queries.get_run(s, run.id)):
        with pytest.raises(NotFound):
            look(store, experiment.id)
    assert queries.list_experiments(store) == ([], None)
    assert queries.experiments_to_purge(store) == []
    with pytest.raises(Conflict):
        ops.purge_experiment(store, experiment.id)
    for one in (run, other):
        ops.commit(store, {one.id: Committed(1, "KILLED", "cancelled", {})})
        ops.finish(store, {one.id: None})
    # MLflow never heard of the other runs and need not.
    (left,) = queries.to_ship(store, "here")
    assert left.id == run.id
    ops.note_shipped(store, {run.id: Shipped(left.change, None, "KILLED")})
    assert [one.id for one in queries.experiments_to_purge(store)] == [experiment.id]
    ops.purge_experiment(store, experiment.id)
    assert queries.get_runs(store, [run.id]) == {}


# ---- shipping


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
    for one in (run_id, other):
        claim(store, [one])
        ops.commit(store, {one: Committed(1, "FINISHED", "epochs", {})})
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


# ---- reading


def test_pages_and_filters(store: Store, submit: Any) -> None:
    experiment = submit(seeds=4)
    first, cursor = queries.list_runs(store, experiment.id, limit=5)
    second, last = queries.list_runs(store, experiment.id, cursor=cursor, limit=5)
    assert [run.index for run in (*first, *second)] == list(range(8))
    assert last is None

    def found(**filters: Any) -> Any:
        return len(queries.list_runs(store, experiment.id, filters={k: [v] for k, v in filters.items()})[0])

    assert found(activation="relu") == 4
    assert found(activation="relu", seed="1") == 1
    assert found(learning_rate="1e-1") == 8
    assert found(status="FINISHED") == 0
    assert found(nothing="x") == 0
    both = {"activation": ["relu", "tanh"], "status": ["SCHEDULED", "RUNNING"]}
    assert len(queries.list_runs(store, experiment.id, filters=both)[0]) == 8
    other = submit(name="another")
    pages, cursor = queries.list_experiments(store, limit=1)
    assert [one.id for one in pages] == [other.id]
    assert [one.id for one in queries.list_experiments(store, cursor=cursor)[0]] == [experiment.id]
    assert [one.id for one in queries.list_experiments(store, filters={"name": ["another"]})[0]] == [other.id]
    assert len(queries.list_experiments(store, filters={"activation": ["relu"]})[0]) == 2
    for bad in ("x", "-1", "1; drop table runs", "9" * 30, "²"):
        with pytest.raises(BadCursor):
            queries.list_runs(store, experiment.id, cursor=bad)


def test_ids_may_be_shortened(store: Store, submit: Any) -> None:
    experiment = submit()
    assert queries.get_experiment(store, experiment.id[:12]).id == experiment.id
    many = [submit(seeds=1).id for _ in range(17)]
    first = next(id[0] for id in many if sum(one[0] == id[0] for one in many) > 1)
    with pytest.raises(AmbiguousId):
        queries.get_experiment(store, first)
    for unknown in ("", "zz", "%", "0" * 20, "a'b"):
        with pytest.raises(NotFound):
            queries.get_experiment(store, unknown)


def test_a_run_that_waits_for_a_device_nobody_has_says_so(store: Store, submit: Any) -> None:
    gpu = submit(device="gpu", seeds=1)
    any_ = submit(seeds=1)
    assert "gpu worker" in queries.all_runs(store, gpu.id)[0].reason
    assert "none is up" in queries.all_runs(store, any_.id)[0].reason
    ops.beat(store, Worker("w", device="cpu", queues=("gradus.cpu", "gradus.any")))
    assert "gpu worker" in queries.get_run(store, ids(store, gpu)[0]).reason
    assert queries.all_runs(store, any_.id)[0].reason == ""


def test_events_are_resumed_after_their_id(store: Store, submit: Any) -> None:
    experiment = submit(seeds=1)
    for run_id in ids(store, experiment):
        claim(store, [run_id])
        ops.record(store, {run_id: Measured(1, [MetricPoint("train/loss", 1, 0.5)])})
    every = queries.events_after(store, experiment_id=experiment.id)
    assert [e.kind for e in every] == ["experiment", "status", "metrics", "status", "metrics"]
    one_by_one, after = [], None
    while batch := queries.events_after(store, experiment_id=experiment.id, after=after, limit=1):
        one_by_one += batch
        after = batch[-1].id
    assert one_by_one == every
    for bad in ("x", "1", "1-", "1-2-3", "-1-2", "1-" + "9" * 40):
        with pytest.raises(BadCursor):
            queries.events_after(store, experiment_id=experiment.id, after=bad)


# ---- workers, certificates, requests, keys


def test_workers_come_and_go(store: Store) -> None:
    ops.beat(store, Worker("w", queues=("gradus.any",), run_ids=("a",), width=4, state="busy"))
    ops.beat(store, Worker("w", queues=("gradus.any",)))
    (worker,) = queries.workers(store)
    assert (worker.alive, worker.state, worker.run_ids, worker.queues) == (True, "idle", (), ("gradus.any",))
    assert not queries.workers(store, alive_seconds=0.0)[0].alive
    ops.retire(store, "w")
    assert queries.workers(store) == []


def test_the_first_certificate_of_a_key_stays(store: Store) -> None:
    assert queries.get_certificate(store, "key") is None
    assert (
        ops.put_certificate(store, "key", "certified", {"max": 1e-9, "nan": math.nan}).report["nan"] is None
    )
    assert ops.put_certificate(store, "key", "failed", {}).verdict == "certified"


def test_requests_are_fenced_and_resent(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    made = ops.create_request(store, run_id[:15], kind="predict", payload={"x": [[1.0]]})
    assert [one.id for one in ops.take_due_requests(store, resend_seconds=60)] == [made.id]
    assert ops.take_due_requests(store, resend_seconds=60) == []
    assert [one.id for one in ops.take_due_requests(store, resend_seconds=0)] == [made.id]
    first = ops.claim_request(store, made.id, worker="a", lease_seconds=0.001)
    time.sleep(0.01)
    second = ops.claim_request(store, made.id, worker="b", lease_seconds=60)
    assert ops.claim_request(store, made.id, worker="c", lease_seconds=60) is None
    assert not ops.finish_request(store, made.id, present(first).attempt, result={"y": 1})
    assert not ops.renew_request(store, made.id, present(first).attempt, 60)
    assert ops.renew_request(store, made.id, present(second).attempt, 60)
    assert ops.finish_request(store, made.id, present(second).attempt, result={"y": math.nan})
    ended = queries.get_request(store, made.id)
    assert (ended.status, ended.result, ended.payload) == ("done", {"y": None}, {"x": [[1.0]]})
    with pytest.raises(NotFound):
        ops.create_request(store, "0" * 20, kind="predict", payload={})


def test_a_request_that_loses_its_worker_each_time_fails(store: Store, submit: Any) -> None:
    made = ops.create_request(store, ids(store, submit())[0], kind="plot", payload={})
    for _ in range(3):
        assert ops.claim_request(store, made.id, worker="a", lease_seconds=0.001)
        time.sleep(0.01)
    assert ops.take_due_requests(store, resend_seconds=0) == []
    assert queries.get_request(store, made.id).status == "failed"


def test_keys_are_kept_as_hashes_only(store: Store) -> None:
    key, secret = ops.create_key(store, owner="me", scopes=["write", "read"], quota=7)
    assert (key.scopes, key.quota, len(secret)) == (("read", "write"), 7, 50)
    found = ops.authenticate(store, secret)
    assert (present(found).id, present(found).owner) == (key.id, "me")
    assert ops.list_keys(store)[0].last_used_at is not None
    assert secret not in repr(ops.list_keys(store))
    assert ops.authenticate(store, secret + "x") is None
    for _ in range(2):
        ops.revoke_key(store, key.id)
    assert ops.authenticate(store, secret) is None
    with pytest.raises(NotFound):
        ops.revoke_key(store, "nope")
    with pytest.raises(ValueError, match="root"):
        ops.create_key(store, owner="me", scopes=["root"])


def test_no_statement_grows_with_the_runs_that_it_changes(store: Store, submit: Any) -> None:
    """SQLite takes 32,766 parameters, PostgreSQL twice as many; the outcomes of a whole sweep are changed at once."""
    run_ids = ids(store, submit(2500, sweep={"activation": ["relu"], "seeds": 2500}))
    claim(store, run_ids)
    sizes = []
    listen(
        store.engine, "before_cursor_execute", lambda c, cursor, sql, values, *_: sizes.append(len(values))
    )
    assert ops.commit(store, {id: Committed(1, "FINISHED", "epochs", {}) for id in run_ids}) == set()
    assert max(sizes) < 4 * len(run_ids)


def test_tidying_forgets_answered_requests_and_workers_of_yesterday(store: Store, submit: Any) -> None:
    run_id = ids(store, submit())[0]
    answered, open_ = (ops.create_request(store, run_id, kind="plot", payload={}) for _ in range(2))
    ops.claim_request(store, answered.id, worker="w", lease_seconds=60)
    ops.finish_request(store, answered.id, 1, result={})
    ops.beat(store, Worker("w", queues=("gradus.any",)))
    ops.tidy(store)
    assert queries.get_request(store, answered.id).status == "done"
    assert len(queries.workers(store)) == 1
    ops.tidy(store, requests_after=-1.0, workers_after=-1.0)
    with pytest.raises(NotFound):
        queries.get_request(store, answered.id)
    assert queries.get_request(store, open_.id).status == "queued"
    assert queries.workers(store) == []


def test_no_question_waits_behind_those_that_were_left_incomplete(store: Store, make_spec: Any) -> None:
    spec = make_spec(seeds=1)

    def ended(wait: Any) -> Any:
        plan = {"wait": wait}
        experiment = ops.submit(store, spec, spec.expand(), stage="look-1", design=plan)
        for run_id in ids(store, experiment):
            ops.cancel_run(store, run_id)
        return experiment.id

    left = {ended("incomplete") for _ in range(3)}
    first, second = ended("running"), ended("running")
    found = [[one.id for one in queries.staged_experiments(store, limit=3)] for _ in range(60)]
    assert {tuple(some[:2]) for some in found} == {(first, second)}
    assert {some[2] for some in found} == left, "a retried one is looked at again"


def test_many_runs_are_cancelled_and_retried_in_short_transactions(
    store: Store, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand at once held SQLite's one write lock for seconds."""
    for module in ("cancel", "retry"):
        monkeypatch.setattr(f"service.operations.{module}.RUNS_AT_ONCE", 2)
    experiment = submit(seeds=3)
    run_ids = ids(store, experiment)
    claim(store, run_ids[:1])
    touched: list[int] = []
    listen(store.engine, "commit", lambda connection: touched.append(0))
    listen(
        store.engine,
        "after_cursor_execute",
        lambda c, cursor, sql, *_: touched.append(cursor.rowcount) if sql.startswith("UPDATE runs") else None,
    )
    cancelled = ops.cancel_experiment(store, experiment.id)
    assert (cancelled.counts["KILLED"], cancelled.counts["RUNNING"]) == (5, 1)
    assert ops.cancel_experiment(store, experiment.id).counts == cancelled.counts
    again = ops.retry_experiment(store, experiment.id, quota=5)
    assert (again.counts["SCHEDULED"], again.counts["RUNNING"]) == (5, 1)
    assert max(touched) == 2
    ops.cancel_experiment(store, experiment.id)
    with pytest.raises(QuotaExceeded):
        ops.retry_experiment(store, experiment.id, quota=4)
    assert queries.get_experiment(store, experiment.id).counts["KILLED"] == 5, "nothing was queued"
    ops.delete_experiment(store, experiment.id)
    assert {run.status for run in queries.get_runs(store, run_ids).values()} == {"KILLED", "RUNNING"}
