"""The final artifacts of an experiment: its best run's model, and pictures of the best run of each level.

Runs of a small experiment are drawn right after training. Of a large one, the best run of each level of each factor
is drawn once all runs are over. The model is kept of the best run, or of all, as the spec says. A worker makes them,
as requests that give way to training (`operations.take_due_requests`).
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from experiments.errors import GradusError
from service import operations
from service.entities import Experiment, Run
from service.lifecycle import RunStatus
from service.store import Store, queries

log = structlog.get_logger(__name__)
PLOTS_UP_TO = 20
"""Up to so many runs of an experiment are all drawn at once."""
RANKING = (
    ("val/accuracy", -1.0),
    ("val/loss", 1.0),
    ("test/accuracy", -1.0),
    ("test/loss", 1.0),
    ("train/loss", 1.0),
)
"""The metrics that choose the best run: the first that every run has. Validation comes before test, so that the test
data do not choose what is shown of them.
"""


def request_artifacts(store: Store) -> int:
    """Request the final artifacts of experiments whose runs are over.

    An experiment for which that is not possible is logged and gets none, so that the others get theirs.

    Args:
        store: The database.

    Returns:
        The number of requests made.
    """
    made = 0
    for experiment in queries.experiments_due_final_artifacts(store):
        if not experiment.is_settled:  # between two stages of a design the best run is not known yet
            continue
        finished = [run for run in queries.all_runs(store, experiment.id) if run.status == RunStatus.FINISHED]
        try:
            requests = artifact_requests(experiment, finished)
        except GradusError as error:
            log.error("no final artifacts", experiment=experiment.id, error=str(error))
            requests = []
        for kind, run_id in requests:
            operations.create_request(store, run_id, kind=kind, payload={})
        operations.final_artifacts_requested(store, experiment.id, finished=len(finished))
        made += len(requests)
        if requests:
            log.info("final artifacts requested", experiment=experiment.id, requests=len(requests))
    return made


def artifact_requests(experiment: Experiment, finished: list[Run]) -> list[tuple[str, str]]:
    """(kind of request, run id) of everything that an experiment with these finished runs still needs."""
    ranked = ranking(finished)
    artifacts = experiment.experiment_spec.artifacts
    amount = {"none": 0, "best": 1, "all": len(ranked)}[artifacts.model]
    many = artifacts.plots == "auto" and experiment.n_runs > PLOTS_UP_TO
    drawn = best_of_levels(ranked) if many else []
    return [*(("model", run.id) for run in ranked[:amount]), *(("picture", run.id) for run in drawn)]


def ranking(runs: Iterable[Run]) -> list[Run]:
    """The runs without those that diverged or that halving ended early, the best first."""
    sound = [run for run in runs if run.reason not in ("diverged", "halved")]
    for key, sign in RANKING:
        if sound and all(run.metrics.get(key) is not None for run in sound):
            return sorted(sound, key=lambda run: (sign * float(run.metrics[key] or 0.0), run.index))
    return []


def best_of_levels(ranked: list[Run]) -> list[Run]:
    """The best run of each level of each factor (seeds aside), each run once."""
    chosen: dict[str, Run] = {}
    seen: set[tuple[str, str]] = set()
    for run in ranked:
        new = {(factor, label) for factor, label in run.levels.items() if factor != "seed"} - seen
        if new:
            seen |= new
            chosen[run.id] = run
    return list(chosen.values())
