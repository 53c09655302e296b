"""What MLflow's page of an experiment says: the answer as markdown, links, and which run is the best."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from experiments.errors import GradusError
from service.comparison import compare_runs, markdown
from service.keepsakes import ranking
from service.lifecycle import Experiment, Run, RunStatus
from service.settings import Settings
from service.store import Store, queries

log = structlog.get_logger(__name__)
BEST = "gradus.best"
BEST_RUN = "gradus.best_run"


@dataclass(frozen=True)
class Summary:
    """The description in markdown, and the best run once the experiment is over."""

    description: str
    best: Run | None


def summarize(store: Store, experiment: Experiment, settings: Settings) -> Summary:
    """The experiment as MLflow is to show it: a person's own description, then what is known so far.

    The best run is that with the best validation metric (`keepsakes.ranking`), so that the test data did
    not choose it.
    """
    runs = queries.all_runs(store, experiment.id)
    if experiment.plan is None and not (runs and experiment.is_over):
        return Summary(experiment.description, None)
    base = f"{settings.url.rstrip('/')}"
    links = {"report": f"{base}/experiments/{experiment.id}/report", "Gradus": f"{base}/#{experiment.id}"}
    try:
        text = markdown(compare_runs(experiment, runs), links)
    except GradusError as error:  # an old spec that is no longer read: its runs are carried all the same
        log.warning("no comparison for MLflow's description", experiment=experiment.id, error=str(error))
        return Summary(experiment.description, None)
    ranked = ranking(run for run in runs if run.status == RunStatus.FINISHED)
    return Summary(text, ranked[0] if ranked and experiment.is_over else None)
