"""Pages, filters, shortened ids and events. On both databases."""

from __future__ import annotations

from typing import Any

import pytest

from service import operations as ops
from service.entities import Measured, MetricPoint, Worker
from service.errors import (
    AmbiguousId,
    BadCursor,
    NotFound,
)
from service.store import Store, queries
from tests.service.store.deeds import claim, ids


def test_pages_and_filters(store: Store, submit: Any) -> None:
    experiment = submit(seeds=4)
    first, cursor = queries.list_runs(store, experiment.id, limit=5)
    second, last = queries.list_runs(store, experiment.id, cursor=cursor, limit=5)
    assert [run.index for run in (*first, *second)] == list(range(8))
    assert last is None

    def matching(**filters: Any) -> Any:
        return len(queries.list_runs(store, experiment.id, filters={k: [v] for k, v in filters.items()})[0])

    assert matching(activation="relu") == 4
    assert matching(activation="relu", seed="1") == 1
    assert matching(learning_rate="1e-1") == 8
    assert matching(status="FINISHED") == 0
    assert matching(nothing="x") == 0
    both = {"activation": ["relu", "tanh"], "status": ["SCHEDULED", "RUNNING"]}
    assert len(queries.list_runs(store, experiment.id, filters=both)[0]) == 8
    other = submit(name="another")
    pages, cursor = queries.list_experiments(store, limit=1)
    assert [item.id for item in pages] == [other.id]
    assert [item.id for item in queries.list_experiments(store, cursor=cursor)[0]] == [experiment.id]
    assert [item.id for item in queries.list_experiments(store, filters={"name": ["another"]})[0]] == [
        other.id
    ]
    assert len(queries.list_experiments(store, filters={"activation": ["relu"]})[0]) == 2
    for bad in ("x", "-1", "1; drop table runs", "9" * 30, "²"):
        with pytest.raises(BadCursor):
            queries.list_runs(store, experiment.id, cursor=bad)


def test_ids_may_be_shortened(store: Store, submit: Any) -> None:
    experiment = submit()
    assert queries.get_experiment(store, experiment.id[:12]).id == experiment.id
    many = [submit(seeds=1).id for _ in range(17)]
    first = next(id[0] for id in many if sum(entry[0] == id[0] for entry in many) > 1)
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
