"""Runs that an experiment takes over from another one, in the database and in a real MLflow."""

from __future__ import annotations

from typing import Any

from service import operations
from service.entities import Run
from service.store import queries
from tests.service.conftest import World


def trained(world: World) -> Run:
    """The first of three runs, trained over two epochs and in MLflow."""
    first, *_ = world.submit()
    (held,) = world.claim(first)
    world.record(held, 1, test_loss=2.0)
    world.record(held, 2, test_loss=0.5)
    world.finish(held)
    world.ship()
    run: Run = world.run(first)
    return run


def again(world: World, source: Run, **changes: Any) -> list[Run]:
    """The runs of the same spec in a new experiment that takes over those of the first."""
    runs: list[Run] = world.submit(reuse=[source.experiment_id], **changes)
    return runs


def test_an_equal_run_is_taken_over_with_its_curves_and_files(world: World) -> None:
    source = trained(world)
    taken, *others = again(world, source)
    assert (taken.status, taken.substatus) == ("RUNNING", "shipping")
    assert [run.status for run in others] == ["SCHEDULED"] * 2
    world.ship()
    done = world.run(taken)
    assert (done.status, done.reason, done.metrics) == ("FINISHED", "epochs", source.metrics)
    assert done.started_at == source.started_at
    there = world.there(done)
    assert there.info.run_id != source.mlflow_run_id
    assert there.info.status == "FINISHED"
    assert there.data.tags[operations.REUSED_FROM] == source.id
    assert there.data.tags["gradus.experiment_id"] == done.experiment_id
    history = world.client.get_metric_history(there.info.run_id, "test/loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 0.5)]
    assert {file.path for file in world.client.list_artifacts(there.info.run_id)} == {"spec.yaml", "weights"}
    assert there.inputs.dataset_inputs[0].dataset.digest == "abc"


def test_a_third_experiment_names_the_run_that_was_trained(world: World) -> None:
    source = trained(world)
    taken, *_ = again(world, source)
    world.ship()
    third, *_ = again(world, world.run(taken))
    assert third.tags[operations.REUSED_FROM] == source.id


def test_nothing_is_lost_where_the_other_experiment_is_deleted(world: World) -> None:
    source = trained(world)
    taken, *_ = again(world, source)
    world.client.delete_run(source.mlflow_run_id)
    operations.delete_experiment(world.store, source.experiment_id)
    world.ship()
    assert world.run(taken).status == "FINISHED"
    assert world.run(taken).metrics == source.metrics


def test_another_spec_and_a_run_that_waits_are_not_taken_over(world: World) -> None:
    source = trained(world)
    assert {run.status for run in again(world, source, training={"epochs": 3})} == {"SCHEDULED"}
    assert {run.status for run in world.submit(seed=1, sweep={"seeds": 2}, reuse=[source.experiment_id])} == {
        "SCHEDULED"
    }


def test_a_run_without_files_is_not_taken_for_one_whose_spool_is_lost(world: World) -> None:
    """MLflow may be away for longer than a spool may."""
    taken, *_ = again(world, trained(world))
    assert operations.reschedule_lost_spools(world.store, -3600.0) == {}
    assert queries.get_run(world.store, taken.id).substatus == "shipping"
