"""Cancel, retry, change and delete, in every status. On both databases."""

from __future__ import annotations

from typing import Any

import pytest

from service import operations as ops
from service.entities import Committed, Shipped
from service.errors import (
    Conflict,
    IllegalTransition,
    NotFound,
    StaleVersion,
)
from service.lifecycle import RunStatus
from service.store import Store, queries
from tests.present import present
from tests.service.store.deeds import claim, done, finished, ids


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
        assert [(lapsed.run, lapsed.status) for lapsed in ops.reap(store)] == [(run_id, "KILLED")]
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
    for ended in (run, other):
        ops.commit(store, {ended.id: Committed(1, "KILLED", "cancelled", {})})
        ops.finish(store, {ended.id: None})
    # MLflow never heard of the other runs and need not.
    (left,) = queries.to_ship(store, "here")
    assert left.id == run.id
    ops.note_shipped(store, {run.id: Shipped(left.change, None, "KILLED")})
    assert [due.id for due in queries.experiments_to_purge(store)] == [experiment.id]
    ops.purge_experiment(store, experiment.id)
    assert queries.get_runs(store, [run.id]) == {}
