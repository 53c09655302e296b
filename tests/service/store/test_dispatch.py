"""Sending: order, fairness, devices, and messages that get lost or doubled."""

from __future__ import annotations

from typing import Any

import pytest

from service import operations as ops
from service.entities import Worker
from service.errors import BrokerUnavailable
from service.planner import LADDER, is_any_waiting
from service.routes import QUEUE_OF, routes
from service.store import Store, queries
from tests.service.store.sending import FOUR, Broker, fleet


def test_a_backend_waits_for_its_worker_and_says_so(go: Any, submit: Any, store: Store) -> None:
    """Two backends as levels of one experiment: each run goes to the queue of its own."""
    both = submit(sweep={"backend": ["tensorflow", "jax"], "seeds": 1})
    either = submit(sweep={"seeds": 1}, backend="auto")
    fleet(store, cpu=1)
    assert {(tile.experiment_id, tile.queue, len(tile.run_ids)) for tile in go()} == {
        (both.id, "gradus.any", 1)
    }
    reasons = {run.backend: run.reason for run in queries.all_runs(store, both.id)}
    assert reasons == {"tensorflow": "", "jax": "waits for a jax worker: none is up"}
    served = tuple(QUEUE_OF[route] for route in routes("gpu", "jax"))
    ops.beat(store, Worker("j", device="gpu", backend="jax", queues=served))
    assert {(tile.experiment_id, tile.queue) for tile in go()} == {
        (both.id, "gradus.jax.any"), (either.id, "gradus.either.any")
    }  # fmt: skip
    assert {run.reason for run in queries.all_runs(store, both.id)} == {""}


def test_the_planner_looks_at_the_queues_only_while_a_run_waits_for_a_worker(
    store: Store, submit: Any, go: Any
) -> None:
    assert not is_any_waiting(store)
    submit(seeds=1, sweep={"activation": ["relu"], "seeds": 1})
    assert is_any_waiting(store)
    fleet(store, cpu=1)
    (tile,) = go()
    assert is_any_waiting(store), "its message may get lost"
    ops.claim(store, tile.run_ids, worker="c0", spool="s", lease_seconds=60)
    assert not is_any_waiting(store)
    ops.abandon(store, "c0")
    ops.reap(store)
    assert is_any_waiting(store)


