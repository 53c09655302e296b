"""How a worker's parent tells its child to stop: with a signal, once and for all.

Celery's warm shutdown waits for the running task and tells it nothing. So a parent that is told to stop sends its
child SIGUSR2. The training reads `asked()` between chunks, stores a checkpoint, gives its runs back and returns, and
the warm shutdown ends. Billiard resets most signal handlers after a child's initialiser has run, so every task
installs this one again.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

SIGNAL = signal.SIGUSR2
_asked = threading.Event()


def listen() -> None:
    """Notice the signal from now on. In the main thread only."""
    signal.signal(SIGNAL, _note)
    # A terminal's Ctrl-C, or a stop of the whole group, reaches parent and child alike: the parent decides.
    signal.signal(signal.SIGTERM, _note)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def asked() -> bool:
    """Whether this process is to stop as soon as its work is safe."""
    return _asked.is_set()


def _note(number: int, frame: FrameType | None) -> None:
    _asked.set()
