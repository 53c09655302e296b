"""What is accepted: experiments, their runs, and keys that make a submission count once. On both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from service import operations as ops
from service.entities import Committed, Measured, MetricPoint
from service.errors import (
    Conflict,
    KeyInFlight,
    KeyReused,
    QuotaExceeded,
    StaleStage,
)
from service.store import Store, queries
from tests.service.store.deeds import claim, done, finished, ids


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


def test_equal_runs_of_another_experiment_come_with_their_metrics(
    store: Store, submit: Any, make_spec: Any
) -> None:
    earlier = submit(seeds=2)
    first, second = claim(store, ids(store, earlier)[:2])
    for run in (first, second):
        points = [MetricPoint("test/loss", step, 1.0 / step) for step in (1, 2)]
        ops.record(store, {run.id: Measured(run.attempt, points, {"gradus.device": "cpu"})})
    done(store, first)
    assert not ops.commit(store, {second.id: Committed(second.attempt, "FINISHED", "halved", {})})
    finished(store, second.id)
    spec, key = make_spec(2, tags={"course": "nn"}, reuse=[earlier.id]), ops.IdempotencyKey("k", "hash")
    later = ops.submit(store, spec, spec.expand(), owner="me", idempotency=key, quota=3)
    assert (later.counts["SCHEDULED"], later.counts["RUNNING"], later.shipping) == (3, 1, 1)
    again = ops.submit(store, spec, spec.expand(), owner="me", idempotency=key)
    assert (again.replayed, again.counts, again.shipping) == (True, later.counts, 1)
    taken, *others = queries.all_runs(store, later.id)
    assert {run.status for run in others} == {"SCHEDULED"}, "one that halving ended is not the whole training"
    assert taken.metrics == {"test/loss": 0.5}
    assert taken.tags == {"course": "nn", "gradus.device": "cpu", ops.REUSED_FROM: first.id}
    history = [(point.step, point.value) for point in queries.metrics_after(store, taken.id, 0, 10)]
    assert history == [(1, 1.0), (2, 0.5)]
    assert finished(store, taken.id).status == "FINISHED"


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
    ops.add_runs(store, experiment, make_spec(2).expand(), stage="look-1")
    tags = [run.tags for run in queries.all_runs(store, experiment.id)]
    assert tags == [{"course": "nn-101"}] * 4


def test_added_runs_reuse_equal_ones_and_only_one_adder_wins(
    store: Store, submit: Any, make_spec: Any
) -> None:
    experiment = submit(seeds=2)
    more = make_spec(3).expand()
    added = ops.add_runs(store, experiment, more, stage="look-1", design={"k": 1})
    assert len({run.id for run in added}) == 6
    assert {run.id for run in added} >= set(ids(store, experiment)[:4])
    now = queries.get_experiment(store, experiment.id)
    assert (now.n_runs, now.stage, now.design) == (6, "look-1", {"k": 1})
    assert [run.levels["seed"] for run in added] == [point.levels["seed"] for point in more]
    with pytest.raises(StaleStage):
        ops.add_runs(store, experiment, more, stage="look-1")
    ops.cancel_experiment(store, experiment.id)
    with pytest.raises(Conflict):
        ops.add_runs(store, now, make_spec(5).expand(), stage="look-2")
