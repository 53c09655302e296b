"""What can go wrong with a tile, and what its lanes come to then.

Some failures name their run: data that cannot be had, a full disk, a limit that the run alone reached. Others
befall the program that several lanes share, and nobody knows whose fault it is: those lanes are given back
and tried one by one, so that one bad run takes none down with it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

import structlog

from experiments.engine.progress import Outcome, Status
from experiments.errors import DataError, GradusError
from service.errors import StoreUnavailable

log = structlog.get_logger(__name__)
MEMORY, TIME, ERROR, DISK, DATA = "memory_limit", "time_limit", "error", "disk_full", "data"
SHARED = (MEMORY, ERROR)
"""Reasons that, in a tile of several lanes, are the program's and not yet a run's. Time is not among them: each lane has
its own, its share of the tile's."""
_STOPPED = {"memory": MEMORY, "time": TIME}
"""What training was asked to stop for, where that is a failure of the run."""


def named(work: Callable[[], list[Outcome]], lanes: Sequence[int]) -> list[Outcome]:
    """What `work` gives; or, where it raises, an outcome of that name for each of `lanes`.

    A database that is away longer than the lease is no failure of the run: the lanes are lost.
    """
    try:
        return work()
    except StoreUnavailable as error:
        log.warning("database away", error=str(error))
        return [outcome(lane, "RELEASED", "lost") for lane in lanes]
    except Exception as error:  # whatever a training raises becomes an outcome with a name
        reason = reason_of(error)
        log.exception("tile failed", reason=reason)
        return [outcome(lane, "FAILED", reason) for lane in lanes]


def reason_of(error: Exception) -> str:
    """A short name, and for what a person can act on, the message."""
    if isinstance(error, DataError):
        return f"{DATA}: {error}"
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's own
        return MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK
    kind = type(error).__name__
    return f"{ERROR}: {error}" if isinstance(error, GradusError) else f"{ERROR}: {kind}: {str(error)[:500]}"


def settled(given: Outcome, *, lanes: int) -> Outcome:
    """The outcome by its final name; given back where the fault may be another lane's."""
    reason = _STOPPED.get(given.reason, given.reason)
    status: Status = "FAILED" if given.reason in _STOPPED else given.status
    if lanes > 1 and status == "FAILED" and reason.split(":")[0] in SHARED:
        status, reason = "RELEASED", reason.split(":")[0]
    return outcome(given.lane, status, reason, given)


def outcome(lane: int, status: Status, reason: str, like: Outcome | None = None) -> Outcome:
    if like is None:
        return Outcome(lane=lane, status=status, reason=reason, epochs=0, updates=0, metrics={})
    return Outcome(
        lane=lane,
        status=status,
        reason=reason,
        epochs=like.epochs,
        updates=like.updates,
        metrics=like.metrics,
    )
