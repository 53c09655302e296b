"""What a training worker's parent does beside Celery: report, drain, ship. It never loads TensorFlow."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import psutil
import structlog
from billiard.exceptions import WorkerLostError
from celery.worker import state as celery_state

from service import operations
from service.entities import Committed, Request, Run, Worker
from service.errors import NotFound, ServiceError
from service.report.experiment_note import describe_experiment
from service.settings import Settings
from service.store import queries
from service.store.engine import Store
from service.threads import vital_thread
from service.tracking.shipping import run_shipper
from service.tracking.spool import Spool
from workers.process import drain
from workers.process.devices import Device
from workers.process.oversight import REQUEST_SECONDS, TIME_LIMIT, TOO_LONG, ChildOversight
from workers.process.watchdog import EXIT_WORN
from workers.training.facts import versions

log = structlog.get_logger(__name__)
BEAT_SECONDS = 2.0
LOADING_SECONDS = 0.5  # after that the pool is closed and starts no other child


class Parent:
    """The parent process of one training worker. Final."""

    def __init__(self, settings: Settings, device: Device) -> None:
        self._settings = settings
        self._device = device
        self._store = Store(settings.sql_url)
        self._spool = Spool.open(settings.spool)
        self._versions = versions()
        self._draining = threading.Event()
        self._ended = threading.Event()
        self._oversight = ChildOversight(patience=settings.drain_seconds)
        self._threads: list[threading.Thread] = []
        self.worker: Any = None  # Celery's own worker object, once it is set up

    def start(self) -> None:
        """The worker consumes from now on."""
        describe = partial(describe_experiment, self._store, self._settings)
        shipper = (self._settings, self._store, self._spool, describe, self._ended)
        self._threads = [
            vital_thread(self._beat, "beat"),
            vital_thread(partial(run_shipper, *shipper), "shipper"),
        ]
        for thread in self._threads:
            thread.start()

    def drain(self) -> None:
        """Celery was told to stop: tell the child, and end it where it does not stop in time.

        A child that loads TensorFlow for a tile that it has not claimed has nothing to bring to safety.
        """
        if self._draining.is_set():
            return
        self._draining.set()
        patience = LOADING_SECONDS if self._loading() else self._settings.drain_seconds
        for pid in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, drain.SIGNAL)
        threading.Thread(target=self._give_up, args=(patience,), name="drain", daemon=True).start()

    def stop(self) -> None:
        """Celery has stopped: nothing is running any more.

        Nobody waits for a shipper that waits for MLflow: the next shipper repeats what it was about to do.
        """
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=1)
        with contextlib.suppress(ServiceError):
            operations.retire(self._store, self._settings.worker)

    def child_died(self, exception: BaseException, arguments: Sequence[Any] = ()) -> None:
        """Let the child's leases run out now, since it cannot renew them, and have its message sent again."""
        worn = f"exitcode {EXIT_WORN}" in str(exception)  # it ended itself between two tiles
        if isinstance(exception, WorkerLostError) and not worn:
            message = _tile(arguments)[0]
            with contextlib.suppress(ServiceError):
                abandoned = operations.abandon(self._store, self._settings.worker, message=message)
                log.warning(
                    "child died",
                    error=str(exception),
                    run=list(abandoned),
                    attempt=list(abandoned.values()),
                )

    def _beat(self) -> None:
        while True:
            try:
                operations.beat(self._store, self.report())
                self._end_stuck_child()
            except ServiceError as error:
                log.warning("database away", error=str(error))
            except Exception:  # the beat goes on: a worker without one gets no work
                log.exception("beat failed")
            if self._ended.wait(BEAT_SECONDS):
                return

    def report(self) -> Worker:
        """This worker as `GET /v1/workers` shows it."""
        run_ids, width = self._in_hand()
        busy = bool(celery_state.reserved_requests)
        if busy:  # from now on a child that has to be replaced is wanted at once
            os.environ["GRADUS_WARM"] = "true"
        state = "draining" if self._draining.is_set() else "busy" if busy else "idle"
        return Worker(
            name=self._settings.worker,
            kind="requests" if self._device.only_requests else "train",
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self._device.kind,
            backend=self._device.backend,
            device_name=self._device.name if self._device.gpu else platform.processor() or platform.machine(),
            queues=tuple(self._device.queues()),
            threads=self._device.threads,
            spool=self._spool.id,
            versions=self._versions,
            state=state,
            run_ids=tuple(run_ids),
            width=width,
            memory_bytes=self._memory(),
        )

    def _end_stuck_child(self) -> None:
        """End a child that lost all it had in hand, or that is far beyond its time; another one is started."""
        if (request_id := _request_in_hand()) is not None:
            self._end_stuck_in_request(request_id)
            return
        run_ids, _ = self._in_hand()
        held = self._held(run_ids)
        seconds = self._settings.max_run_seconds * len(run_ids)
        why = self._oversight.look(tuple(run_ids) or None, holds=bool(held), seconds=seconds)
        if why is None:
            return
        log.error("the child is stuck and is ended", why=why, run=run_ids, attempt=[r.attempt for r in held])
        if why == "time":
            late = {run.id: Committed(run.attempt, "FAILED", TIME_LIMIT) for run in held}
            operations.commit(self._store, late)
        self._kill_children()

    def _end_stuck_in_request(self, request_id: str) -> None:
        """The same for a child that answers a request. Whoever asked is told; a lost request is sent again."""
        held = self._held_request(request_id)
        why = self._oversight.look(request_id, holds=held is not None, seconds=REQUEST_SECONDS)
        if why is None:
            return
        log.error("the child is stuck in a request and is ended", why=why, request=request_id)
        if why == "time" and held is not None:
            operations.finish_request(self._store, held.id, held.attempt, error=TOO_LONG)
        self._kill_children()

    def _held(self, run_ids: Sequence[str]) -> list[Run]:
        """Those of the runs that this worker holds now, with an outcome still to come."""
        runs = queries.get_runs(self._store, run_ids).values() if run_ids else ()
        return [
            run
            for run in runs
            if run.status == "RUNNING" and run.worker == self._settings.worker and run.committed_at is None
        ]

    def _held_request(self, id: str) -> Request | None:
        """The request where this worker holds it now."""
        try:
            request = queries.get_request(self._store, id)
        except NotFound:  # its experiment was deleted
            return None
        return request if request.status == "running" and request.worker == self._settings.worker else None

    def _kill_children(self) -> None:
        for pid in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _children(self) -> list[int]:
        pool = getattr(getattr(self.worker, "pool", None), "_pool", None)
        return [process.pid for process in getattr(pool, "_pool", []) if process.pid]

    def _memory(self) -> int:
        held = 0
        for pid in (os.getpid(), *self._children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                held += int(psutil.Process(pid).memory_info().rss)
        return held

    def _give_up(self, patience: float) -> None:
        """End a child that did not reach a safe point in time, and give its runs back from here.

        No lease expiration counts for them.
        """
        if self._ended.wait(patience):
            return
        log.warning("the child does not stop, giving its runs back without it", seconds=patience)
        self._kill_children()
        with contextlib.suppress(ServiceError):
            operations.release_worker(self._store, self._settings.worker, reason="drain")

    def _loading(self) -> bool:
        """Whether the child has a tile's message and has claimed none of its runs."""
        run_ids, _ = self._in_hand()
        try:
            runs = queries.get_runs(self._store, run_ids).values()
        except ServiceError:
            return False
        own_name = self._settings.worker
        return bool(run_ids) and not any(run.status == "RUNNING" and run.worker == own_name for run in runs)

    def _in_hand(self) -> tuple[list[str], int | None]:
        """Run ids and width of the tile's message that the child has, or that waits for it to start."""
        tiles = [_tile(request.args or ()) for request in celery_state.reserved_requests]
        return next((tile for tile in tiles if tile[0]), ([], None))


def _request_in_hand() -> str | None:
    """The id of the request that the child answers now; None where it answers none."""
    answering = (request.args for request in celery_state.active_requests)
    return next((str(arguments[0]) for arguments in answering if len(arguments or ()) == 1), None)


def _tile(arguments: Sequence[Any]) -> tuple[list[str], int | None]:
    """Run ids and width of a tile's message; no ids where it is a request's."""
    return (list(arguments[0]), int(arguments[1])) if len(arguments) == 2 else ([], None)
