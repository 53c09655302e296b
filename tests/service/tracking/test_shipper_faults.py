"""The shipper where things go wrong: lost answers, processes that die or stand still, a server that says no."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from service import operations
from service.analysis import extension
from service.entities import Committed
from service.store import queries
from service.tracking.backoff import MOST_TRIES
from service.tracking.client import Tracking
from service.tracking.records import TrackingRefused, TrackingUnavailable
from service.tracking.retention import expire_artifacts, sweep_spool
from service.tracking.shipper import Shipper
from service.tracking.spool import Spool
from tests.service.conftest import MlflowServer, World, describer


@pytest.mark.parametrize(
    "method", ["ensure_experiment", "create_run", "log", "log_dataset", "upload", "set_status"]
)
@pytest.mark.parametrize("crash", [False, True], ids=["again", "another"])
def test_a_lost_answer_doubles_nothing(
    world: World, mlflow_server: MlflowServer, method: str, crash: Any
) -> None:
    """Whether the same shipper tries again or, its process gone, another one takes over."""
    first, *_ = world.submit(sweep={"seeds": 1})
    (held,) = world.claim(first)
    world.record(held, 0, test_loss=2.0)
    world.record(held, 1, test_loss=1.0, train_loss=0.5)
    world.finish(held)
    world.cut(method)
    with pytest.raises(TrackingUnavailable):
        world.shipper.turn()
    assert world.run(first).status == "RUNNING"
    if crash:
        world.shipper = world.new_shipper(mlflow_server.url)
        world.expire_ship_leases()
    world.ship()
    assert world.run(first).status == "FINISHED"
    (run,) = world.all_there()
    assert run.info.status == "FINISHED"
    for key, points in {"test/loss": [(0, 2.0), (1, 1.0)], "train/loss": [(1, 0.5)]}.items():
        history = world.client.get_metric_history(run.info.run_id, key)
        assert [(point.step, point.value) for point in history] == points
    assert len(run.inputs.dataset_inputs) == 1


def test_what_another_shipper_left_unsaid_is_remembered_until_the_run_is_carried(
    world: World, mlflow_server: MlflowServer
) -> None:
    """Taken over in one turn, carried in a later one: MLflow may have its run all the same."""
    (first,) = world.submit(sweep={"seeds": 1})
    world.claim(first)
    world.cut("create_run")
    with pytest.raises(TrackingUnavailable):
        world.shipper.turn()
    world.expire_ship_leases()
    world.shipper = world.new_shipper(mlflow_server.url)
    world.shipper._settle = 3600.0
    assert world.shipper.turn() == 0, "it changed just now"
    world.shipper._settle = 0.0
    world.ship()
    assert world.run(first).mlflow_status == "RUNNING"
    assert len(world.all_there()) == 1


def test_two_shippers_at_once_make_one_run_each(
    world: World, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    world.submit(sweep={"seeds": 20})
    there = Spool.open(tmp_path / "elsewhere")
    other = Shipper(world.store, there, Tracking(mlflow_server.url), describer(world.store), settle=0.0)
    threads = [
        threading.Thread(target=lambda s=s: [s.turn() for _ in range(3)]) for s in (world.shipper, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    world.ship()
    assert len({run.data.tags["gradus.run_id"] for run in world.all_there()}) == len(world.all_there()) == 20


def test_a_run_deleted_by_hand_in_mlflow_still_ends_here(world: World) -> None:
    first, *_ = world.submit(sweep={"seeds": 1})
    world.ship()
    world.client.delete_run(world.run(first).mlflow_run_id)
    (held,) = world.claim(first)
    world.record(held, 1, test_loss=1.0)
    world.finish(held)
    for _ in range(MOST_TRIES + 4):
        world.shipper.turn()
    done = world.run(first)
    assert done.status == "FINISHED"
    assert "active" in done.tags["gradus.mlflow_refused"], done.tags


def ready(world: World, number: int = 3) -> Any:
    """Runs whose outcome is committed, with files in the spool."""
    runs = world.claim(*world.submit(sweep={"seeds": number}))
    for run in runs:
        world.record(run, 1, test_loss=1.0)
        world.finish(run)
    return runs


def files(world: World, run: Any) -> Any:
    return {file.path for file in world.client.list_artifacts(world.run(run).mlflow_run_id)}


def test_a_server_that_lets_nobody_in_loses_nothing(
    world: World, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    """A wrong `--allowed-hosts`, a proxy that asks for a password: whoever runs it will mend it."""
    closed = type(mlflow_server)(tmp_path)
    closed.start(MLFLOW_SERVER_ALLOWED_HOSTS="10.0.0.5:*")
    try:
        runs = ready(world)
        shipper = world.new_shipper(closed.url)
        for _ in range(MOST_TRIES + 2):
            with pytest.raises(TrackingUnavailable, match="403"):
                shipper.turn()
        shipper.close()
    finally:
        closed.stop()
    assert {world.run(run).status for run in runs} == {"RUNNING"}
    world.ship()
    assert {world.run(run).status for run in runs} == {"FINISHED"}
    assert all(files(world, run) == {"spec.yaml", "weights"} for run in runs)


class Refusing:
    """A tracking in front of which a proxy takes no large file, and the files of one run are large."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self.run_id: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tracking, name)

    def create_run(self, experiment_id: str, card: Any) -> Any:
        made = self.tracking.create_run(experiment_id, card)
        self.run_id = self.run_id or made.id
        return made

    def upload(self, run: Any, files: Any, pool: Any) -> None:
        if run.id == self.run_id:
            raise TrackingRefused("413 Request Entity Too Large", "HTTP 413")
        self.tracking.upload(run, files, pool)


