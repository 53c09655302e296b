"""Holds a tile's leases and carries its measurements to the database, beside the training.

One thread does both, so the training never waits for a database: `asked`, `record` and `checkpoint` read and write
memory only. A lease counts as lost when the database says so (zero rows renewed), or when the database could not be
asked for as long as a lease lasts: by then another worker may hold the run.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import structlog

from service import operations
from service.entities import Measured, MetricPoint
from service.errors import StoreUnavailable
from service.store.engine import Store
from service.threads import vital_thread

log = structlog.get_logger(__name__)
FLUSH_SECONDS = 0.5


@dataclass(frozen=True)
class CheckpointRef:
    """A checkpoint that lies in the spool.

    Attributes:
        location: what the run's row is to say: spool, name, epoch and tile width.
        on_noted: called once the row says so.
    """

    location: Mapping[str, object]
    on_noted: Callable[[], None]


class LeaseKeeper:
    """Keeps the leases of a tile's runs for as long as its context lasts. Final.

    Args:
        store: the database.
        claims: run id -> attempt.
        lease: seconds that a lease lasts; renewed every third of it.
        poll: seconds between two looks for requests to cancel.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        store: Store,
        claims: Mapping[str, int],
        *,
        lease: float,
        poll: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._claims = dict(claims)
        self._lease = lease
        self._poll = poll
        self._clock = clock
        self._held_at = clock()
        self._renew_at = clock() + lease / 3
        self._poll_at = clock()
        self._lost: set[str] = set()
        self._cancelled: set[str] = set()
        self._points: dict[str, list[MetricPoint]] = {run_id: [] for run_id in claims}
        self._tags: dict[str, dict[str, str]] = {run_id: {} for run_id in claims}
        self._checkpoints: dict[str, CheckpointRef] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._sending = threading.Lock()
        self._done = threading.Event()
        context = contextvars.copy_context()  # what is bound here stands in the thread's log lines too
        self._thread = vital_thread(partial(context.run, self._run), "lease-keeper")

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def asked(self, run_id: str) -> Literal["lost", "cancelled"] | None:
        """Why the run must stop, as far as is known now. Reads memory only."""
        if run_id in self._lost or self._clock() - self._held_at > self._lease:
            return "lost"
        return "cancelled" if run_id in self._cancelled else None

    def record(
        self, run_id: str, points: Sequence[MetricPoint] = (), tags: Mapping[str, str] | None = None
    ) -> None:
        """Take measurements. They reach the database within FLUSH_SECONDS, or with `flush`."""
        with self._lock:
            self._points[run_id].extend(points)
            self._tags[run_id].update(tags or {})

    def checkpoint(self, run_id: str, ref: CheckpointRef) -> None:
        """Take a checkpoint. It is noted in the database after everything that was recorded before it."""
        with self._lock:
            self._checkpoints[run_id] = ref

    def flush(self) -> None:
        """Return when everything recorded is in the database, or its run is lost."""
        while self.waiting():
            try:
                self.send()
            except StoreUnavailable as error:
                log.warning("database away, measurements wait", error=str(error))
                time.sleep(min(1.0, self._lease / 10))

    def waiting(self) -> list[str]:
        """The runs that have measurements to send and are not lost."""
        with self._lock:
            unsent = [run_id for run_id in self._claims if self._points[run_id] or self._tags[run_id]]
            unsent += [run_id for run_id in self._checkpoints if run_id in self._claims]
        return [run_id for run_id in unsent if self.asked(run_id) != "lost"]

    def drop(self, run_id: str) -> None:
        """Stop keeping a run: its outcome is committed, or it was given back."""
        with self._turn, self._lock:
            self._claims.pop(run_id, None)

    def _run(self) -> None:
        while not self._done.wait(min(FLUSH_SECONDS, self._poll, self._lease / 6)):
            try:
                self.turn()
            except StoreUnavailable as error:
                log.warning("database away", error=str(error), since=round(self._clock() - self._held_at, 1))

    def turn(self) -> None:
        """One round: renew, read stop requests, send measurements, each when it is due.

        Raises:
            StoreUnavailable: the database does not answer; what was to be sent is kept.
        """
        now = self._clock()
        with self._turn:
            ours = {run_id: attempt for run_id, attempt in self._claims.items() if run_id not in self._lost}
            if ours and now >= self._renew_at:
                held = operations.renew(self._store, ours, self._lease)
                # The lease counts from when it was asked for, not from when the answer came.
                self._held_at, self._renew_at = now, now + self._lease / 3
                for run_id in ours.keys() - held:
                    log.warning("lease lost", run=run_id, attempt=ours[run_id])
                    self._lost.add(run_id)
            if ours and now >= self._poll_at:
                self._cancelled |= operations.stop_requests(self._store, list(ours))
                self._poll_at = now + self._poll
        self.send()

    def send(self) -> None:
        """Send what waits, once. What does not arrive is kept.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with self._sending:
            with self._lock:
                batch = {
                    run_id: Measured(attempt, tuple(self._points[run_id]), dict(self._tags[run_id]))
                    for run_id, attempt in self._claims.items()
                    if run_id not in self._lost and (self._points[run_id] or self._tags[run_id])
                }
                checkpoints = {
                    run_id: ref for run_id, ref in self._checkpoints.items() if run_id not in self._lost
                }
            if batch:
                self._send_measured(batch)
            if checkpoints:
                self._send_checkpoints(checkpoints)

    def _send_measured(self, batch: Mapping[str, Measured]) -> None:
        for run_id in operations.record(self._store, batch):
            log.warning("a newer attempt holds the run", run=run_id, attempt=batch[run_id].attempt)
            self._lost.add(run_id)
        with self._lock:
            for run_id, sent in batch.items():
                del self._points[run_id][: len(sent.points)]
                for key, value in sent.tags.items():
                    if self._tags[run_id].get(key) == value:
                        del self._tags[run_id][key]

    def _send_checkpoints(self, refs: Mapping[str, CheckpointRef]) -> None:
        claims = {run_id: attempt for run_id, attempt in self._claims.items() if run_id in refs}
        locations = {run_id: refs[run_id].location for run_id in claims}
        for run_id in operations.record_checkpoints(self._store, claims, locations):
            refs[run_id].on_noted()
        with self._lock:
            for run_id, ref in refs.items():
                if self._checkpoints.get(run_id) is ref:
                    del self._checkpoints[run_id]
