"""Ships while a process lives: one shipper a spool, turn after turn, and the files that are no longer needed go.

Errors that go away by themselves are logged and waited out; whatever else a turn raises does not stop the next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from service.errors import ServiceError
from service.settings import Settings
from service.store import Store
from service.tracking.records import Describe, TrackingError
from service.tracking.retention import expire_artifacts, sweep_spool
from service.tracking.shipper import Shipper
from service.tracking.spool import Spool

if TYPE_CHECKING:
    from service.tracking.client import Tracking

log = structlog.get_logger(__name__)
TURN_SECONDS = 0.5
LONGEST_PAUSE = 4.0  # between tries while MLflow is away: statuses agree again within 10 s
EXPIRE_SECONDS = 6 * 3600.0  # between two looks for artifacts that are old enough to be removed
SWEEP_SECONDS = 300.0  # between two looks for files that are no longer needed


def connect(settings: Settings) -> Tracking:
    """MLflow's client. Imported here: it takes 170 MB, which a process that never ships does not pay."""
    from service.tracking.client import Tracking

    return Tracking(settings.mlflow_url)


def run_shipper(
    settings: Settings, store: Store, spool: Spool, describe: Describe, ended: threading.Event
) -> None:
    """Ship until `ended` is set, whenever no other process on this host does. Retries errors that go away by
    themselves."""
    while not ended.wait(TURN_SECONDS):
        with spool.alone() as is_shipper:
            if not is_shipper:
                ended.wait(2.0)
                continue
            tracking = connect(settings)
            shipper = Shipper(store, spool, tracking, describe)
            cleaning = [
                _Cleaning(SWEEP_SECONDS, partial(sweep_spool, store, spool, settings.checkpoint_days))
            ]
            if (days := settings.artifact_retention_days) is not None:
                cleaning.append(_Cleaning(EXPIRE_SECONDS, partial(expire_artifacts, store, tracking, days)))
            try:
                _ship_until(ended, shipper, cleaning)
            finally:
                shipper.close()


@dataclass
class _Cleaning:
    """Work that is done every `every` seconds; `due` is the monotonic time of the next."""

    every: float
    work: Callable[[], object]
    due: float = 0.0


def _ship_until(ended: threading.Event, shipper: Shipper, cleaning: Sequence[_Cleaning]) -> None:
    pause = TURN_SECONDS
    while not ended.is_set():
        try:
            carried = shipper.turn()
            for task in cleaning:
                if time.monotonic() >= task.due:
                    task.due = time.monotonic() + task.every
                    task.work()
        except (TrackingError, ServiceError) as error:
            log.warning("shipping waits", error=str(error)[:300], seconds=pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        except Exception:  # whatever it is, the next runs must not wait for a restart of this process
            log.exception("shipping failed", seconds=LONGEST_PAUSE)
            pause = LONGEST_PAUSE
        else:
            pause = 0.0 if carried else TURN_SECONDS
        ended.wait(pause)
        pause = max(pause, TURN_SECONDS)
