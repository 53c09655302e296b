"""What a child process has from its start to its end: settings, database, spool, watchdog."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

from service import logs
from service.settings import Settings, get_settings
from service.spool import Spool
from service.store.engine import Store
from workers import drain
from workers.watchdog import Watchdog


@dataclass(frozen=True)
class Child:
    """The surroundings of a tile."""

    settings: Settings
    store: Store
    spool: Spool
    watchdog: Watchdog
    device: str


def begin(**_: object) -> None:
    """The process has started; nothing heavy yet, so that an idle worker stays small."""
    drain.listen()
    settings = get_settings()
    logs.configure(settings, worker=settings.worker)
    surroundings().watchdog.start()


@functools.cache
def surroundings() -> Child:
    settings = get_settings()
    device = "cpu" if os.environ.get("CUDA_VISIBLE_DEVICES", "-1") in ("", "-1") else "gpu"
    return Child(
        settings=settings,
        store=Store(settings.sql_url),
        spool=Spool.open(settings.spool),
        watchdog=Watchdog(memory_limit=settings.max_worker_memory_bytes, parent=os.getppid()),
        device=device,
    )
