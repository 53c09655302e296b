"""What a design queues by itself: the first stage at submission, and each next stage once the one before has ended."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import structlog

from experiments.comparing.from_spec import design_of
from experiments.comparing.progress import initial_progress, progress
from experiments.comparing.stages import Stage, first_stage
from experiments.errors import GradusError
from experiments.runs import Point
from experiments.spec import ExperimentSpec
from service import operations
from service.analysis.design_document import design_document
from service.analysis.observations import observations
from service.analysis.search import advance_search, first_points
from service.entities import QUESTION_OVER, Experiment, Json
from service.errors import StaleStage, StoreUnavailable
from service.store import Store, queries

log = structlog.get_logger(__name__)
_unmoved: WeakKeyDictionary[Store, dict[str, tuple[object, ...]]] = WeakKeyDictionary()
"""The state of each open experiment for which nothing could be queued, so that it is not worked out again."""


def initial_points(spec: ExperimentSpec) -> tuple[tuple[Point, ...], str, Json | None]:
    """The first runs of an experiment.

    Args:
        spec: The experiment's spec.

    Returns:
        (the runs, the name of their stage, the document of the design or of the search, None without either).
    """
    if spec.sweep is not None and spec.sweep.searches:
        return first_points(spec)
    design = design_of(spec)
    if design is None:
        return spec.expand(), "grid", None
    stage = first_stage(design)
    return points_of(spec, stage), stage.name, design_document(design, initial_progress(design, stage))


def advance(store: Store) -> int:
    """Queue the next stage of every design whose present stage has ended.

    A design that cannot go on is logged, once for each state it is in, and does not keep the others from going on.

    Args:
        store: The database.

    Returns:
        The number of experiments that got runs or reached their end.

    Raises:
        StoreUnavailable: The database is away.
    """
    moved = 0
    unmoved = _unmoved.setdefault(store, {})
    for experiment in queries.staged_experiments(store):
        state = (
            experiment.stage,
            experiment.n_runs,
            experiment.version,
            tuple(sorted(experiment.counts.items())),
        )
        if unmoved.get(experiment.id) == state:
            continue
        try:
            went_on = _advance(store, experiment)
        except StaleStage:  # nothing is known of the state that another process made of it
            log.info("another process moved the experiment on", experiment=experiment.id)
            continue
        except StoreUnavailable:
            raise
        except GradusError as error:
            log.error("a design cannot go on", experiment=experiment.id, error=str(error))
            went_on = False
        if went_on:
            moved += 1
            unmoved.pop(experiment.id, None)
        else:
            unmoved[experiment.id] = state
    return moved


def _advance(store: Store, experiment: Experiment) -> bool:
    if experiment.search is not None:
        return advance_search(store, experiment)
    spec = experiment.experiment_spec
    design = design_of(spec)
    if design is None:
        return False
    now = progress(design, observations(design, queries.all_runs(store, experiment.id)))
    document = design_document(design, now)
    if now.next is not None:
        points = points_of(spec, now.next)
        operations.add_runs(store, experiment, points, stage=now.next.name, design=document)
        log.info("next stage", experiment=experiment.id, stage=now.next.name, runs=len(points))
        return True
    if now.over and now.wait in QUESTION_OVER:
        operations.set_design(store, experiment, document, stage=QUESTION_OVER[now.wait])
        log.info("design over", experiment=experiment.id, why=now.wait, answer=document["answer"])
        return True
    if document != experiment.design:
        operations.set_design(store, experiment, document, stage=experiment.stage)
    return False


def points_of(spec: ExperimentSpec, stage: Stage) -> tuple[Point, ...]:
    """The points of a stage. Raises SpecError."""
    return tuple(spec.point(run.levels, run.seed) for run in stage.runs)
