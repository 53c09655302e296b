"""Which choice is better, and is that claim warranted: the comparison of an experiment as data.

The design that the spec fixed gets verdicts. Any other factor or metric is explored: estimates and intervals, never
a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.comparing.design import Arm, Design
from experiments.comparing.effects import pair
from experiments.comparing.from_spec import design_of
from experiments.comparing.judging import best_scores, score_sets, seeds_reached
from experiments.comparing.progress import progress
from experiments.spec import ExperimentSpec
from experiments.spec.swept_fields import canonical_factor_name
from service import operations
from service.analysis.exploration import explore
from service.analysis.headline import headline
from service.analysis.levels import levels_of, scope_of, warnings_of
from service.analysis.observations import observations
from service.analysis.result import Comparison, Effect, Tuning
from service.entities import Experiment, Run
from service.store import Store, queries


def compare(
    store: Store, experiment_id: str, *, factor: str | None = None, metric: str | None = None
) -> Comparison:
    """The comparison of an experiment.

    Args:
        store: The database.
        experiment_id: The experiment's id.
        factor: Its short name or its path, as in a spec. None: the design's, or the first swept one.
        metric: As `test/accuracy`. None: the design's, or the first that the runs have.

    Raises:
        NotFound: There is no such experiment.
        SpecError: No run has a level or parameter of that name, or such a metric.
    """
    experiment = queries.get_experiment(store, experiment_id)
    return compare_runs(experiment, queries.all_runs(store, experiment.id), factor=factor, metric=metric)


def compare_runs(
    experiment: Experiment, runs: Sequence[Run], *, factor: str | None = None, metric: str | None = None
) -> Comparison:
    """`compare` on runs that were read before."""
    spec = experiment.experiment_spec
    design = design_of(spec)
    factor = canonical_factor_name(factor) if factor is not None else None
    if (
        design is not None
        and factor in (None, design.factor, canonical_factor_name(design.about))
        and metric in (None, design.metric)
    ):
        return _judged(experiment, spec, design, runs)
    return explore(experiment, spec, design, runs, factor, metric)


def _judged(experiment: Experiment, spec: ExperimentSpec, design: Design, runs: Sequence[Run]) -> Comparison:
    observed = observations(design, runs)
    now = progress(design, observed)
    sets = score_sets(design, now.tuned, observed)
    own = best_scores(sets)
    effects = []
    for (a, b), judgement in zip(design.pairs, now.judgements, strict=True):
        seeds = judgement.seeds if judgement.decided else seeds_reached(design, sets, a, b)
        paired = pair(own, a, b, metric=design.metric, chance=design.chance, seeds=design.fresh_seeds(seeds))
        diverged = {a: paired.diverged_a, b: paired.diverged_b, "of": paired.runs}
        effects.append(
            Effect(judgement, diverged, design.confounded.get((a, b), design.confounded.get((b, a), ())))
        )
    settings = {arm: tuned.setting for arm, tuned in now.tuned.items()}
    seeds_used = {score.seed for score in own}
    used = [
        run
        for run in runs
        if run.seed in seeds_used
        and settings.get(_arm(design, run)) == tuple(run.levels.get(axis.name, "") for axis in now.axes)
    ]
    names = tuple(axis.name for axis in now.axes)
    tuned = {
        level: tuple(
            dict(zip((*design.others, *names), (*cell, *setting), strict=True))
            for (other, cell), setting in settings.items()
            if other == level and setting
        )
        for level in design.levels
    }
    levels = levels_of(own, list(design.levels), design.chance, used, design.factor, tuned)
    return Comparison(
        experiment=experiment,
        spec=spec,
        factor=design.factor,
        metric=design.metric,
        design=design,
        progress=now,
        error=design.error,
        levels=levels,
        effects=tuple(effects),
        answer=headline(design, now),
        scope=scope_of(spec),
        warnings=(*warnings_of(levels), *_taken_over(used)),
        tuning=Tuning("fresh seeds", names, design.validation_metric) if names else None,
        runs=tuple(runs),
        used=tuple(run.id for run in used),
    )


def _taken_over(used: Sequence[Run]) -> tuple[str, ...]:
    """A warning where compared runs are older than the question: whoever asked may have known what they show."""
    number = sum(operations.REUSED_FROM in run.tags for run in used)
    if not number:
        return ()
    which = f"{number} of the {len(used)} compared runs are taken over from another experiment"
    return (f"{which}; the error probability holds only if the question was fixed without a look at them",)


def _arm(design: Design, run: Run) -> Arm:
    return run.levels.get(design.factor, ""), tuple(run.levels.get(name, "") for name in design.others)
