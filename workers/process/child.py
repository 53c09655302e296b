"""What a child process has from its start to its end: settings, database, spool, watchdog."""

from __future__ import annotations

import functools
import importlib
import os
import threading
from dataclasses import dataclass

import structlog

from service import logs
from service.settings import Settings, get_settings
from service.store.engine import Store
from service.tracking.spool import Spool
from workers.process import drain
from workers.process.watchdog import EXIT_WORN, Watchdog, current_memory

log = structlog.get_logger(__name__)
WORN = 0.75


@dataclass(frozen=True)
class Child:
    """The surroundings of a tile."""

    settings: Settings
    store: Store
    spool: Spool
    watchdog: Watchdog
    device: str


def begin(**_: object) -> None:
    """The process has started. Nothing heavy before the first tile, so that an idle worker stays small; but one
    that takes over from a process that died is wanted at once."""
    drain.listen()
    settings = get_settings()
    logs.configure(settings, worker=settings.worker)
    surroundings().watchdog.start()
    if settings.warm:
        threading.Thread(
            target=importlib.import_module, args=("workers.training.execute",), daemon=True
        ).start()


def leave_if_worn() -> None:
    """After a tile: end the process where it holds so much memory that the next tile may reach the limit. By
    what it holds now, not by its peak, which one large tile raises for good."""
    settings = get_settings()
    if current_memory() > WORN * settings.max_worker_memory_bytes:
        log.info("recycling", held=current_memory(), limit=settings.max_worker_memory_bytes)
        os._exit(EXIT_WORN)


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
