"""An experiment's page in MLflow: name, description, views, and the mark and report of its best run."""

from __future__ import annotations

import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from service import operations
from service.entities import Experiment
from service.errors import Conflict, ServiceError
from service.store import Store
from service.tracking.records import (
    BEST,
    BEST_RUN,
    REPORT,
    REPORT_DIGEST,
    Describe,
    ExperimentNote,
    experiment_card,
)

if TYPE_CHECKING:
    from service.tracking.client import Tracking

log = structlog.get_logger(__name__)


def ship_experiment(
    store: Store, tracking: Tracking, describe: Describe, experiment: Experiment, pool: ThreadPoolExecutor
) -> str:
    """Bring an experiment up to date in MLflow, and note that in its row. Idempotent.

    Returns:
        Its id in MLflow.

    Raises:
        TrackingRefused, TrackingUnavailable: see `Tracking`.
        StoreUnavailable: the database is away.
    """
    note = _note(describe, experiment)
    best = note.best.mlflow_run_id if note.best is not None else None
    card = experiment_card(experiment, note, {BEST_RUN: best} if best else {})
    mlflow_id = experiment.mlflow_experiment_id
    if mlflow_id is None:
        mlflow_id = tracking.ensure_experiment(card)
    else:
        tracking.describe_experiment(mlflow_id, card)
    if best:
        _mark_best_run(tracking, mlflow_id, best, note.report, pool)
    operations.shipped_experiment(
        store, experiment.id, change=experiment.change, mlflow_experiment_id=mlflow_id
    )
    return mlflow_id


def _note(describe: Describe, experiment: Experiment) -> ExperimentNote:
    """What MLflow is to show. Where it cannot be made, the person's own description: no run waits for a page.

    Raises:
        ServiceError: the database is away, say.
    """
    try:
        return describe(experiment)
    except ServiceError:
        raise
    except (
        Exception
    ):  # a fault in the analysis or in the report, which the log and the report's own address show
        log.exception("no comparison for MLflow's description", experiment=experiment.id)
        return ExperimentNote(experiment.description)


def _mark_best_run(
    tracking: Tracking, mlflow_id: str, best: str, report: str, pool: ThreadPoolExecutor
) -> None:
    """Idempotent: marks the best run and clears the mark on all others. The best run has the report as an artifact,
    which is uploaded only where it changed."""
    for other in tracking.tagged(mlflow_id, BEST, "yes"):
        if other.id != best:
            tracking.untag(other.id, REPORT_DIGEST)
            tracking.remove(other, REPORT)
            tracking.untag(other.id, BEST)
    digest = hashlib.sha256(report.encode()).hexdigest()
    ref = tracking.get_run(best)
    if ref.tags.get(REPORT_DIGEST) == digest:
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, REPORT)
        page.write_text(report, "utf-8")
        tracking.upload(ref, [(page, REPORT)], pool)
    tracking.log(best, tags={BEST: "yes", REPORT_DIGEST: digest})


def purge_experiment(store: Store, tracking: Tracking, experiment: Experiment) -> None:
    """Remove a deleted experiment in MLflow, then its rows.

    Raises:
        TrackingRefused, TrackingUnavailable: see `Tracking`.
        StoreUnavailable: the database is away.
    """
    if experiment.mlflow_experiment_id is not None:
        tracking.delete_experiment(experiment.mlflow_experiment_id)
    try:
        operations.purge_experiment(store, experiment.id)
    except Conflict as error:  # a run was added or is still open: the next turn tries again
        log.info("not purged yet", experiment=experiment.id, error=str(error))