def test_what_was_taken_from_a_worker_goes_on_before_anything_new(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    first = submit(
        seeds=1, sweep={"activation": ["relu"], "training.batch_size": [8, 16, 32, 64], "seeds": 1}
    )
    fleet(store, cpu=1)
    sent = go()
    broker.flush()
    last = sent[-1].run_ids
    ops.claim(store, last, worker="c0", spool="s", lease_seconds=60)
    second = submit(seeds=1, name="second")
    ops.abandon(store, "c0")
    ops.reap(store)
    again = go(1e-9)
    assert again[0].run_ids == last
    assert again[0].experiment_id == first.id
    assert {tile.experiment_id for tile in again[1:]} == {second.id}  # then whoever has least at work
    broker.flush()
    ops.change_experiment(store, second.id, priority=5)
    assert {tile.experiment_id for tile in go(1e-9)} == {second.id}, "a priority counts for more"


def test_a_message_that_died_with_its_child_is_sent_again_at_once(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    submit(seeds=4, sweep={"activation": ["relu"], "training.batch_size": [8, 16], "seeds": 1})
    fleet(store, cpu=1)
    (first, other) = go()
    broker.pop()  # a worker took it and died before it claimed anything
    ops.beat(store, Worker("c0", queues=("gradus.cpu", "gradus.any"), run_ids=first.run_ids, state="busy"))
    assert go() == []
    ops.abandon(store, "c0", message=first.run_ids)
    (again,) = go()
    assert (again.run_ids, again.id != first.id) == (first.run_ids, True)
    (run,) = ops.claim(store, other.run_ids, worker="c1", spool="s", lease_seconds=60)
    ops.abandon(store, "c0", message=other.run_ids)
    assert queries.get_run(store, run.id).worker == "c1", "somebody else's by then"
    assert go() == []


def test_at_most_two_messages_wait_per_living_worker(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    submit(seeds=20, sweep={"activation": ["relu"], "training.batch_size": [8, 16, 32, 64], "seeds": 4})
    assert go() == []
    fleet(store, cpu=1)
    assert len(go()) == 2
    assert go() == []
    broker.pop()
    assert len(go()) == 1
    assert broker.length("gradus.any") == 2


def test_one_free_place_among_many_workers_gets_a_wide_tile(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    """The width goes by all that waits, not by what is read of it to fill one place."""
    fleet(store, cpu=4)
    submit(sweep={"activation": ["relu", "tanh"], "seeds": 320})
    assert [tile.width for tile in go()] == [32] * 8
    broker.pop()
    assert [tile.width for tile in go()] == [32]


def test_what_was_sent_is_claimed_once_however_often_it_comes(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    submit(sweep=FOUR)
    fleet(store, cpu=1)
    got = []
    for tile in [tile for tile in go() for _ in range(5)]:
        got += ops.claim(store, tile.run_ids, worker="c0", spool="s", lease_seconds=60)
    assert len(got) == len({run.id for run in got}) == 4
    assert {run.width for run in got} <= set(LADDER)


def test_a_flushed_broker_is_filled_again(store: Store, submit: Any, broker: Broker, go: Any) -> None:
    submit(sweep=FOUR)
    fleet(store, cpu=1)
    first = go()
    assert go(0.0) == []  # still in the queue
    broker.flush()
    assert go(60.0) == []  # perhaps a worker has just taken them
    again = go(1e-9)
    assert sorted(id for tile in again for id in tile.run_ids) == sorted(
        id for t in first for id in t.run_ids
    )


def test_one_lost_message_among_others_is_noticed(store: Store, submit: Any, broker: Broker, go: Any) -> None:
    submit(seeds=20, sweep={"activation": ["relu"], "training.batch_size": [8, 16], "seeds": 2})
    fleet(store, cpu=1)
    first, second = go()
    broker.pop()
    (again,) = go(1e-9)
    assert set(again.run_ids) == set(first.run_ids)
    assert again.id != first.id
    assert broker.queues["gradus.any"] == [second, again]


def test_what_a_worker_has_in_its_hands_is_not_lost(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    submit(sweep=FOUR)
    fleet(store, cpu=1)
    first, *_ = go()
    broker.flush()
    ops.beat(store, Worker("c0", queues=("gradus.any",), run_ids=first.run_ids, state="busy"))
    assert not any(set(tile.run_ids) & set(first.run_ids) for tile in go(1e-9))


def test_nothing_is_marked_where_the_broker_is_down(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    experiment = submit(sweep=FOUR)
    fleet(store, cpu=1)
    broker.down = True
    with pytest.raises(BrokerUnavailable):
        go()
    broker.down = False
    assert sum(len(tile.run_ids) for tile in go()) == experiment.n_runs


def test_a_new_priority_reaches_what_waits(store: Store, submit: Any, broker: Broker, go: Any) -> None:
    first, second = submit(seeds=1, name="first"), submit(seeds=1, name="second")
    ops.change_experiment(store, second.id, priority=5)
    fleet(store, cpu=1)
    assert {tile.experiment_id for tile in go()} == {second.id}
    broker.flush()
    assert {tile.experiment_id for tile in go()} == {first.id}


def test_devices_have_queues_of_their_own(store: Store, submit: Any, broker: Broker, go: Any) -> None:
    gpu, cpu, any_ = (submit(seeds=1, device=device) for device in ("gpu", "cpu", "auto"))
    fleet(store, cpu=2)
    assert {tile.experiment_id: tile.queue for tile in go()} == {cpu.id: "gradus.cpu", any_.id: "gradus.any"}
    assert "gpu worker" in queries.all_runs(store, gpu.id)[0].reason
    broker.flush()
    fleet(store, gpu=1)
    assert {tile.experiment_id: tile.queue for tile in go()} == {gpu.id: "gradus.gpu"}


@pytest.mark.parametrize(("device", "queue"), [("cpu", "gradus.cpu"), ("auto", "gradus.any")])
def test_what_waits_for_a_device_that_is_not_there_holds_nothing_else_back(
    store: Store, submit: Any, broker: Broker, go: Any, device: Any, queue: Any
) -> None:
    """However much of it there is, however urgent, and had it begun or not."""
    gpu = [submit(seeds=1, device="gpu") for _ in range(12)]
    fleet(store, gpu=1)
    begun = go()[0]
    ops.claim(store, begun.run_ids, worker="g0", spool="s", lease_seconds=60)
    ops.abandon(store, "g0")
    ops.reap(store)
    ops.retire(store, "g0")
    broker.flush()
    for experiment in gpu:
        ops.change_experiment(store, experiment.id, priority=9)
    mine = submit(seeds=1, device=device)
    fleet(store, cpu=1)
    assert {(tile.experiment_id, tile.queue) for tile in go(1e-9)} == {(mine.id, queue)}


def test_messages_left_by_a_worker_that_is_gone_take_no_room_from_the_others(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    submit(device="gpu", sweep={"training.batch_size": [8, 16], "seeds": 1})
    fleet(store, gpu=1)
    assert len(go()) == 2
    ops.retire(store, "g0")
    mine = submit(seeds=1, device="cpu")
    fleet(store, cpu=1)
    assert [(tile.experiment_id, tile.queue) for tile in go()] == [(mine.id, "gradus.cpu")] * 2


def test_cancelled_runs_are_not_sent(store: Store, submit: Any, broker: Broker, go: Any) -> None:
    ops.cancel_experiment(store, submit().id)
    fleet(store, cpu=1)
    assert go() == []


def test_given_back_runs_are_sent_again_and_those_lost_twice_alone(
    store: Store, submit: Any, broker: Broker, go: Any
) -> None:
    submit(sweep=FOUR)
    fleet(store, cpu=1)
    (tile,) = go()
    assert (len(tile.run_ids), tile.width) == (4, 4)
    broker.pop()
    claims = ops.claim(store, tile.run_ids, worker="c0", spool="s", lease_seconds=60)
    for run in claims:
        ops.record_checkpoints(store, {run.id: run.attempt}, {run.id: {"spool": "s", "epoch": 1, "width": 4}})
    ops.release(store, {run.id: run.attempt for run in claims}, reason="drain")
    (tile,) = go()
    assert (len(tile.run_ids), tile.width) == (4, 4)
    broker.pop()
    for lost in (1, 2):
        ops.claim(store, tile.run_ids, worker="c0", spool="s", lease_seconds=60)
        ops.abandon(store, "c0")
        ops.reap(store)
        sent = go()
        if lost == 1:  # blames nobody
            assert [(len(tile.run_ids), tile.width) for tile in sent] == [(4, 4)]
            broker.pop()
    assert [(len(tile.run_ids), tile.width) for tile in sent] == [(1, 4), (1, 4)]
