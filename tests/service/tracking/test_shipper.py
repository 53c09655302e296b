"""The shipper against a real MLflow server, database and spool; MLflow is read by its own client."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service import operations
from service.entities import Committed, Measured, MetricPoint
from service.settings import Settings
from service.store import queries
from service.tracking import shipper
from service.tracking.client import Tracking
from service.tracking.retention import expire_artifacts, sweep_spool
from service.tracking.shipper import Shipper
from service.tracking.shipping import run_shipper
from service.tracking.spool import Spool
from tests.service.conftest import MlflowServer, World, describer


def eventually(condition: Callable[[], bool], *, within: float) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"did not come true within {within:.0f} s"
        time.sleep(0.05)


def test_a_run_from_waiting_to_finished(world: World) -> None:
    first, *others = world.submit()
    world.ship()
    assert [run.info.status for run in world.all_there()] == ["SCHEDULED"] * 3
    (held,) = world.claim(first)
    world.record(held, 0, test_loss=2.0)
    world.ship()
    assert world.there(first).info.status == "RUNNING"
    assert world.there(first).data.metrics == {"test/loss": 2.0}
    world.record(held, 1, test_loss=None, train_loss=0.5)
    world.finish(held)
    assert world.run(first).status == "RUNNING"
    world.ship()
    done = world.run(first)
    assert done.status == "FINISHED"
    assert done.mlflow_status == "FINISHED"
    run = world.there(first)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "seed 0"
    assert run.info.end_time == round(done.ended_at.timestamp() * 1000)
    assert run.data.params["optimizer"] == "sgd"
    assert run.data.params["learning_rate"] == "0.01"
    assert run.data.tags["gradus.run_id"] == first.id
    assert run.data.tags["gradus.fingerprint"] == first.fingerprint
    assert run.data.tags["gradus.reason"] == "epochs"
    assert run.data.tags["gradus.device"] == "cpu"
    assert math.isnan(run.data.metrics["test/loss"])
    history = world.client.get_metric_history(run.info.run_id, "test/loss")
    assert [point.step for point in history] == [0, 1]
    assert run.inputs.dataset_inputs[0].dataset.digest == "abc"
    assert {f.path for f in world.client.list_artifacts(run.info.run_id)} == {"spec.yaml", "weights"}
    assert world.spool.run_ids() == []
    assert [world.there(run).info.status for run in others] == ["SCHEDULED"] * 2


@pytest.mark.parametrize("points", [9, 10, 25])
def test_a_history_longer_than_what_is_read_at_once_arrives_whole(
    world: World, points: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a long run that MLflow missed: page after page, each point once, also with a full last page."""
    monkeypatch.setattr(shipper, "POINTS_AT_ONCE", 5)
    first, *_ = world.submit()
    (held,) = world.claim(first)
    measured = [MetricPoint("train/loss", step, step / 7) for step in range(1, points + 1)]
    operations.record(world.store, {held.id: Measured(held.attempt, measured)})
    world.finish(held)
    world.ship()
    history = world.client.get_metric_history(world.run(first).mlflow_run_id, "train/loss")
    assert sorted((point.step, point.value) for point in history) == [(m.step, m.value) for m in measured]
    assert world.there(first).data.params["optimizer"] == "sgd"
    assert world.run(first).status == "FINISHED"


