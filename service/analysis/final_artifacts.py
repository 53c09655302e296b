"""What a finished experiment keeps beyond numbers: its best run's model, pictures of the best of each level.

Runs of a small experiment are drawn right after training. Of a large one, the best run of each level of each
factor is drawn once all runs are over; the model is kept of the best run, or of all, as the spec says. Where the
runs differ in depth, the best one also gets the picture of all of them. The work itself is done by a worker, as
requests that give way to training (`operations.take_due_requests`).
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from experiments.errors import GradusError
from service import operations
from service.analysis import gradient_flow
from service.entities import Experiment, Run
from service.lifecycle import RunStatus
from service.store import Store, queries

log = structlog.get_logger(__name__)
PLOTS_UP_TO = 20  # runs of an experiment whose pictures are all drawn at once
RANKING = (
    ("val/accuracy", -1.0),
    ("val/loss", 1.0),
    ("test/accuracy", -1.0),
    ("test/loss", 1.0),
    ("train/loss", 1.0),
)
"""By what the best run is chosen: the first that every run has; validation before test, so that what is shown
of the test data is not what it was chosen by."""


def keep(store: Store) -> int:
    """Ask for the keepsakes of experiments that are over; how many requests that made.

    One of which that cannot be said is logged and gets none, so that the others get theirs.
    """
    asked = 0
    for experiment in queries.experiments_due_final_artifacts(store):
        if not experiment.is_settled:  # a question between two stages: the best run is not known yet
            continue
        finished = [run for run in queries.all_runs(store, experiment.id) if run.status == RunStatus.FINISHED]
        try:
            wanted = wishes(experiment, finished)
        except GradusError as error:
            log.error("no keepsakes", experiment=experiment.id, error=str(error))
            wanted = []
        for kind, run_id in wanted:
            operations.create_request(store, run_id, kind=kind, payload={})
        operations.final_artifacts_requested(store, experiment.id, finished=len(finished))
        asked += len(wanted)
        if wanted:
            log.info("keepsakes asked for", experiment=experiment.id, requests=len(wanted))
    return asked


def wishes(experiment: Experiment, finished: list[Run]) -> list[tuple[str, str]]:
    """(kind of request, run) for an experiment whose runs are over."""
    ranked = ranking(finished)
    if not ranked:
        return []
    artifacts = experiment.experiment_spec.artifacts
    amount = {"none": 0, "best": 1, "all": len(ranked)}
    modelled = ranked[: amount[artifacts.model]]
    drawn = best_of_levels(ranked) if artifacts.plots == "auto" and experiment.n_runs > PLOTS_UP_TO else []
    whole = ranked[:1] if artifacts.plots != "none" and gradient_flow.several(finished) else []
    return [
        *(("model", run.id) for run in modelled),
        *(("picture", run.id) for run in drawn),
        *(("overview", run.id) for run in whole),
    ]


def ranking(runs: Iterable[Run]) -> list[Run]:
    """The runs, the best first; those that diverged are left out."""
    sound = [run for run in runs if run.reason != "diverged"]
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
