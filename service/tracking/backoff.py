"""When to try again what MLflow refused, and how long to wait while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from service.tracking.records import TrackingUnavailable

MOST_TRIES = 8  # after so many, three minutes in all, the shipper gives a refused run or experiment up
FIRST_PAUSE, LONGEST_PAUSE = (
    1.0,
    60.0,
)  # seconds that a refused one is left alone: half of the first time; at most
MANY_REFUSED = 1000  # where so many are refused, the fault is the server's


class Refusals:
    """The runs and experiments that MLflow refused, and until when each is left alone. Final.

    Args:
        pause: half the seconds until the first repetition; doubled with each refusal.
        clock: monotonic time in seconds.
    """

    def __init__(self, pause: float = FIRST_PAUSE, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._tries: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def held(self) -> Collection[str]:
        """The ids that are to be left alone now.

        Raises:
            TrackingUnavailable: there are so many that MLflow itself must be at fault.
        """
        now = self._clock()
        self._until = {id: until for id, until in self._until.items() if until > now}
        if len(self._until) > MANY_REFUSED:
            raise TrackingUnavailable(f"MLflow refuses all of {len(self._until)} runs")
        return self._until.keys()

    def add(self, id: str) -> int:
        """Leave an id alone for a while; how often MLflow has refused it."""
        self._tries[id] = tries = self._tries.get(id, 0) + 1
        self._until[id] = self._clock() + min(self._pause * 2**tries, LONGEST_PAUSE)
        return tries

    def clear(self, id: str) -> None:
        """MLflow has taken it."""
        self._tries.pop(id, None)