def test_a_result_shows_while_others_are_still_carried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when the whole turn is done: of a large sweep that takes long."""
    monkeypatch.setattr(shipper, "NOTE_SECONDS", 0.0)
    monkeypatch.setattr(shipper, "CARRIED_AT_ONCE", 1)
    held = world.claim(*world.submit())
    for run in held:
        world.finish(run)
    seen, real = [], world.shipper._tracking.create_run

    def create(*arguments: Any) -> Any:
        seen.append(sum(world.run(run).status == "FINISHED" for run in held))
        return real(*arguments)

    monkeypatch.setattr(world.shipper._tracking, "create_run", create)
    assert world.shipper.turn() == 3
    assert seen == [0, 1, 2]


def test_the_experiment_and_its_changes(world: World) -> None:
    world.submit()
    world.ship()
    kept = queries.get_experiment(world.store, world.experiment.id)
    there = world.client.get_experiment(kept.mlflow_experiment_id)
    assert there.name == f"lines #{kept.id[:6]}"
    assert there.tags["gradus.name"] == "lines"
    assert there.tags["course"] == "nn-101"
    assert there.tags["mlflow.note.content"] == "two of them"
    operations.change_experiment(world.store, kept.id, name="curves", description="one")
    world.ship()
    there = world.client.get_experiment(kept.mlflow_experiment_id)
    assert there.name == f"curves #{kept.id[:6]}"
    assert there.tags["mlflow.note.content"] == "one"


def test_a_page_that_cannot_be_made_holds_no_run_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the analysis or in the report's template: MLflow shows the person's own words, and every result."""

    def describe(experiment: Any) -> Any:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(world.shipper, "_describe", describe)
    for run in world.claim(*world.submit()):
        world.finish(run)
    with capture_logs() as logs:
        world.ship()
    assert [run.info.status for run in world.all_there()] == ["FINISHED"] * 3
    kept = queries.get_experiment(world.store, world.experiment.id)
    there = world.client.get_experiment(kept.mlflow_experiment_id)
    assert there.tags["mlflow.note.content"] == "two of them"
    assert {entry["event"] for entry in logs} == {"no comparison for MLflow's description"}


def test_cancelled_while_queued_then_retried_is_one_mlflow_run(world: World) -> None:
    first, *_ = world.submit()
    operations.cancel_run(world.store, first.id)
    world.ship()
    assert world.there(first).info.status == "KILLED"
    before = world.run(first).mlflow_run_id
    operations.retry_run(world.store, first.id)
    world.ship()
    assert world.there(first).info.status == "SCHEDULED"
    (held,) = world.claim(first)
    world.finish(held)
    world.ship()
    assert world.run(first).mlflow_run_id == before
    assert world.there(first).info.status == world.run(first).status == "FINISHED"
    assert len(world.all_there()) == 3


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_every_other_end(world: World, status: Any) -> None:
    first, *_ = world.submit()
    (held,) = world.claim(first)
    world.finish(held, status, "why")
    world.ship()
    assert world.there(first).info.status == world.run(first).status == status
    assert world.there(first).data.tags["gradus.reason"] == "why"


def test_cancelled_while_its_outcome_is_on_the_way(world: World) -> None:
    first, *_ = world.submit()
    (held,) = world.claim(first)
    world.finish(held)
    operations.cancel_run(world.store, first.id)
    world.ship()
    assert world.there(first).info.status == world.run(first).status == "KILLED"


def test_the_files_of_another_spool_are_waited_for(world: World) -> None:
    first, *_ = world.submit(sweep={"seeds": 1})
    (held,) = operations.claim(world.store, [first.id], worker="w", spool="far away", lease_seconds=60)
    world.finish(held)
    for _ in range(3):
        world.shipper.turn()
    assert world.run(first).status == "RUNNING"


def test_a_deleted_experiment_goes_though_mlflow_never_heard_of_a_run_that_was_in_training(
    world: World,
) -> None:
    first, *_ = world.submit()
    (held,) = world.claim(first)
    operations.delete_experiment(world.store, world.experiment.id)
    world.shipper.turn()
    assert queries.get_runs(world.store, [first.id]) != {}, "it is in training"
    world.finish(held)
    for _ in range(2):
        world.shipper.turn()
    assert queries.get_runs(world.store, [first.id]) == {}
    sweep_spool(world.store, world.spool)
    assert world.spool.run_ids() == []


def test_a_swept_field_with_an_index_has_a_name_that_mlflow_takes(world: World) -> None:
    sweep = {"model.layers[0].units": [2, 3]}
    layers = [{"type": "dense", "units": 2}, {"type": "dense", "units": 1}]
    runs = world.claim(*world.submit(model={"layers": layers}, sweep=sweep))
    for run in runs:
        world.finish(run)
    world.ship()
    assert [world.there(run).data.params["model.layers.0.units"] for run in runs] == ["2", "3"]
    assert {world.run(run).status for run in runs} == {"FINISHED"}


