"""Group runs that wait into tiles. Pure: nothing is read or written.

A tile is what one worker trains as one program. Its width is one of a ladder, because the width decides the last bits of
a result and each width is compiled once. Wide tiles cost less per run, but every worker gets work before a tile becomes
wider.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.queue import TileMessage
from service.routes import QUEUE_OF, QUEUES
from service.store.dispatch_rows import Waiting
from service.store.ids import new_id

LADDER = (1, 4, 8, 16, 32, 256, 1024, 4096)
"""The engine's widths. How far up a run may go is said by its `max_width`: on a CPU to 32."""
FULL_ENOUGH = 0.6  # least share of live lanes of a width; below it, the next narrower width costs less


@dataclass
class Candidate:
    """An experiment with runs that wait, in the order of the sweep. `active`: its runs that were sent or are in training."""

    id: str
    owner: str
    priority: int
    created_at: float
    active: int
    runs: list[Waiting] = field(default_factory=list)


def plan(
    candidates: Sequence[Candidate],
    slots: Mapping[str, int],
    workers: Mapping[str, int],
    waiting: Mapping[str, int],
    owners: Mapping[str, int] | None = None,
    total: int | None = None,
) -> list[TileMessage]:
    """Tiles for the free slots.

    The highest priority comes first, then runs that a worker claimed before, then the owner and the experiment with the
    fewest active runs, then the oldest experiment.

    Args:
        slots: queue -> messages that it may still take.
        workers: queue -> living workers that serve it.
        waiting: queue -> runs that wait. The candidates may hold only the first of them.
        owners: owner -> active runs.
        total: most messages over all queues; None: the sum of the slots.
    """
    left = {queue: slots.get(queue, 0) for queue in QUEUES}
    rest = sum(left.values()) if total is None else total
    busy = Counter(owners or {})
    piles = {candidate.id: _piles(candidate) for candidate in candidates}
    active = {candidate.id: candidate.active for candidate in candidates}
    caps = {queue: _width_cap(waiting.get(queue, 0), workers.get(queue, 0)) for queue in QUEUES}
    tiles: list[TileMessage] = []
    while rest > 0:
        open_ = {c.id: [p for p in piles[c.id] if p.runs and left[p.queue] > 0] for c in candidates}
        ready = [c for c in candidates if open_[c.id]]
        if not ready:
            break
        fresh = {c.id: not any(pile.begun for pile in open_[c.id]) for c in ready}
        best = min(
            ready, key=lambda c: (-c.priority, fresh[c.id], busy[c.owner], active[c.id], c.created_at, c.id)
        )
        pile = min(open_[best.id], key=lambda pile: not pile.begun)
        lanes, width = pile.take(caps[pile.queue])
        begun = any(run.begun for run in lanes)
        tiles.append(TileMessage(new_id(), tuple(run.id for run in lanes), width, pile.queue, best.id, begun))
        left[pile.queue] -= 1
        rest -= 1
        busy[best.owner] += len(lanes)
        active[best.id] += len(lanes)
    return tiles


@dataclass
class _Pile:
    """Runs that may share a tile. `width`: the width that they are bound to, None: any. `most`: most lanes of a tile."""

    queue: str
    max_width: int
    width: int | None
    most: int | None
    runs: list[Waiting]

    @property
    def begun(self) -> bool:
        """Whether a worker claimed one of the runs before."""
        return any(run.begun for run in self.runs)

    def take(self, cap: int) -> tuple[list[Waiting], int]:
        """The next tile's lanes and its width."""
        if self.width is not None:
            number, width = min(len(self.runs), self.most or self.width), self.width
        else:
            number, width = shape(len(self.runs), min(cap, self.max_width))
        lanes, self.runs = self.runs[:number], self.runs[number:]
        return lanes, width


def shape(waiting: int, most: int) -> tuple[int, int]:
    """How many of the waiting lanes go into the next tile, and its width.

    Args:
        waiting: number of lanes.
        most: the widest tile allowed.

    >>> shape(100, 32), shape(12, 32), shape(9, 32), shape(3, 32), shape(2, 32)
    ((32, 32), (12, 16), (8, 8), (3, 4), (1, 1))
    """
    widths = [width for width in LADDER if width <= most] or [1]
    if waiting >= widths[-1]:
        return widths[-1], widths[-1]
    above = next(width for width in widths if width >= waiting)
    if waiting >= FULL_ENOUGH * above:
        return waiting, above
    below = max(width for width in widths if width <= waiting)
    return below, below


def _piles(candidate: Candidate) -> list[_Pile]:
    """The experiment's runs grouped by what may train together, in the order of each group's first run."""
    groups: dict[tuple[object, ...], list[Waiting]] = defaultdict(list)
    for run in candidate.runs:
        if run.single_lane:
            key: tuple[object, ...] = ("single", run.id)
        elif run.resume_key is not None:
            key = ("resume", run.resume_key, run.program)
        else:
            key = ("fresh", run.program, run.route)
        groups[key].append(run)
    return [_pile(str(key[0]), group) for key, group in groups.items()]


def _pile(kind: str, group: list[Waiting]) -> _Pile:
    first = group[0]
    queue, most = QUEUE_OF[first.route], min(run.max_width for run in group)
    if kind == "fresh":
        # Lanes of one length end together, so none idles; lanes of one seed share their batches.
        ordered = sorted(group, key=lambda run: (not run.begun, run.epochs, run.seed, run.index))
        return _Pile(queue, most, None, None, ordered)
    old = first.resume_width or first.width or 1
    return _Pile(queue, most, old, 1 if kind == "single" else None, group)


def _width_cap(waiting: int, workers: int) -> int:
    """The widest tile of a queue that leaves runs for each of its workers."""
    share = math.ceil(waiting / workers) if workers else 1
    return max(width for width in LADDER if width <= max(1, share))
