"""Many at once: no run is claimed twice, no event is missed, no deadlock is seen."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service import operations as ops
from service.entities import Committed, Measured, MetricPoint
from service.errors import KeyInFlight, QuotaExceeded
from service.lifecycle import RunStatus
from service.store import Store, queries

CLAIMERS = 16


def test_sixteen_claimers_never_get_the_same_run(store: Store, submit: Any) -> None:
    experiment = submit(seeds=60)
    run_ids = [run.id for run in queries.all_runs(store, experiment.id)]
    gate = threading.Barrier(CLAIMERS)

    def work(number: int) -> Any:
        mine = Store(store.engine.url.render_as_string(hide_password=False), pool_size=1)
        gate.wait()
        got = []
        # Everybody wants everything, in an order of their own.
        wanted = run_ids[number * 7 :] + run_ids[: number * 7]
        for start in range(0, len(wanted), 8):
            tile = wanted[start : start + 8]
            got += ops.claim(mine, tile, worker=f"w{number}", spool="s", lease_seconds=60)
        mine.close()
        return got

    with ThreadPoolExecutor(CLAIMERS) as pool:
        everything = [run for got in pool.map(work, range(CLAIMERS)) for run in got]
    assert Counter(run.id for run in everything) == dict.fromkeys(run_ids, 1)
    assert {run.attempt for run in everything} == {1}
    assert sum(e.kind == "status" for e in queries.events_after(store, experiment_id=experiment.id)) == 120


def test_claims_commits_cancels_and_reapers_at_once(store: Store, submit: Any) -> None:
    """Whatever the order, every run ends once, and no transaction deadlocks for good."""
    experiment = submit(seeds=20)
    run_ids = [run.id for run in queries.all_runs(store, experiment.id)]
    stop = threading.Event()

    def train(number: int) -> None:
        tile = run_ids[number * 5 : number * 5 + 5]
        while True:
            got = ops.claim(store, tile, worker=f"w{number}", spool="s", lease_seconds=5)
            ops.record(store, {r.id: Measured(r.attempt, [MetricPoint("a", 1, 1.0)]) for r in got})
            ops.renew(store, {r.id: r.attempt for r in got}, 5)
            refused = ops.commit(store, {r.id: Committed(r.attempt, "FINISHED", "epochs") for r in got})
            ops.finish(store, {r.id: None for r in got if r.id not in refused})
            if all(run.is_terminal for run in queries.get_runs(store, tile).values()):
                return

    def disturb(what: Any) -> None:
        while not stop.is_set():
            what()

    with ThreadPoolExecutor(12) as pool:
        disturbers = [
            pool.submit(disturb, lambda: ops.reap(store)),
            pool.submit(disturb, lambda: ops.cancel_run(store, run_ids[3])),
            pool.submit(disturb, lambda: ops.change_experiment(store, experiment.id, priority=1)),
        ]
        trainers = [pool.submit(train, number) for number in range(8)]
        try:
            for trainer in trainers:
                trainer.result(timeout=120)
        finally:
            stop.set()
        for disturber in disturbers:
            disturber.result(timeout=60)
    counts = ops.cancel_experiment(store, experiment.id).counts
    assert counts["FINISHED"] + counts["KILLED"] == 40
    assert counts["FINISHED"] >= 39
    for run_id in run_ids:
        seen = [e.data for e in queries.events_after(store, run_id=run_id) if e.kind == "status"]
        assert sum(run["status"] in ("FINISHED", "KILLED") for run in seen) == 1


@pytest.mark.parametrize("writers", [8])
def test_a_reader_who_resumes_misses_no_event(store: Store, submit: Any, writers: Any) -> None:
    """Event numbers are drawn before the commit; a reader must not step over one that is still to come."""
    experiment = submit(seeds=40)
    run_ids = [run.id for run in queries.all_runs(store, experiment.id)]
    finished = threading.Event()
    seen: list[str] = []

    def follow() -> None:
        after = None
        while True:
            over = finished.is_set()
            batch = queries.events_after(store, experiment_id=experiment.id, after=after, limit=20)
            seen.extend(event.id for event in batch)
            after = batch[-1].id if batch else after
            if over and not batch:
                return

    def write(number: int) -> None:
        for run_id in run_ids[number::writers]:
            ops.claim(store, [run_id], worker="w", spool="s", lease_seconds=60)

    with ThreadPoolExecutor(writers + 1) as pool:
        reader = pool.submit(follow)
        list(pool.map(write, range(writers)))
        finished.set()
        reader.result(timeout=60)
    assert len(seen) == len(set(seen)) == 81


def test_one_idempotency_key_at_once_makes_one_experiment(store: Store, make_spec: Any) -> None:
    spec = make_spec()
    key = ops.IdempotencyKey("k", "hash")

    def attempt(_: Any) -> Any:
        try:
            return ops.submit(store, spec, spec.expand(), owner="me", idempotency=key).id
        except KeyInFlight:
            return None

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(attempt, range(8))) - {None}
    assert len(answers) == 1
    assert len(queries.list_experiments(store)[0]) == 1


def test_a_quota_holds_for_requests_at_once(store: Store, make_spec: Any) -> None:
    spec = make_spec()

    def attempt(_: Any) -> Any:
        try:
            ops.submit(store, spec, spec.expand(), owner="me", quota=20)
        except QuotaExceeded:
            return "refused"
        return "ok"

    with ThreadPoolExecutor(8) as pool:
        answers = Counter(pool.map(attempt, range(8)))
    assert answers == {"ok": 3, "refused": 5}
    waiting = sum(experiment.counts[RunStatus.SCHEDULED] for experiment in queries.list_experiments(store)[0])
    assert waiting == 18


def test_a_process_that_stops_within_a_transaction_cannot_hold_a_row_for_ever(store: Store) -> None:
    """PostgreSQL ends its session; SQLite has no such thing, and transactions of milliseconds."""
    if store.is_sqlite:
        wait = store.read(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout").scalar())
        assert wait == 10_000
        return
    for name in ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout"):
        statement = f"SHOW {name}"
        shown = store.read(lambda connection: connection.exec_driver_sql(statement).scalar())  # noqa: B023
        assert shown not in ("0", None)
