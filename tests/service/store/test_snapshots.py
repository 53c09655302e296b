"""What a process keeps of an experiment's runs is what the database has, however the runs change."""

from __future__ import annotations

from functools import partial

from service.store import queries
from tests.service.scored_runs import World, world

__all__ = ["world"]
SPEC = """
name: few
dataset: {name: digits}
model: {hidden: [4]}
training: {epochs: 2}
sweep: {activation: [relu, tanh], seeds: 2}
"""


def test_a_snapshot_is_what_the_database_has(world: World) -> None:
    experiment = world.submit(SPEC)
    kept, stored = (
        queries.snapshot(world.store, experiment.id),
        partial(queries.all_runs, world.store, experiment.id),
    )
    assert [run.id for run in kept.runs()] == [run.id for run in stored()]
    for _ in range(4):
        before = {run.id: run for run in kept.runs()}
        world.work(experiment.id, most=1)
        after = kept.runs()
        assert [(run.status, run.metrics, run.tags) for run in after] == [
            (run.status, run.metrics, run.tags) for run in stored()
        ]
        assert sum(before[run.id] is not run for run in after) == 1, "only the run that changed is read again"


def test_curves_are_those_of_the_database_also_for_further_metrics(world: World) -> None:
    experiment = world.submit(SPEC)
    kept = queries.snapshot(world.store, experiment.id)
    for keys in (["val/loss"], ["val/loss", "test/accuracy"]):
        world.work(experiment.id, most=2)
        ids = [run.id for run in kept.runs()]
        curves, stored = kept.curves(ids, keys), queries.metric_values(world.store, ids, keys)
        assert {id: own for id, own in curves.items() if own} == stored


def test_the_least_recently_used_snapshots_are_dropped(world: World) -> None:
    ids = [world.submit(SPEC).id for _ in range(9)]
    first = queries.snapshot(world.store, ids[0])
    for id in ids[1:]:
        queries.snapshot(world.store, id)
    assert queries.snapshot(world.store, ids[0]) is not first
