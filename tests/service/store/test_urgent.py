"""Priorities and turns hold until a worker takes the tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from service import operations as ops
from service.entities import Committed
from service.planner import more_urgent
from service.routes import routes
from service.store import Store, queries
from tests.service.store.sending import FOUR, Broker, fleet

HERE = routes("cpu", "tensorflow")


def take(store: Store, message: Any) -> list[str]:
    """What a worker claims that received a message."""
    run_ids, _ = more_urgent(store, message.run_ids, message.width, HERE)
    return [run.id for run in ops.claim(store, run_ids, worker="c0", spool="s", lease_seconds=60)]


def test_an_urgent_run_goes_before_a_tile_that_was_sent(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    fleet(store, cpu=1)
    long = submit(sweep={"activation": ["relu", "tanh", "sigmoid"]})
    go()
    urgent = submit(priority=5, sweep=FOUR)
    first, second = broker.pop(), broker.pop()
    assert set(take(store, first)) <= {run.id for run in queries.all_runs(store, urgent.id)}
    for run in queries.all_runs(store, urgent.id):
        ops.cancel_run(store, run.id)
    assert take(store, second) == list(second.run_ids), "nothing urgent is left"
    assert set(first.run_ids) <= {id for tile in go() for id in tile.run_ids}, (
        "what gave way is planned again"
    )
    assert {run.experiment_id for run in queries.get_runs(store, first.run_ids).values()} == {long.id}


def test_a_priority_changed_after_both_were_sent_holds(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    fleet(store, cpu=1)
    first, second = submit(sweep={"seeds": 1}), submit(sweep={"seeds": 1})
    go()
    ops.change_experiment(store, second.id, priority=3)
    assert take(store, broker.pop()) == [queries.all_runs(store, second.id)[0].id]
    assert take(store, broker.pop()) == [], "its message came too late"
    (again,) = go()
    assert take(store, again) == [queries.all_runs(store, first.id)[0].id]


def commit(store: Store, run_ids: Sequence[str]) -> None:
    """The end of a tile that `take` claimed."""
    batch = {id: Committed(1, "FINISHED", "epochs", {}) for id in run_ids}
    assert not ops.commit(store, batch)


def train_next(store: Store, broker: Broker, go: Any) -> list[str]:
    """The next tile of a worker: a message whose runs were trained in another's place holds nothing to claim."""
    while True:
        go()
        if tile := take(store, broker.pop()):
            return tile


def owners(store: Store, run_ids: Sequence[str]) -> set[str]:
    return {
        queries.get_experiment(store, run.experiment_id).owner
        for run in queries.get_runs(store, run_ids).values()
    }


def test_owners_take_turns_whatever_was_sent_before(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    """One worker, a sweep of many tiles, and two who come while its first tile is in training: each of them waits for
    that tile alone, then the sweep has its turn."""
    fleet(store, cpu=1)
    submit(owner="sweep", sweep={"training.batch_size": [8, 16, 32, 64, 128], "seeds": 1})
    tile = train_next(store, broker, go)
    submit(owner="ann", sweep={"seeds": 1})
    submit(owner="bob", sweep={"seeds": 1})
    trained: list[str] = []
    for _ in range(4):
        commit(store, tile)
        tile = train_next(store, broker, go)
        trained += owners(store, tile)
    assert trained == ["ann", "bob", "sweep", "sweep"]


def test_who_was_trained_after_the_sweeps_last_tile_waits_for_one_more(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    fleet(store, cpu=1)
    submit(owner="sweep", sweep={"training.batch_size": [8, 16, 32, 64, 128], "seeds": 1})
    commit(store, train_next(store, broker, go))
    trained: list[str] = []
    for _ in range(6):  # ann submits again as soon as her run is done
        if not trained or trained[-1] == "ann":
            submit(owner="ann", sweep={"seeds": 1})
        tile = train_next(store, broker, go)
        trained += owners(store, tile)
        commit(store, tile)
    assert trained == ["ann", "sweep"] * 3


def test_nothing_gives_way_to_an_owner_who_has_a_run_in_training(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    fleet(store, cpu=2)
    submit(owner="ann", sweep={"training.batch_size": [8, 16], "seeds": 1})
    go()
    take(store, broker.pop())
    submit(owner="sweep", sweep={"training.batch_size": [8, 16], "seeds": 1})
    go()
    broker.queues["gradus.any"].reverse()
    message = broker.pop()
    assert owners(store, take(store, message)) == {"sweep"}


@pytest.mark.parametrize("change", [{"priority": 0}, {"priority": 5, "device": "gpu"}])
def test_nothing_gives_way_to_an_equal_priority_or_another_device(
    store: Store, submit: Any, broker: Broker, go: Any, change: Any
) -> None:
    fleet(store, cpu=1)
    submit(sweep={"seeds": 1})
    go()
    submit(sweep={"seeds": 1}, **change)
    message = broker.pop()
    assert take(store, message) == list(message.run_ids)


def test_a_message_that_comes_too_late_takes_nothing_in_its_place(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    fleet(store, cpu=1)
    submit(sweep={"seeds": 1})
    go()
    message = broker.pop()
    assert take(store, message) == list(message.run_ids)
    submit(priority=5, sweep={"seeds": 1})
    assert take(store, message) == [], "a doubled message trains nothing"
