"""Holds a tile's leases and carries its measurements to the database, beside the training.

One thread does both, so the training never waits for a database: `should_stop` and `Recording` read and write
memory only. A lease counts as lost when the database says so (zero rows renewed), or when it could not be
asked for as long as a lease lasts: by then somebody else may hold the run.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from service.entities import Measured, MetricPoint
from service.errors import StoreUnavailable

log = structlog.get_logger(__name__)
FLUSH_SECONDS = 0.5


class Holder(Protocol):
    """What the keeper asks of the database; `StoreHolder` is the real one."""

    def renew(self, claims: Mapping[str, int]) -> set[str]:
        """Extend the leases; the runs that are still held."""

    def stop_requests(self, run_ids: Sequence[str]) -> set[str]:
        """The runs that somebody wants stopped."""

    def record(self, batch: Mapping[str, Measured]) -> set[str]:
        """Store measurements of several runs; the runs whose attempt is no longer the one that holds them."""

    def checkpointed(self, run_id: str, attempt: int, place: Mapping[str, object]) -> bool:
        """Note where a run's checkpoint lies; False where a newer attempt holds the run."""


@dataclass(frozen=True)
class Kept:
    """A checkpoint that lies in the spool. `place` goes into the run's row, then `done` is called."""

    place: Mapping[str, object]
    done: Callable[[], None]


class Keeper:
    """Keeps `claims` (run id -> attempt) until left. Times in seconds.

    lease: how long a lease lasts. poll: how often stop requests are read.
    """

    def __init__(
        self,
        holder: Holder,
        claims: Mapping[str, int],
        *,
        lease: float,
        poll: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._holder = holder
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
        self._checkpoints: dict[str, Kept] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._sending = threading.Lock()
        self._done = threading.Event()
        here = contextvars.copy_context()  # what is bound here stands in the thread's log lines too
        self._thread = threading.Thread(target=here.run, args=(self._run,), name="keeper", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def asked(self, run_id: str) -> Literal["lost", "cancelled"] | None:
        """Why the run must stop, as far as is known now. Cheap."""
        if run_id in self._lost or self._clock() - self._held_at > self._lease:
            return "lost"
        return "cancelled" if run_id in self._cancelled else None

    def record(
        self, run_id: str, points: Sequence[MetricPoint] = (), tags: Mapping[str, str] | None = None
    ) -> None:
        """Take measurements; they reach the database soon, or with `flush`."""
        with self._lock:
            self._points[run_id].extend(points)
            self._tags[run_id].update(tags or {})

    def checkpoint(self, run_id: str, kept: Kept) -> None:
        """Take a checkpoint; it is noted in the database after all that was recorded before it."""
        with self._lock:
            self._checkpoints[run_id] = kept

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
            full = [run_id for run_id in self._claims if self._points[run_id] or self._tags[run_id]]
            full += [run_id for run_id in self._checkpoints if run_id in self._claims]
        return [run_id for run_id in full if self.asked(run_id) != "lost"]

    def drop(self, run_id: str) -> None:
        """The run is no longer ours to keep: its outcome is committed, or it was given back."""
        with self._turn, self._lock:
            self._claims.pop(run_id, None)

    def _run(self) -> None:
        while not self._done.wait(min(FLUSH_SECONDS, self._poll, self._lease / 6)):
            try:
                self.turn()
            except StoreUnavailable as error:
                log.warning("database away", error=str(error), since=round(self._clock() - self._held_at, 1))

    def turn(self) -> None:
        """One round: renew, read stop requests, send measurements, each when it is due."""
        now = self._clock()
        with self._turn:
            ours = {run: attempt for run, attempt in self._claims.items() if run not in self._lost}
            if ours and now >= self._renew_at:
                held = self._holder.renew(ours)
                # What counts is when we asked, not when the answer came.
                self._held_at, self._renew_at = now, now + self._lease / 3
                for run_id in ours.keys() - held:
                    log.warning("lease lost", run=run_id, attempt=ours[run_id])
                    self._lost.add(run_id)
            if ours and now >= self._poll_at:
                self._cancelled |= self._holder.stop_requests(list(ours))
                self._poll_at = now + self._poll
        self.send()

    def send(self) -> None:
        """Send what is waiting, once. What does not arrive stays."""
        with self._sending:
            with self._lock:
                batch = {
                    run_id: Measured(attempt, tuple(self._points[run_id]), dict(self._tags[run_id]))
                    for run_id, attempt in self._claims.items()
                    if run_id not in self._lost and (self._points[run_id] or self._tags[run_id])
                }
                kept = {run_id: one for run_id, one in self._checkpoints.items() if run_id not in self._lost}
            if batch:
                self._send_measured(batch)
            for run_id, one in kept.items():
                self._send_checkpoint(run_id, one)

    def _send_measured(self, batch: Mapping[str, Measured]) -> None:
        for run_id in self._holder.record(batch):
            log.warning("a newer attempt holds the run", run=run_id, attempt=batch[run_id].attempt)
            self._lost.add(run_id)
        with self._lock:
            for run_id, sent in batch.items():
                del self._points[run_id][: len(sent.points)]
                for key, value in sent.tags.items():
                    if self._tags[run_id].get(key) == value:
                        del self._tags[run_id][key]

    def _send_checkpoint(self, run_id: str, kept: Kept) -> None:
        attempt = self._claims.get(run_id)
        if attempt is not None and self._holder.checkpointed(run_id, attempt, kept.place):
            kept.done()
        with self._lock:
            if self._checkpoints.get(run_id) is kept:
                del self._checkpoints[run_id]
