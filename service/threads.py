"""Threads without which their process is of no use: where one dies, the process ends, and whoever started the process
starts it again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)
EXIT_THREAD_DIED = 70
"""Exit status of a process one of whose vital threads died (EX_SOFTWARE of sysexits.h)."""


def vital_thread(work: Callable[[], object], name: str) -> threading.Thread:
    """A daemon thread, not yet started, that does `work` once. It may return; an exception ends the process with
    EXIT_THREAD_DIED. Exit handlers do not run, because any of them could wait for the dead thread.
    """

    def run() -> None:
        try:
            work()
        except BaseException:
            log.critical("a vital thread died, the process ends", thread=name, exc_info=True)
            os._exit(EXIT_THREAD_DIED)

    return threading.Thread(target=run, name=name, daemon=True)
