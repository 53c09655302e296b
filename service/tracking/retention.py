"""What is removed by age or need: artifacts of old experiments in MLflow, files of finished runs in the spool."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from service.entities import Run
from service.lifecycle import RunStatus
from service.store import Store, queries
from service.tracking.records import TrackingRefused
from service.tracking.spool import Spool

if TYPE_CHECKING:
    from service.tracking.client import Tracking

log = structlog.get_logger(__name__)


def expire_artifacts(store: Store, tracking: Tracking, days: float) -> None:
    """Remove the artifacts of experiments that were over so many days ago.

    Raises:
        TrackingUnavailable: MLflow is away.
        StoreUnavailable: so is the database.
    """
    for experiment, ended in queries.experiments_ended_before(store, days * 86400.0):
        # Runs that are added later end later. The note then differs, and their artifacts are removed as well.
        note = f"removed {days:g} days after the last run, which ended at {ended:%Y-%m-%d %H:%M:%S.%f} UTC"
        try:
            runs = tracking.expire_artifacts(str(experiment.mlflow_experiment_id), note)
        except TrackingRefused as error:  # a person removed it in MLflow, say
            log.warning("artifacts cannot expire", experiment=experiment.id, error=str(error))
            continue
        if runs:
            log.info("artifacts expired", experiment=experiment.id, runs=runs)


def sweep_spool(store: Store, spool: Spool, checkpoint_days: float = 0.0) -> None:
    """Remove the files of runs that are gone or have nothing more to ship.

    Checkpoints of a run that did not finish stay: it may be retried from them. Those of a run that came to its last
    epoch stay for so many days: it may be given more epochs.

    Raises:
        StoreUnavailable: the database is away.
    """
    run_ids = spool.run_ids()
    unshipped = {run.id for run in queries.to_ship(store, spool.id, limit=100_000)}
    known = queries.get_runs(store, run_ids)
    for run_id in run_ids:
        run = known.get(run_id)
        if run is None:
            spool.forget(run_id)
        elif run.is_terminal and run_id not in unshipped:
            spool.forget(run_id, run.attempt, checkpoints=not _may_go_on(run, checkpoint_days))


def _may_go_on(run: Run, days: float) -> bool:
    """Whether a run that is over may still be trained from its checkpoint."""
    if run.status != RunStatus.FINISHED:
        return True
    age = datetime.now(UTC) - (run.ended_at or run.created_at)
    return run.reason in ("epochs", "halved") and age < timedelta(days=days)