def test_a_file_that_a_proxy_refuses_waits_for_it_and_holds_up_nobody(world: World) -> None:
    runs = ready(world)
    real = world.shipper._tracking
    world.shipper._tracking = Refusing(real)
    for _ in range(MOST_TRIES + 2):
        world.shipper.turn()
    by_status = {world.run(run).status: run for run in runs}
    assert sorted(world.run(run).status for run in runs) == ["FINISHED", "FINISHED", "RUNNING"]
    world.shipper._tracking = real
    world.ship()
    assert world.run(by_status["RUNNING"]).status == "FINISHED"
    assert files(world, by_status["RUNNING"]) == {"spec.yaml", "weights"}


class Frozen:
    """A tracking whose process stands still at the call of `method`, while `meanwhile` happens."""

    def __init__(self, tracking: Tracking, method: str, meanwhile: Any) -> None:
        self.tracking, self.method, self.meanwhile = tracking, method, meanwhile

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.tracking, name)
        if name == self.method and self.meanwhile is not None:
            self.meanwhile, meanwhile = None, self.meanwhile
            meanwhile()
        return real


@pytest.mark.parametrize("method", ["create_run", "log"])
def test_a_shipper_that_stood_still_beyond_its_lease_leaves_the_run_to_the_other(
    world: World, mlflow_server: MlflowServer, tmp_path: Path, method: str
) -> None:
    """Where both made an MLflow run, the one that the row does not name goes."""
    (run,) = world.submit(sweep={"seeds": 1})
    other = Shipper(
        world.store,
        Spool.open(tmp_path / "elsewhere"),
        Tracking(mlflow_server.url),
        describer(world.store),
        settle=0.0,
    )

    def carry() -> None:
        world.expire_ship_leases()
        assert other.turn() == 1

    frozen = world.shipper
    frozen._tracking = Frozen(frozen._tracking, method, carry)
    frozen.turn()
    named = world.run(run).mlflow_run_id
    assert named is not None
    frozen.turn()
    other.close()
    assert [tracked.info.run_id for tracked in world.all_there()] == [named] == [world.run(run).mlflow_run_id]


class Retried(Spool):
    """A spool that is cleared late: when the run was retried already, and its next attempt wrote."""

    world: World

    def forget(self, run_id: str, attempt: Any = None, *, checkpoints: bool = True) -> None:
        operations.retry_run(self.world.store, run_id)
        (held,) = operations.claim(self.world.store, [run_id], worker="w", spool=self.id, lease_seconds=60)
        self.put(run_id, held.attempt, "spec.yaml", b"name: again")
        super().forget(run_id, attempt, checkpoints=checkpoints)


def test_what_is_cleared_late_spares_what_a_retry_wrote(world: World) -> None:
    (first,) = world.submit(sweep={"seeds": 1})
    (held,) = world.claim(first)
    world.finish(held, "FAILED", "why")
    spool = Retried(world.spool.folder, world.spool.id)
    object.__setattr__(spool, "world", world)
    world.shipper._spool = spool
    world.shipper.turn()
    assert world.run(first).attempt == 2
    assert [path for _, path in world.spool.artifacts(first.id, 2)] == ["spec.yaml"]
    assert world.spool.artifacts(first.id, 1) == []


def test_a_sweep_leaves_what_is_still_to_be_carried(world: World) -> None:
    done, open_, failed = ready(world)[:1] + world.claim(*world.submit(sweep={"seeds": 2}))
    world.ship()
    world.spool.put("nobodys", 1, "spec.yaml", b"")
    for run in (done, open_, failed):
        world.spool.put(run.id, run.attempt, "spec.yaml", b"")
        world.spool.put_checkpoint(run.id, run.attempt, 1, b"")
    operations.commit(world.store, {failed.id: Committed(1, "FAILED", "why", {})})
    sweep_spool(world.store, world.spool)
    assert set(world.spool.run_ids()) == {open_.id, failed.id}, "MLflow does not have these yet"
    world.ship()
    world.spool.put(failed.id, 1, "spec.yaml", b"")  # as by a shipper that died before it cleared
    sweep_spool(world.store, world.spool)
    assert world.spool.artifacts(failed.id, 1) == []
    assert world.spool.checkpoint(failed.id, "checkpoint-1-1") == b"", "for a retry"
    assert world.spool.artifacts(open_.id, 1) != []


def test_artifacts_of_runs_that_came_later_expire_too_and_a_lost_experiment_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lost,) = ready(world, 1)
    world.ship()
    gone = queries.get_experiment(world.store, world.experiment.id).mlflow_experiment_id
    (first,) = ready(world, 1)
    world.ship()
    real = world.tracking.expire_artifacts

    def expire(id: Any, note: Any) -> Any:
        if id == gone:
            raise TrackingRefused("no such experiment", "RESOURCE_DOES_NOT_EXIST")
        return real(id, note)

    monkeypatch.setattr(world.tracking, "expire_artifacts", expire)
    expire_artifacts(world.store, world.tracking, 0)
    assert files(world, first) == set()
    extension.extend(world.store, world.experiment.id, seeds=1)
    later = queries.all_runs(world.store, world.experiment.id)[-1]
    (held,) = world.claim(later)
    world.finish(held)
    world.ship()
    assert files(world, later) != set()
    expire_artifacts(world.store, world.tracking, 0)
    assert files(world, later) == set()
    assert files(world, lost) != set()
