"""What a search queues by itself: the first runs at submission, and the next ones once those before have ended.

Nothing is remembered between steps but the runs. A step is a compare-and-set on the experiment's stage, so that it
happens once, whoever takes it and however often it is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from experiments.errors import SpecError
from experiments.runs import Point
from experiments.searching import halving, tpe
from experiments.searching.trials import Labels, Observed, Trial, trials
from experiments.spec import ExperimentSpec
from experiments.spec.factors import CASE
from experiments.spec.levels import Level
from experiments.spec.sweep_checks import searched_metric
from experiments.spec.sweeps import Sweep
from service import operations
from service.analysis.observations import diverged, state_of
from service.analysis.search_document import halving_document, tpe_document
from service.entities import Experiment, Json, Run
from service.store import Store, queries

log = structlog.get_logger(__name__)
OVER = "done"
"""The stage of a search that is over."""
IMPOSSIBLE = 100
"""Suggestions in a row that no run can have, after which a search ends."""


def first_points(spec: ExperimentSpec) -> tuple[tuple[Point, ...], str, Json]:
    """The first runs of a search.

    Args:
        spec: a spec whose sweep has a strategy that searches.

    Returns:
        (the runs, the name of their stage, the search document).
    """
    sweep, points = spec.sweep or Sweep(), spec.expand()
    metric = searched_metric(sweep, points)
    if sweep.strategy == "tpe":
        settings = min(tpe.STARTUP, len(points) // sweep.n_seeds)
        first = tuple(_suggested(spec, (), settings, metric))
        return first, "search-1", tpe_document(spec, metric, (), queued=len(first))
    rungs = rungs_of(spec)
    first = tuple(replace(point, until=rungs[0]) for point in points)
    return first, "rung-1", halving_document(spec, metric, (), rungs, 0, queued=len(first))


def rungs_of(spec: ExperimentSpec) -> tuple[int, ...]:
    """The rungs of a halving spec, in epochs."""
    sweep = spec.sweep or Sweep()
    return sweep.rungs or halving.rungs_of(spec.expand()[0].spec.training.epochs)


def eta_of(spec: ExperimentSpec) -> int:
    return (spec.sweep or Sweep()).eta or halving.ETA


def advance_search(store: Store, experiment: Experiment) -> bool:
    """Queue what a search wants next, where none of its runs is open.

    Returns:
        Whether runs were queued, or the search came to its end.

    Raises:
        StaleStage: another process moved the search on.
        StoreUnavailable: the database is away.
        GradusError: the search cannot go on.
    """
    spec = experiment.experiment_spec
    runs = queries.all_runs(store, experiment.id)
    step = _next_batch if (spec.sweep or Sweep()).strategy == "tpe" else _next_rung
    return step(store, experiment, spec, runs)


def observed(spec: ExperimentSpec, runs: Sequence[Run], metric: str) -> list[Observed]:
    """The runs of an experiment as its search sees them."""
    names = [factor.name for factor in spec.factors]
    return [
        Observed(
            setting=tuple(run.levels[name] for name in names),
            seed=run.seed,
            epochs=run.epochs,
            state=state_of(run),
            value=run.metrics.get(metric),
            diverged=diverged(run, metric),
        )
        for run in runs
        if all(name in run.levels for name in names)
    ]


def _next_rung(store: Store, experiment: Experiment, spec: ExperimentSpec, runs: Sequence[Run]) -> bool:
    metric, rungs = searched_metric(spec.sweep or Sweep(), spec.expand()), rungs_of(spec)
    present = max(run.epochs for run in runs)
    rung = rungs.index(present)
    settings = trials(observed(spec, runs, metric))
    own = [trial for trial in settings if trial.epochs == present]
    going_on = (
        set(halving.promoted(own, eta_of(spec), metric, _group(spec))) if present < rungs[-1] else set()
    )
    if not going_on:
        document = halving_document(spec, metric, settings, rungs, rung, over=True)
        operations.set_design(store, experiment, document, stage=OVER)
        log.info("search over", experiment=experiment.id, answer=document["answer"])
        return True
    stage, names = f"rung-{rung + 2}", [factor.name for factor in spec.factors]
    chosen = [run for run in runs if tuple(run.levels[name] for name in names) in going_on]
    # A run that ended by itself, by patience say, has nothing to train, and stays in the race with what it reached.
    again = {run.id for run in chosen if run.reason == "halved"}
    operations.continue_runs(
        store,
        experiment,
        {run.id: {"epochs": rungs[rung + 1], "stage": stage} for run in chosen},
        going_on=again,
        packed_anew=True,
        stage=stage,
        design=halving_document(spec, metric, settings, rungs, rung + 1, queued=len(chosen)),
    )
    log.info("next rung", experiment=experiment.id, stage=stage, runs=len(again))
    return True


def _group(spec: ExperimentSpec) -> Callable[[Labels], Hashable]:
    """The group within which a setting competes: its level of `sweep.within`."""
    within = (spec.sweep or Sweep()).within
    if within is None:
        return lambda setting: None
    position = [factor.name for factor in spec.factors].index(within)
    return lambda setting: setting[position]


def _next_batch(store: Store, experiment: Experiment, spec: ExperimentSpec, runs: Sequence[Run]) -> bool:
    sweep = spec.sweep or Sweep()
    metric, seeds = searched_metric(sweep, spec.expand()), spec.seeds()
    known = trials(observed(spec, runs, metric))
    wanted = (sweep.runs or 0) // len(seeds) - len(known)
    points: list[Point] = []
    if wanted > 0:
        points = _suggested(spec, known, min(wanted, _fleet(store)), metric)
    if not points:
        document = tpe_document(spec, metric, known, queued=len(runs), over=True)
        operations.set_design(store, experiment, document, stage=OVER)
        log.info("search over", experiment=experiment.id, answer=document["answer"])
        return True
    stage = f"search-{int(experiment.stage.rpartition('-')[2]) + 1}"
    document = tpe_document(spec, metric, known, queued=len(runs) + len(points))
    operations.add_runs(store, experiment, points, stage=stage, design=document)
    log.info("next settings", experiment=experiment.id, stage=stage, runs=len(points))
    return True


def _fleet(store: Store) -> int:
    """How many settings are asked for at once: one for each worker that is alive."""
    return max(1, sum(worker.alive and worker.kind == "train" for worker in queries.workers(store)))


def _suggested(spec: ExperimentSpec, known: Sequence[Trial], number: int, metric: str) -> list[Point]:
    """The points of the next settings with all seeds; none where nothing new is found."""
    tried, points = list(known), list[Point]()
    for _ in range(IMPOSSIBLE):
        missing = number - len(points) // len(spec.seeds())
        settings = tpe.suggestions(spec.factors, tried, missing, metric=metric, seed=spec.seed)
        for setting in settings:
            labels = tuple(level.label for level in setting)
            try:
                points += [_point(spec, setting, seed) for seed in spec.seeds()]
            except SpecError as error:
                log.info("no run can have the suggested setting", setting=labels, error=str(error))
                tried.append(Trial(labels, "failed", 0, None))
            else:
                tried.append(Trial(labels, "waiting", 0, None))
        if not settings or len(points) == number * len(spec.seeds()):
            break
    return points


def _point(spec: ExperimentSpec, setting: Sequence[Level], seed: int) -> Point:
    levels: dict[str, Any] = {
        factor.name: level.label if factor.name == CASE else level.value
        for factor, level in zip(spec.factors, setting, strict=True)
    }
    point = spec.point(levels, seed)
    if (spec.sweep or Sweep()).seeds is None:
        return replace(point, levels={name: label for name, label in point.levels.items() if name != "seed"})
    return point
