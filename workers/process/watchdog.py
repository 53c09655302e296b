"""Ends a tile from beside it: at its memory limit, or because the parent is gone.

TensorFlow's memory cannot be bounded by an address-space limit, so a thread looks at what the process holds now. At the
limit the training is asked to stop (it reads `asked()` between chunks). A process that grows past the hard limit, one
eighth above, ends itself before the kernel ends another process. The gradient check before the training and the
pictures after it do not read `asked()`, so only the hard limit holds there.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from typing import Literal

import psutil
import structlog

from service.threads import vital_thread

log = structlog.get_logger(__name__)
HARD = 1.125
EXIT_MEMORY = 86
EXIT_ORPHAN = 87
EXIT_WORN = 88


def current_memory() -> int:
    """Bytes that this process holds in memory now (resident set)."""
    return int(psutil.Process().memory_info().rss)


class Watchdog:
    """A daemon thread for the life of the process. Final.

    Args:
        memory_limit: bytes at which the training is asked to stop.
        parent: process id of the parent, without which this process ends; None: it may have none.
        every: seconds between two looks.
        memory: gives the bytes held now.
        leave: ends the process with an exit status.
    """

    def __init__(
        self,
        *,
        memory_limit: int,
        parent: int | None = None,
        every: float = 0.5,
        memory: Callable[[], int] = current_memory,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._limit = memory_limit
        self._parent = parent
        self._every = every
        self._memory = memory
        self._leave = leave
        self._last_words: Callable[[], None] | None = None
        self._over = False
        self._context = contextvars.Context()
        self._stop = threading.Event()
        self._thread = vital_thread(self._watch, "watchdog")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def begin(self, last_words: Callable[[], None]) -> None:
        """A tile starts.

        Args:
            last_words: called before this thread ends the process for its memory, so that the tile gets an outcome
                with a name.
        """
        self._over = False
        self._context = contextvars.copy_context()  # the tile that this thread's log lines are about
        self._last_words = last_words

    def end(self) -> None:
        """The tile has ended."""
        self._last_words = None
        self._context = contextvars.Context()

    def asked(self) -> Literal["memory"] | None:
        """Why the training must stop; None where it may go on."""
        return "memory" if self._over else None

    def look(self) -> None:
        """Look once. The thread does this again and again."""
        if self._parent is not None and os.getppid() != self._parent:
            self._leave(EXIT_ORPHAN)
        held = self._memory()
        over = held > self._limit and self._last_words is not None
        if over and not self._over:
            log.warning("memory limit reached", held=held, limit=self._limit)
        self._over = over  # of this moment: memory that the gradient check gave back does not count
        if held > HARD * self._limit:
            log.error("memory limit exceeded, leaving", held=held, limit=self._limit)
            if self._last_words is not None:
                self._last_words()
            self._leave(EXIT_MEMORY)

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self._context.run(self.look)
