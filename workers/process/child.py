"""What a child process has from its start to its end: settings, database, spool, watchdog."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import threading
import time
from dataclasses import dataclass

import structlog

from service import logs, tracing
from service.errors import ServiceError
from service.machine import worker_memory_bytes
from service.settings import Settings, get_settings, visible_gpus
from service.store import queries
from service.store.engine import Store
from service.tracking.spool import Spool
from workers.process import drain
from workers.process.watchdog import EXIT_WORN, Watchdog, current_memory

log = structlog.get_logger(__name__)
TRAINING_NICENESS = 5
"""Of a process that trains: what a person waits for (the API, predictions, MLflow) gets the processor first where both want
it, three times as much. Alone on the machine, training is as fast as ever."""
ACCEPTED_LOOK_SECONDS = 1.0
WORN = 0.75
"""Share of the memory limit at which a process is replaced between two tiles."""


@dataclass(frozen=True)
class WorkerContext:
    """What a child works with, whatever tile or request it has."""

    settings: Settings
    store: Store
    spool: Spool
    watchdog: Watchdog
    device: str


def start(**_: object) -> None:
    """The process has started.

    Nothing heavy is loaded before the first tile or request, so that an idle worker stays small. The exceptions are a
    process that is wanted at once (GRADUS_WARM), which takes over from one that died, and one that only answers: it is ready
    for the first question about the first run that was trained.
    """
    drain.listen()
    settings = get_settings()
    logs.configure(settings, worker=settings.worker)
    tracing.configure(settings, process=settings.worker)
    worker_context().watchdog.start()
    if not settings.only_requests:
        os.nice(TRAINING_NICENESS)
    if settings.only_requests:
        threading.Thread(target=_prepare_to_answer, daemon=True).start()
    elif settings.warm:
        importing = threading.Thread(
            target=importlib.import_module, args=("workers.training.execute",), daemon=True
        )
        importing.start()


def _prepare_to_answer() -> None:
    """Load what an answer needs as soon as there is a run: people ask about it when it is trained, and loading takes as
    long as the training of a small one (*measured*, 7 s of CPU)."""
    while True:
        with contextlib.suppress(ServiceError):  # the database is away: so is whoever would ask
            if queries.is_anything_accepted(worker_context().store):
                break
        time.sleep(ACCEPTED_LOOK_SECONDS)
    importlib.import_module("workers.requests.answer")
    importlib.import_module("service.tracking.client")  # reads weights from MLflow


def memory_limit(settings: Settings) -> int:
    """Bytes at which this process is to stop its tile."""
    return settings.max_worker_memory_bytes or worker_memory_bytes(1)


def recycle_if_worn() -> None:
    """After a tile: end the process where it holds so much memory that the next tile may reach the limit.

    What counts is the memory held now. The peak, which one large tile raises for good, says nothing.
    """
    held, limit = current_memory(), memory_limit(get_settings())
    if held > WORN * limit:
        log.info("recycling", held=held, limit=limit)
        os._exit(EXIT_WORN)


@functools.cache
def worker_context() -> WorkerContext:
    """The context of this process, made once."""
    settings = get_settings()
    return WorkerContext(
        settings=settings,
        store=Store(settings.sql_url),
        spool=Spool.open(settings.spool),
        watchdog=Watchdog(memory_limit=memory_limit(settings), parent=os.getppid()),
        device="cpu" if visible_gpus() in (None, "", "-1") else "gpu",
    )
