"""When a worker's parent ends its child from outside.

The child watches its own lease and its own time. A child that is stopped or stuck watches nothing, so the parent, which
sees the rows in the database and a clock, is the judge of last resort.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Literal

TIME_LIMIT = "time_limit"
"""The reason of a run whose training takes longer than a run may take."""
REQUEST_SECONDS = 600.0
"""How long answering a request (a prediction, pictures, a model for MLflow) may take."""
TOO_LONG = (
    f"answering took longer than {REQUEST_SECONDS:.0f} s, so the worker's process was ended; ask again, for less at once "
    "(fewer inputs); the worker's log says what it did"
)
LATE = 1.125
"""A child ends a training at its time by itself; the parent ends the child at so many times that."""


class ChildOversight:
    """Looks at one child again and again. Final.

    Args:
        patience: seconds that a child may go on with a message after it has lost all of it.
        clock: monotonic time in seconds.
    """

    def __init__(self, *, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._message: Hashable = None
        self._began: float | None = None
        self._lost_at: float | None = None

    def look(
        self, message: Hashable, *, holds: bool, seconds: float | None
    ) -> Literal["lease", "time"] | None:
        """Why the child must be ended now; None: it must not.

        Args:
            message: what the child has in hand; None: nothing.
            holds: whether the database says that it holds any of it.
            seconds: how long all of it may take; None: there is no limit.
        """
        now = self._clock()
        if message != self._message:
            self._message, self._began, self._lost_at = message, None, None
        if message is None:
            return None
        if holds:
            self._began = now if self._began is None else self._began
            self._lost_at = None
            late = seconds is not None and now - self._began > LATE * seconds + self._patience
            return "time" if late else None
        if self._began is None:  # it has claimed nothing yet: it may be loading its backend
            return None
        self._lost_at = now if self._lost_at is None else self._lost_at
        return "lease" if now - self._lost_at > self._patience else None