def test_a_deleted_experiment_goes_in_both(world: World) -> None:
    first, *_ = world.submit()
    world.ship()
    (held,) = world.claim(first)
    there = queries.get_experiment(world.store, world.experiment.id).mlflow_experiment_id
    operations.delete_experiment(world.store, world.experiment.id)
    world.finish(held)
    for _ in range(5):
        world.shipper.turn()
    assert world.client.get_experiment(there).lifecycle_stage == "deleted"
    assert queries.get_runs(world.store, [first.id]) == {}


def test_artifacts_go_after_their_time_and_the_numbers_stay(world: World) -> None:
    first, *_ = world.submit(sweep={"seeds": 1})
    (held,) = world.claim(first)
    world.record(held, 1, test_loss=1.0)
    world.finish(held)
    world.ship()
    expire_artifacts(world.store, world.tracking, 1.0)
    run = world.there(first).info.run_id
    assert len(world.client.list_artifacts(run)) == 2
    for _ in range(2):
        expire_artifacts(world.store, world.tracking, 0)
    assert world.client.list_artifacts(run) == []
    assert world.there(first).data.metrics == {"test/loss": 1.0}


def test_the_loop_removes_artifacts_of_the_age_that_is_set(
    world: World, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    first, *_ = world.submit(sweep={"seeds": 1})
    (held,) = world.claim(first)
    world.finish(held)
    world.ship()
    assert len(world.client.list_artifacts(world.run(first).mlflow_run_id)) == 2
    settings = Settings(home=tmp_path, mlflow_url=mlflow_server.url, artifact_retention_days=1e-9)
    ended = threading.Event()
    loop = threading.Thread(
        target=run_shipper, args=(settings, world.store, world.spool, describer(world.store, settings), ended)
    )
    loop.start()
    try:
        eventually(lambda: not world.client.list_artifacts(world.run(first).mlflow_run_id), within=20)
    finally:
        ended.set()
        loop.join()


def test_mlflow_away_and_back(world: World, mlflow_server: MlflowServer, tmp_path: Path) -> None:
    """The loop as a process runs it: nothing is lost while MLflow is away, and it catches up in seconds."""
    first, second, third = world.submit()
    settings = Settings(home=tmp_path, mlflow_url=mlflow_server.url)
    ended = threading.Event()
    loop = threading.Thread(
        target=run_shipper, args=(settings, world.store, world.spool, describer(world.store, settings), ended)
    )
    loop.start()
    try:
        mlflow_server.stop()
        for run in world.claim(first, second):
            world.record(run, 1, test_loss=1.0)
            world.finish(run)
        operations.cancel_run(world.store, third.id)
        with capture_logs() as said:
            eventually(lambda: [line["event"] for line in said].count("shipping waits") >= 2, within=30)
        assert world.run(first).status == "RUNNING", "it was tried in vain"
        mlflow_server.start()

        def agree() -> bool:
            rows = [world.run(run) for run in (first, second, third)]
            return all(row.mlflow_status == row.status for row in rows)

        eventually(agree, within=10)
        assert sorted(run.info.status for run in world.all_there()) == ["FINISHED", "FINISHED", "KILLED"]
    finally:
        ended.set()
        loop.join()
        if mlflow_server.process is None:
            mlflow_server.start()


def test_a_run_that_one_host_saw_waiting_and_another_trained_is_carried_at_once(
    world: World, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    """The one's shipper takes what waits too; it keeps no lease on what it leaves."""
    (run,) = world.submit(sweep={"seeds": 1})
    world.shipper = Shipper(
        world.store,
        world.spool,
        Tracking(mlflow_server.url, timeout_s=5),
        describer(world.store),
        settle=60.0,
    )
    assert world.shipper.turn() == 0
    there = Spool.open(tmp_path / "there")
    (run,) = operations.claim(world.store, [run.id], worker="w", spool=there.id, lease_seconds=60)
    there.put(run.id, run.attempt, "spec.yaml", b"name: x")
    assert not operations.commit(world.store, {run.id: Committed(run.attempt, "FINISHED", "epochs", {})})
    Shipper(
        world.store, there, Tracking(mlflow_server.url, timeout_s=5), describer(world.store), settle=0.0
    ).turn()
    assert queries.get_run(world.store, run.id).status == "FINISHED"
