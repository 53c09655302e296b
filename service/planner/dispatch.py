"""Send a message for each tile that there is room for, and send lost messages again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from experiments.runs import USUAL_WIDTH
from service.errors import LockTaken
from service.planner.tiles import LADDER, Candidate, plan
from service.queue import TileMessage
from service.routes import QUEUE_OF, QUEUES
from service.settings import Settings
from service.store import Connection, dispatch_rows, queries
from service.store.dispatch_rows import SentTile
from service.store.engine import Store

MESSAGES_PER_WORKER = 2


PROGRAMS = 16  # so many programs of one sweep are searched for the lanes of one tile


FRESH_SECONDS = 6.0  # an older report of a worker does not count for the messages that it has


def is_any_waiting(store: Store) -> bool:
    """Whether `dispatch` may have anything to do. It costs one statement, and `dispatch` a question to the broker for each
    queue and a write transaction.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    return store.read(dispatch_rows.is_any_waiting)


def dispatch(
    store: Store,
    send: Callable[[TileMessage], None],
    queue_length: Callable[[str], int],
    settings: Settings | None = None,
    *,
    redispatch_seconds: float | None = None,
) -> list[TileMessage]:
    """Send messages for the room there is, and send lost messages again. Several processes may call it at once.

    Args:
        send: sends one message. Where it raises, the unsent tiles are planned again next time.
        queue_length: number of messages of a queue that no worker has taken.
        settings: for `redispatch_seconds`.
        redispatch_seconds: after how long a missing message counts as lost; default: as set, or 5.

    Returns:
        The tiles whose messages were sent.
    """
    patience = redispatch_seconds or (settings.redispatch_seconds if settings else 5.0)
    lengths = {queue: queue_length(queue) for queue in QUEUES}
    try:
        tiles = store.write(lambda connection: _mark(connection, lengths, patience), lock_name="dispatch")
    except LockTaken:
        return []
    for number, tile in enumerate(tiles):
        try:
            send(tile)
        except BaseException:
            unsent = [tile.id for tile in tiles[number:]]
            store.write(lambda connection: dispatch_rows.unmark(connection, unsent))  # noqa: B023
            raise
    return tiles


def _mark(connection: Connection, lengths: Mapping[str, int], patience: float) -> list[TileMessage]:
    alive = [w for w in queries.read_workers(connection) if w.alive and w.kind == "train"]
    held = {id for worker in alive if worker.age < FRESH_SECONDS for id in worker.run_ids}
    lost = lost_tiles(dispatch_rows.sent_tiles(connection, held), lengths, patience)
    dispatch_rows.unmark(connection, [tile.tile for tile in lost])
    willing = [worker for worker in alive if worker.state != "draining"]
    workers = {queue: sum(queue in worker.queues for worker in willing) for queue in QUEUES}
    room = {queue: MESSAGES_PER_WORKER * number for queue, number in workers.items()}
    slots = {queue: max(0, room[queue] - lengths[queue]) for queue in QUEUES}
    # Messages that dead workers left behind take no room from living ones.
    total = max(
        0, MESSAGES_PER_WORKER * len(willing) - sum(min(lengths[queue], room[queue]) for queue in QUEUES)
    )
    # Runs for queues without room are not read: they would take the place of runs that can be sent.
    routes = [route for route, queue in QUEUE_OF.items() if slots[queue] > 0]
    if total == 0 or not routes:
        return []
    by_owner: Counter[str] = Counter()
    by_experiment: Counter[str] = Counter()
    for row in dispatch_rows.active(connection):
        by_owner[row.owner] += row.number
        by_experiment[row.experiment_id] += row.number
    waiting_experiments = dispatch_rows.waiting_experiments(connection, routes)
    waiting_experiments.sort(
        key=lambda e: (-e.priority, not e.begun, by_owner[e.owner], by_experiment[e.id], e.created_at)
    )
    candidates = [
        Candidate(row.id, row.owner, row.priority, row.created_at, by_experiment[row.id])
        for row in waiting_experiments
    ]
    # Enough runs to fill every slot from one experiment, also where a sweep varies the program before the seed, without
    # reading a queue of ten thousand to its end.
    most = max(total, PROGRAMS) * USUAL_WIDTH
    if any(device == "gpu" for device, _ in routes):
        most = max(most, LADDER[-1])
    for candidate in candidates[: total * 4]:
        candidate.runs = dispatch_rows.waiting_runs(connection, candidate.id, routes, most)
    waiting: Counter[str] = Counter()
    for route, number in dispatch_rows.waits(connection).items():
        waiting[QUEUE_OF[route]] += number
    tiles = plan(candidates, slots, workers, waiting, by_owner, total)
    dispatch_rows.lock_waiting(connection, [id for tile in tiles for id in tile.run_ids])
    for tile in tiles:
        dispatch_rows.mark_sent(connection, tile.run_ids, tile=tile.id, width=tile.width, queue=tile.queue)
    return tiles


def lost_tiles(sent: Sequence[SentTile], lengths: Mapping[str, int], patience: float) -> list[SentTile]:
    """Tiles whose message is lost: no worker reports their runs, they were sent long enough ago, and their queue holds
    fewer messages than there are such tiles.

    A queue is read in order, so the missing messages are the first ones. A message that is taken for lost by mistake does
    no harm: the second worker finds nothing to claim.

    Args:
        sent: in the order in which their messages are read.
        lengths: queue -> number of messages.
        patience: seconds since a message was sent.
    """
    lost: list[SentTile] = []
    for queue in QUEUES:
        tiles = [tile for tile in sent if tile.queue == queue]
        missing = len(tiles) - lengths.get(queue, 0)
        lost += [tile for tile in tiles[: max(0, missing)] if tile.age > patience]
    return lost
