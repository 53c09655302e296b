"""Who locks what in which order on PostgreSQL: nobody waits for somebody who waits for him.

Two that meet are made to: the first goes on once the second waits for a lock. A deadlock costs a second (the server
looks that late) and is repeated, so nothing but the server's count tells of it.
"""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event

from service import operations as ops
from service.entities import Committed, Measured, MetricPoint, Shipped, Worker
from service.planner import dispatch
from service.store import Store, queries

pytestmark = pytest.mark.parametrize("store", ["postgresql"], indirect=True)
LOCKS = re.compile("FOR (NO KEY )?UPDATE")


def ask(store: Store, statement: Any) -> Any:
    return store.read(lambda connection: connection.exec_driver_sql(statement).scalar())


def deadlocks(store: Store) -> Any:
    return ask(store, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


def wait_for_waiting(store: Store, number: int) -> None:
    """Until so many sessions of this database wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 8  # the server ends a session that idles in a transaction for ten
    while ask(store, waiting) < number:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


class Crowd:
    """Operations at once, each through a store of its own. A session tells of its deadlocks when it ends."""

    def __init__(self, store: Store) -> None:
        self.store, self.pool = store, ThreadPoolExecutor(4)
        self.results: list[Any] = []
        self.stores: list[Store] = []

    def start(self, act: Any, after_first_lock: Any = None) -> None:
        mine = Store(self.store.engine.url.render_as_string(hide_password=False), pool_size=1)
        if after_first_lock is not None:
            left = [after_first_lock]

            @event.listens_for(mine.engine, "after_cursor_execute")
            def executed(connection: Any, cursor: Any, statement: Any, *_: Any) -> None:
                if left and LOCKS.search(statement):
                    left.pop()()

        self.stores.append(mine)
        self.results.append(self.pool.submit(act, mine))

    def end(self) -> None:
        for result in self.results:
            result.result(timeout=60)
        for store in self.stores:
            store.close()
        self.pool.shutdown()


@pytest.fixture
def crowd(store: Store) -> Any:
    return Crowd(store)


def claimed(store: Store, experiment: Any) -> Any:
    ids = [run.id for run in queries.all_runs(store, experiment.id)]
    return {run.id: run.attempt for run in ops.claim(store, ids, worker="w", spool="s", lease_seconds=60)}


def recording(store: Store, experiment: Any) -> Any:
    """A worker's measurements."""
    batch = {id: Measured(n, [MetricPoint("a", 1, 1.0)]) for id, n in claimed(store, experiment).items()}
    return lambda mine: ops.record(mine, batch)


def claiming(store: Store, experiment: Any) -> Any:
    ids = [run.id for run in queries.all_runs(store, experiment.id)]
    return lambda mine: ops.claim(mine, ids, worker="w", spool="s", lease_seconds=60)


def finishing(store: Store, experiment: Any) -> Any:
    """The shipper's: what was committed gets its status."""
    claims = claimed(store, experiment)
    ops.commit(store, {id: Committed(n, "FINISHED", "epochs") for id, n in claims.items()})
    return lambda mine: ops.finish(mine, dict.fromkeys(claims))


def retrying(store: Store, experiment: Any) -> Any:
    run_id = queries.all_runs(store, experiment.id)[0].id
    ops.cancel_run(store, run_id)
    return lambda mine: ops.retry_run(mine, run_id)


@pytest.mark.parametrize("make", [recording, claiming, finishing, retrying])
@pytest.mark.parametrize("other", [ops.cancel_experiment, ops.delete_experiment])
def test_an_experiment_is_locked_before_its_runs_or_not_at_all(
    store: Store, submit: Any, crowd: Any, make: Any, other: Any
) -> None:
    experiment = submit()
    act, begun = make(store, experiment), threading.Event()

    def hold() -> None:
        begun.set()
        wait_for_waiting(store, 1)

    crowd.start(act, after_first_lock=hold)
    assert begun.wait(30)
    crowd.start(lambda mine: other(mine, experiment.id))
    crowd.end()
    assert deadlocks(store) == 0


def renewing(store: Store, experiment: Any) -> Any:
    claims = claimed(store, experiment)
    return lambda mine: ops.renew(mine, claims, 60)


def shipping(store: Store, experiment: Any) -> Any:
    taken = ops.claim_shipping(store, shipper="me", spool="s")
    known = {run.id: Shipped(change=0) for run, _ in taken}
    return lambda mine: ops.note_shipped(mine, known, shipper="me")


def giving_back(store: Store, experiment: Any) -> Any:
    taken = {run.id: None for run, _ in ops.claim_shipping(store, shipper="me", spool="s")}
    return lambda mine: ops.give_back_shipping(mine, "me", taken)


def planning(store: Store, experiment: Any) -> Any:
    """Each run a tile of its own."""
    ops.beat(store, Worker("w", queues=("gradus.any",)))
    return lambda mine: dispatch(mine, lambda tile: None, lambda queue: 0)


def losing(store: Store, experiment: Any) -> Any:
    """A message that is lost, of runs that nobody claimed."""
    planning(store, experiment)(store)
    ids = [run.id for run in queries.all_runs(store, experiment.id)]
    return lambda mine: ops.abandon(mine, "w", message=ids)


@pytest.mark.parametrize("make", [renewing, shipping, giving_back, planning, losing])
def test_runs_are_locked_in_the_order_of_their_ids(store: Store, submit: Any, crowd: Any, make: Any) -> None:
    """Of two runs the one that comes first in the table, and is planned first, has the higher id. A third holds the
    lower: the cancel waits for it with nothing in its hands, and so must whoever comes next."""
    ids = ["", ""]
    while ids != sorted(ids, reverse=True) or len(set(ids)) < 2:
        experiment = submit(sweep={"training.batch_size": [8, 16], "seeds": 1})
        ids = [run.id for run in queries.all_runs(store, experiment.id)]
        if ids == sorted(ids):
            ops.delete_experiment(store, experiment.id)
            ops.purge_experiment(store, experiment.id)
    act = make(store, experiment)
    with store.engine.connect() as holder:
        holder.exec_driver_sql(f"SELECT 1 FROM runs WHERE id = '{min(ids)}' FOR UPDATE")
        crowd.start(lambda mine: ops.cancel_experiment(mine, experiment.id))
        wait_for_waiting(store, 1)
        crowd.start(act)
        wait_for_waiting(store, 2)
    crowd.end()
    assert deadlocks(store) == 0
