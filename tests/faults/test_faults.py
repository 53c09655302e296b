"""Every row of the table of faults, made on the real stack; the invariants are looked over after each."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import operations
from service.entities import Committed
from service.queue import TileMessage
from service.store import queries
from tests.faults.conftest import Stack
from tests.present import present

pytestmark = pytest.mark.timeout(600)


# ---- the API


def test_api_killed_before_the_commit_leaves_nothing_and_after_it_the_experiment(stack: Stack) -> None:
    spec, key = stack.quick(3, name="once"), uuid.uuid4().hex
    with sqlite3.connect(stack.home / "gradus.db", isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")  # nobody can commit
        with pytest.raises(httpx.HTTPError):
            stack.post(spec, key, timeout=1.5)
        stack.kill("api")
        db.execute("ROLLBACK")
    named = {"name": ["once"]}
    assert queries.list_experiments(stack.store, filters=named)[0] == []
    stack.wait(lambda: reachable(stack))
    first = stack.post(spec, key)
    stack.kill("api")
    stack.wait(lambda: reachable(stack))
    assert stack.post(spec, key) == first
    assert len(queries.list_experiments(stack.store, filters=named)[0]) == 1
    assert {run.status for run in stack.check(first)} == {"FINISHED"}


def reachable(stack: Stack) -> Any:
    try:
        return httpx.get(f"{stack.url}/livez", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


# ---- the broker


def test_broker_down_at_submit(stack: Stack) -> None:
    stack.kill("broker")
    experiment = stack.post(stack.quick(4))
    assert {run.status for run in stack.check(experiment)} == {"FINISHED"}


def test_broker_flushed_with_work_queued_and_its_connections_cut(stack: Stack) -> None:
    experiment = stack.post(
        stack.lasting(1, epochs=6) | {"sweep": {"learning_rate": [0.01, 0.02], "seeds": 2}}
    )
    later = [stack.post(stack.quick(4)) for _ in range(8)]
    stack.wait_running(experiment)
    broker = stack.broker()
    broker.flushall()
    broker.client_kill_filter(_type="normal")
    broker.client_kill_filter(_type="pubsub")
    for accepted in (experiment, *later):
        assert {run.status for run in stack.check(accepted)} == {"FINISHED"}


def test_the_same_message_five_times_trains_once(stack: Stack) -> None:
    experiment = stack.post(stack.quick(4, training={"epochs": 40, "batch_size": 8}))
    ids = tuple(run.id for run in stack.runs(experiment))
    sender = stack.sender()
    for _ in range(5):
        sender.send_tile(TileMessage(uuid.uuid4().hex[:20], ids, 4, "gradus.any"))
    runs = stack.check(experiment)
    assert [run.attempt for run in runs] == [1] * 4


# ---- processes


UNDISTURBED: dict[str, Any] = {"sweep": {"seeds": 2}, "training": {"epochs": 40, "batch_size": 16}}


@pytest.fixture(scope="module")
def undisturbed(running_stack: Stack) -> list[Any]:
    """What the runs come to that a worker is killed at, where none is."""
    runs = running_stack.check(running_stack.post(running_stack.lasting(**UNDISTURBED)))
    assert {run.attempt for run in runs} == {1}
    return [(run.width, told(running_stack, run)) for run in runs]


@pytest.mark.parametrize("victim", ["child", "parent"])
def test_a_worker_killed_is_resumed_in_time_and_goes_on_from_its_checkpoint(
    stack: Stack, undisturbed: list[Any], victim: str
) -> None:
    experiment = stack.post(stack.lasting(**UNDISTURBED))
    run = stack.wait_running(experiment)
    stack.wait(lambda: stack.runs(experiment)[run.index].checkpoint is not None)
    run = queries.get_run(stack.store, run.id)
    worker = present(run.worker)
    child = stack.child_of(worker)
    if victim == "child":
        child.kill()
    else:
        stack.process_of(worker).kill()
        child.wait(10)  # no orphan
    killed = queries.ping(stack.store)
    stack.wait(lambda: queries.get_run(stack.store, run.id).attempt > run.attempt)
    runs = stack.check(experiment)
    assert {run.status for run in runs} == {"FINISHED"}
    edges = [e for e in queries.events_after(stack.store, run_id=run.id) if e.kind == "status"]
    lost = next(e for e in edges if e.data["edge"] in ("lost", "reclaimed"))
    assert lost.at.timestamp() - killed < stack.lease + 1 + 10
    assert edges[-1].data["edge"] == "finished"
    assert [(run.width, told(stack, run)) for run in runs] == undisturbed


def told(stack: Stack, run: Any) -> Any:
    """What a run came to, bit for bit: every loss of every epoch, and its weights."""
    points, _ = queries.metric_history(stack.store, run.id, keys=["train/loss", "test/loss"], limit=1000)
    with tempfile.TemporaryDirectory() as folder:
        path = stack.mlflow.download_artifacts(run.mlflow_run_id, "weights/model.weights.h5", folder)
        weights = Path(path).read_bytes()
    assert len(points) == 2 * UNDISTURBED["training"]["epochs"]
    return [(point.key, point.step, point.value) for point in points], weights


def gone(stack: Stack, run: Any) -> Any:
    """Whether the attempt has lost its run, be it claimed again by now or not."""
    now = queries.get_run(stack.store, run.id)
    return (now.status, now.attempt) != (run.status, run.attempt)


def parted(log: Any, start: Any, run: Any) -> Any:
    """Whether the worker has said since that byte of its log that it holds this attempt no longer."""
    said = log.read_bytes()[start:].decode().splitlines()
    mine = [line for line in said if run.id in line]
    return any("lease lost" in line or "a newer attempt holds the run" in line for line in mine)


def test_a_frozen_worker_wakes_up_too_late(stack: Stack) -> None:
    experiment = stack.post(stack.lasting(1, epochs=48))
    run = stack.wait_running(experiment)
    child = stack.child_of(run.worker)
    log = stack.home / "logs" / f"{run.worker}.log"
    before = log.stat().st_size
    child.suspend()
    stack.wait(lambda: gone(stack, run))
    child.resume()  # its parent ends it soon, and the other worker may take longer than that to claim the run
    stack.wait(lambda: parted(log, before, run))
    stack.wait(lambda: queries.get_run(stack.store, run.id).attempt > run.attempt)
    late = Committed(run.attempt, "FINISHED", "epochs", {"epochs": 999})
    assert operations.commit(stack.store, {run.id: late}) == {run.id}
    (done,) = stack.check(experiment)
    assert done.status == "FINISHED"
    assert done.outcome["attempt"] > run.attempt


# ---- cancellation


def test_cancelled_while_queued_while_running_and_while_no_worker_is_up(stack: Stack) -> None:
    running = stack.post(stack.lasting(1, epochs=400))
    run = stack.wait_running(running)
    stack.cancel("runs", run.id)
    asked = httpx.get(f"{stack.url}/v1/runs/{run.id}").json()
    assert (asked["status"], asked["cancel_requested_at"] is None) == ("RUNNING", False), (
        "the answer waits for nobody"
    )
    (done,) = stack.wait_over(running)
    assert done.status == "KILLED"
    assert 0 < done.outcome["epochs"] < 400
    resume = [stack.pause("worker-1"), stack.pause("worker-2")]
    try:
        queued = stack.post(stack.quick(5))
        stack.cancel("experiments", queued)
        assert set(stack.statuses(queued)) == {"KILLED"}
    finally:
        for go_on in resume:
            go_on()
    assert {run.status for run in stack.check(queued)} == {"KILLED"}
    stack.check(running)


# ---- runs that are to blame


def test_a_run_that_kills_its_process_takes_no_other_lane_down(stack: Stack) -> None:
    experiment = stack.post(stack.lasting(4, epochs=5, name="poison"))
    poison = stack.runs(experiment)[0].id
    killed = 0
    deadline = time.monotonic() + 120
    while not queries.get_run(stack.store, poison).is_terminal and time.monotonic() < deadline:
        run = queries.get_run(stack.store, poison)
        if run.status == "RUNNING" and run.committed_at is None and run.attempt > killed:
            child = stack.child_of(run.worker)
            if child is not None:
                child.kill()
                killed = run.attempt
        time.sleep(0.1)
    runs = stack.check(experiment)
    assert runs[0].status == "FAILED"
    assert runs[0].reason == "worker_lost"
    assert runs[0].attempt == 3
    assert {run.status for run in runs[1:]} == {"FINISHED"}


def test_not_a_number_is_an_outcome_and_no_failure(stack: Stack) -> None:
    experiment = stack.post(stack.quick(2, optimizer={"name": "sgd", "learning_rate": 1e9}))
    runs = stack.check(experiment)
    assert {(run.status.value, run.reason, run.attempt) for run in runs} == {("FINISHED", "diverged", 1)}


# ---- MLflow and the database


@pytest.mark.parametrize("when", ["start", "middle", "end"])
def test_mlflow_away(stack: Stack, when: Any) -> None:
    go_on = stack.pause("mlflow") if when == "start" else None
    experiment = stack.post(stack.lasting(2, epochs=10))
    if when == "middle":
        stack.wait_running(experiment)
        stack.kill("mlflow")
    if when == "end":
        stack.wait(lambda: any(run.committed_at for run in stack.runs(experiment)))
        go_on = stack.pause("mlflow")
    stack.wait(lambda: all(run.committed_at for run in stack.runs(experiment)))  # training went on
    if go_on:
        go_on()
    runs = stack.check(experiment)
    assert {(run.status.value, run.attempt) for run in runs} == {("FINISHED", 1)}


@pytest.mark.parametrize(("seconds", "epochs", "attempts"), [(1.5, 32, 1), (7.5, 60, 2)])
def test_database_away_for_less_and_for_more_than_the_lease(
    stack: Stack, seconds: float, epochs: int, attempts: int
) -> None:
    experiment = stack.post(stack.lasting(1, epochs=epochs))
    stack.wait_running(experiment)
    with sqlite3.connect(stack.home / "gradus.db", isolation_level=None, timeout=10) as db:
        db.execute("BEGIN IMMEDIATE")  # nobody can write, and so nobody can renew
        time.sleep(seconds)
        db.execute("ROLLBACK")
    (run,) = stack.check(experiment)
    assert run.status == "FINISHED"
    assert run.attempt == attempts


def test_told_to_end_a_worker_gives_its_runs_back_and_no_loss_counts(stack: Stack) -> None:
    experiment = stack.post(stack.lasting(2, epochs=40))
    run = stack.wait_running(experiment)
    worker = stack.process_of(run.worker)
    worker.send_signal(signal.SIGTERM)
    worker.wait(8 + 5)  # what GRADUS_DRAIN_SECONDS allows for safety, and Celery's own end
    stack.wait(lambda: queries.get_run(stack.store, run.id).attempt > run.attempt)
    runs = stack.check(experiment)
    assert {(run.status.value, run.lease_expirations) for run in runs} == {("FINISHED", 0)}
    edges = [e.data["edge"] for e in queries.events_after(stack.store, run_id=run.id) if e.kind == "status"]
    assert "released" in edges


def test_nothing_is_left_of_what_was_accepted(stack: Stack) -> None:
    """After all of the above: everything that was accepted is over, and MLflow has one run for each."""
    for experiment in stack.accepted:
        stack.check(experiment)
    assert os.path.exists(stack.home / "gradus.db")
