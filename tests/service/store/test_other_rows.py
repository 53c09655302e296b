"""Workers, certificates, requests and keys; and what no operation does to many rows. On both databases."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.event import listen

from service import operations as ops
from service.entities import Committed, Measured, MetricPoint, Worker
from service.errors import (
    NotFound,
    QuotaExceeded,
    StoreUnavailable,
)
from service.store import Store, engine, queries
from service.store.tables import metadata
from tests.present import present
from tests.service.store.deeds import claim, ids


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
    ops.create_request(store, run_id, kind="picture", payload={})
    assert not ops.is_request_new(store), "no person waits for it"
    made = ops.create_request(store, run_id[:15], kind="predict", payload={"x": [[1.0]]})
    assert ops.is_request_new(store)
    assert [request.id for request in ops.take_due_requests(store, resend_seconds=60)] == [made.id]
    assert not ops.is_request_new(store), "it was sent"
    assert ops.take_due_requests(store, resend_seconds=60) == []
    assert [request.id for request in ops.take_due_requests(store, resend_seconds=0)] == [made.id]
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


def test_many_points_are_stored_once_and_as_they_are(store: Store, submit: Any) -> None:
    """More than one statement holds, with numbers that only the sixteenth digit tells apart; told twice, they stay."""
    run = ids(store, submit(seeds=1))[0]
    (claimed,) = claim(store, [run])
    points = [MetricPoint("val/loss", step, 0.1 + step * 2.0**-53, 1.5 + step) for step in range(1, 2_002)]
    points.append(MetricPoint("val/loss", 2_002, math.nan))
    for _ in range(2):
        ops.record(store, {run: Measured(claimed.attempt, points)})
    stored = queries.metric_history(store, run, limit=5_000)[0]
    assert [(p.key, p.step, p.value, p.at.timestamp()) for p in stored[:-1]] == [
        (p.key, p.step, p.value, p.at) for p in points[:-1]
    ]
    assert stored[-1].value is None
    assert stored[-1].at.year > 2000, "a point without a time gets the database's"
    assert queries.get_run(store, run).metrics["val/loss"] is None


def test_something_is_accepted_once_there_is_a_run(store: Store, submit: Any) -> None:
    assert not queries.is_anything_accepted(store)
    submit(seeds=1)
    assert queries.is_anything_accepted(store)


def test_a_write_begins_soon_after_the_lock_is_free_and_gives_up_when_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'gradus.db'}")
    metadata.create_all(store.engine)
    holder = sqlite3.connect(tmp_path / "gradus.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 30)
    with pytest.raises(StoreUnavailable, match="locked"):
        ops.beat(store, Worker("w"))
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 60_000)
    waiting = threading.Thread(target=ops.beat, args=(store, Worker("w")))
    waiting.start()
    holder.execute("ROLLBACK")
    waiting.join(60)
    assert [worker.name for worker in queries.workers(store)] == ["w"]
    holder.close()
    store.close()


def test_keys_are_kept_as_hashes_only(store: Store) -> None:
    key, secret = ops.create_key(store, owner="me", scopes=["write", "read"], quota=7)
    assert (key.scopes, key.quota, len(secret)) == (("read", "write"), 7, 50)
    holder = ops.authenticate(store, secret)
    assert (present(holder).id, present(holder).owner) == (key.id, "me")
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
    looks = [[experiment.id for experiment in queries.staged_experiments(store, limit=3)] for _ in range(60)]
    assert {tuple(some[:2]) for some in looks} == {(first, second)}
    assert {some[2] for some in looks} == left, "a retried one is looked at again"


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
