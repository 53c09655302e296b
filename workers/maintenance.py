"""The light process that keeps accepted work moving: `python -m workers.maintenance`. SIGTERM ends it.

It sends work to workers, takes back runs whose lease expired, carries results to MLflow, and queues the next look of a
design. Every chore may be repeated, and may run beside another process that does the same.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from types import FrameType

import structlog

from experiments.errors import GradusError
from service import logs, operations, planner, queue, tracing
from service.analysis import design, final_artifacts
from service.entities import Worker
from service.planner.measures import PlanningMeasures
from service.report.experiment_note import describe_experiment
from service.routes import ANSWERS, BACKGROUND_KINDS, REQUESTS
from service.settings import Settings, get_settings
from service.startup import require_schema, run_program
from service.store import Store, queries
from service.threads import vital_thread
from service.tracking.shipping import run_shipper
from service.tracking.spool import Spool
from workers.training.facts import versions

log = structlog.get_logger(__name__)
TICK = 0.1  # seconds
NEW_REQUESTS_TICK = 0.03  # seconds between two looks for requests that a person waits for


@dataclass
class Chore:
    """Something to do every `every` seconds; `due` is the monotonic time of the next run."""

    name: str
    every: float
    work: Callable[[], object]
    due: float = 0.0
    failing: bool = False

    def run(self, now: float) -> None:
        """Do the work. A failure is logged once, and the work is tried again when it is next due."""
        self.due = now + self.every
        try:
            self.work()
        except GradusError as error:  # broker or database away, say
            if not self.failing:
                log.warning("chore fails", chore=self.name, error=str(error))
            self.failing = True
        except Exception:  # the other chores go on, whatever failed
            if not self.failing:
                log.exception("chore fails", chore=self.name)
            self.failing = True
        else:
            if self.failing:
                log.info("chore works again", chore=self.name)
            self.failing = False


class Maintenance:
    """All chores, and the loop that runs them. Final."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings.sql_url)
        require_schema(self._store)
        self._spool = Spool.open(settings.spool)
        self._sender, self._requests_sender = queue.Sender(settings), queue.Sender(settings)
        self._planning = PlanningMeasures()
        self._name = f"maintenance-{socket.gethostname()}-{os.getpid()}"
        self._ended = threading.Event()
        self._chores = [
            Chore("dispatch", 0.5, self._dispatch),
            Chore("reap", min(settings.reap_interval, 20.0), self._reap),
            Chore("questions", 1.0, lambda: design.advance(self._store)),
            Chore("keepsakes", 3.0, lambda: final_artifacts.request_artifacts(self._store)),
            Chore("beat", 2.0, self._beat),
            Chore("stranded", 60.0, self._stranded),
            Chore("tidy", 3600.0, lambda: operations.tidy(self._store)),
        ]

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        if (port := self._settings.maintenance_metrics_port) is not None:
            self._planning.serve(self._settings.maintenance_metrics_host, port)
        describe = partial(describe_experiment, self._store, self._settings)
        arguments = (self._settings, self._store, self._spool, describe, self._ended)
        shipper = vital_thread(partial(run_shipper, *arguments), "shipper")
        shipper.start()
        requests = vital_thread(self._serve_requests, "requests")
        requests.start()
        log.info("maintenance is up")
        while not self._ended.wait(TICK):
            for chore in self._chores:
                now = time.monotonic()
                if now >= chore.due and not self._ended.is_set():
                    chore.run(now)
        shipper.join(timeout=8)
        requests.join(timeout=2)
        operations.retire(self._store, self._name)
        log.info("maintenance has ended")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._ended.set()

    def _dispatch(self) -> None:
        if not planner.is_any_waiting(self._store):
            return
        began = time.monotonic()
        tiles = planner.dispatch(self._store, self._sender.send_tile, self._sender.waiting, self._settings)
        self._planning.planned(time.monotonic() - began, tiles)

    def _serve_requests(self) -> None:
        """Send requests in a thread of their own: a person waits, and the other chores may take a second."""
        new = Chore("new requests", NEW_REQUESTS_TICK, self._new_requests)
        every = Chore("requests", TICK, self._requests)
        while not self._ended.wait(NEW_REQUESTS_TICK):
            for chore in (new, every):
                now = time.monotonic()
                if now >= chore.due:
                    chore.run(now)

    def _new_requests(self) -> None:
        if operations.is_request_new(self._store):
            self._requests()

    def _requests(self) -> None:
        """Send the requests that are due: those that a person waits for to the worker that trains nothing, if one is up. It
        gets the others only where no other worker is free, so that nobody waits behind a picture."""
        due = operations.take_due_requests(self._store, resend_seconds=self._settings.redispatch_seconds)
        if not due:
            return
        workers = [worker for worker in queries.workers(self._store) if worker.alive]
        answering = any(worker.kind == "requests" for worker in workers)
        idle = any(worker.kind == "train" and worker.state == "idle" for worker in workers)
        for request in due:
            elsewhere = idle and request.kind in BACKGROUND_KINDS
            self._requests_sender.send_request(
                request.id, ANSWERS if answering and not elsewhere else REQUESTS
            )

    def _reap(self) -> None:
        for lapsed in operations.reap(self._store, max_lease_expirations=self._settings.max_losses):
            log.warning("lease ran out", **asdict(lapsed))

    def _beat(self) -> None:
        worker = Worker(
            name=self._name,
            kind="maintenance",
            host=socket.gethostname(),
            pid=os.getpid(),
            spool=self._spool.id,
            versions=versions(),
            state="busy",
        )
        operations.beat(self._store, worker)

    def _stranded(self) -> None:
        stranded = operations.reschedule_lost_spools(self._store, self._settings.spool_lost_seconds)
        for run_id, attempt in stranded.items():
            log.warning(
                "the spool of a finished training is away, it runs again", run=run_id, attempt=attempt
            )


def main() -> None:
    settings = get_settings()
    logs.configure(settings, worker="maintenance")
    tracing.configure(settings, process="maintenance")
    Maintenance(settings).run()


if __name__ == "__main__":
    sys.exit(run_program("gradus maintenance", main))
