"""What a worker trains in place of the tile of its message, where something more urgent waits."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from service.errors import LockTaken
from service.planner.tiles import Candidate, plan
from service.routes import QUEUE_OF, Route
from service.store import Connection, Store, dispatch_rows, turn_rows
from service.store.ids import new_id

WAITING_RUNS = 512  # so many runs of the urgent experiment are looked at
PATIENCE = 2.0  # seconds to wait until the planner, or another worker that exchanges its tile, is done


def more_urgent(
    store: Store, run_ids: Sequence[str], width: int, routes: Collection[Route]
) -> tuple[list[str], int]:
    """Choose what to train: the tile of a message, or one that goes before it.

    A message waits in a queue while its worker is busy. Meanwhile experiments of a higher priority come, and of other
    owners. Owners take turns: who has waited longest since the last run of their own is first, so nobody waits behind
    another's sweep for longer than the tile in training. Where the message gives way, its runs are planned again at once.

    Args:
        run_ids: the runs of the message.
        width: the width of its tile.
        routes: what runs may ask for that can be trained here (queue.routes).

    Returns:
        The runs to claim, and the width of their tile.
    """

    def look(connection: Connection) -> str | None:
        return turn_rows.more_urgent_experiment(connection, run_ids, routes)

    def exchange(connection: Connection) -> tuple[list[str], int] | None:
        experiment_id = look(connection)
        if experiment_id is None:
            return None
        tile = _tile(connection, experiment_id, routes)
        if tile is not None:
            dispatch_rows.unmark_runs(connection, run_ids)
        return tile

    if not run_ids or store.read(look) is None:
        return list(run_ids), width
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            tile = store.write(exchange, lock_name="dispatch")
        except LockTaken:
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            tile = None  # the message in hand is no worse than it was
        return tile or (list(run_ids), width)


def _tile(
    connection: Connection, experiment_id: str, routes: Collection[Route]
) -> tuple[list[str], int] | None:
    """One tile of an experiment, marked as sent: of runs that were not sent, else one whose message nobody took."""
    waiting = dispatch_rows.waiting_runs(connection, experiment_id, routes, WAITING_RUNS)
    if not waiting:
        return dispatch_rows.oldest_sent_tile(connection, experiment_id, routes)
    route = waiting[0].route
    waiting, queue = [run for run in waiting if run.route == route], QUEUE_OF[route]
    candidate = Candidate(experiment_id, "", 0, 0.0, 0, waiting)
    workers = dispatch_rows.training_workers(connection, queue)
    (tile,) = plan([candidate], {queue: 1}, {queue: workers}, {queue: len(waiting)})
    dispatch_rows.lock_waiting(connection, tile.run_ids)
    dispatch_rows.mark_sent(connection, tile.run_ids, tile=new_id(), width=tile.width, queue=queue)
    return list(tile.run_ids), tile.width
