"""How often somebody may ask: a token bucket for each key, in the memory of this process.

Each replica of the API counts for itself, so several replicas allow several times the rate.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_ASKERS = 10_000  # buckets kept; the one that was used longest ago goes first


class Rates:
    """Token buckets. Each holds up to `burst` requests and fills by `per_second`. Threads may share it."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # asker -> (tokens, as of)
        self._lock = threading.Lock()

    def take(self, asker: str) -> float:
        """Take a token for one request.

        Returns:
            0 where the request may go on, else the seconds until the next token is there.
        """
        now = self._clock()
        with self._lock:
            tokens, since = self._buckets.pop(asker, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - since) * self._per_second)
            wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
            self._buckets[asker] = (tokens if wait else tokens - 1, now)
            if len(self._buckets) > MOST_ASKERS:
                self._buckets.popitem(last=False)
        return wait
