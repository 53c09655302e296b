"""What can go wrong with a tile, and the outcome of its lanes then.

Some failures belong to one run: data that cannot be had, a full disk, a limit that the run alone reached. Others belong
to the program that several lanes share, and the run at fault is unknown. Those lanes are given back and tried one by
one, so that a bad run takes no other down.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

import structlog

from experiments.engine.progress import Outcome, Status
from experiments.errors import DataError, GradusError
from service.errors import StoreUnavailable
from workers.process.oversight import TIME_LIMIT

log = structlog.get_logger(__name__)
MEMORY, TIME, ERROR, DISK, DATA = "memory_limit", TIME_LIMIT, "error", "disk_full", "data"
SHARED = (MEMORY, ERROR)
"""Reasons that, in a tile of several lanes, belong to the program and not to one run. Time is not among them: each lane
has its own share of the tile's seconds."""
_STOPPED = {"memory": MEMORY, "time": TIME}
"""Why training was asked to stop -> the reason of the failure, where that is a failure of the run."""


def named(work: Callable[[], list[Outcome]], lanes: Sequence[int]) -> list[Outcome]:
    """The outcomes that `work` gives; where it raises, an outcome named after the error for each of `lanes`.

    A database that is away longer than the lease is no failure of the run: the leases are lost.
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
    """A short name of the error, with the message where a person can act on it."""
    if isinstance(error, DataError):
        return f"{DATA}: {error}"
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's own
        return MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK
    kind = type(error).__name__
    return f"{ERROR}: {error}" if isinstance(error, GradusError) else f"{ERROR}: {kind}: {str(error)[:500]}"


def settled(given: Outcome, *, lanes: int) -> Outcome:
    """The outcome under its final name; RELEASED where the fault may be another lane's."""
    reason = _STOPPED.get(given.reason, given.reason)
    status: Status = "FAILED" if given.reason in _STOPPED else given.status
    if lanes > 1 and status == "FAILED" and reason.split(":")[0] in SHARED:
        status, reason = "RELEASED", reason.split(":")[0]
    return outcome(given.lane, status, reason, given)


def outcome(lane: int, status: Status, reason: str, like: Outcome | None = None) -> Outcome:
    """An outcome with this status and reason, and the progress of `like` (None: of nothing)."""
    if like is None:
        return Outcome(lane=lane, status=status, reason=reason, epochs=0, updates=0, metrics={})
    return Outcome(
        lane=lane,
        status=status,
        reason=reason,
        epochs=like.epochs,
        updates=like.updates,
        metrics=like.metrics,
        best_epoch=like.best_epoch,
    )
