"""Which choice is better, and is that claim warranted: the answer of an experiment as data.

The question that the spec fixed gets verdicts. Any other factor or metric is explored: estimates and
intervals, never a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.comparing.design import Question, question_of
from experiments.comparing.effects import pair
from experiments.comparing.judging import reached, scores
from experiments.comparing.progress import progress
from experiments.spec import ExperimentSpec
from experiments.spec.swept_fields import canonical_factor_name
from service.analysis.design import answer
from service.analysis.exploration import explore
from service.analysis.observations import results, seed_of
from service.analysis.result import Comparison, Effect, Tuning, levels_of, scope_of, warnings_of
from service.entities import Experiment, Run
from service.store import Store, queries


def compare(
    store: Store, experiment_id: str, *, factor: str | None = None, metric: str | None = None
) -> Comparison:
    """The comparison of an experiment; factor and metric are the question's where they are not given.

    A factor goes by its short name or its path, as in a spec.

    Raises:
        NotFound: no such experiment.
        SpecError: no run of it has a level or parameter of that name, or such a metric.
    """
    experiment = queries.get_experiment(store, experiment_id)
    return compare_runs(experiment, queries.all_runs(store, experiment.id), factor=factor, metric=metric)


def compare_runs(
    experiment: Experiment, runs: Sequence[Run], *, factor: str | None = None, metric: str | None = None
) -> Comparison:
    """`compare` on runs that were read before."""
    spec = experiment.experiment_spec
    question = question_of(spec)
    factor = canonical_factor_name(factor) if factor is not None else None
    if (
        question is not None
        and factor in (None, question.factor, canonical_factor_name(question.about))
        and metric in (None, question.metric)
    ):
        return _answered(experiment, spec, question, runs)
    return explore(experiment, spec, question, runs, factor, metric)


def _answered(
    experiment: Experiment, spec: ExperimentSpec, question: Question, runs: Sequence[Run]
) -> Comparison:
    have = results(question, runs)
    now = progress(question, have)
    own = scores(question, now.tuned, have)
    effects = []
    for (a, b), judged in zip(question.pairs, now.judgements, strict=True):
        seeds = judged.seeds if judged.decided else reached(question, own, a, b)
        first = tuple(range(question.first_seed, question.first_seed + seeds))
        both = pair(own, a, b, metric=question.metric, chance=question.chance, seeds=first)
        counts = {a: both.diverged_a, b: both.diverged_b, "of": both.runs}
        effects.append(Effect(judged, counts, question.confounded.get((a, b), ())))
    settings = {(level, cell): one.setting for (level, cell), one in now.tuned.items()}
    seeds_used = {score.seed for score in own}
    used = [
        run
        for run in runs
        if seed_of(run) in seeds_used
        and settings.get(_place(question, run)) == tuple(run.levels.get(a.name, "") for a in now.axes)
    ]
    names = [axis.name for axis in now.axes]
    tuned = {
        level: tuple(
            dict(zip((*question.others, *names), (*cell, *setting), strict=True))
            for (other, cell), setting in settings.items()
            if other == level and setting
        )
        for level in question.levels
    }
    levels = levels_of(own, list(question.levels), question.chance, used, question.factor, tuned)
    return Comparison(
        experiment,
        spec,
        question.factor,
        question.metric,
        question,
        now,
        question.error,
        levels,
        tuple(effects),
        answer(question, now),
        scope_of(spec),
        warnings_of(levels),
        Tuning("fresh seeds", tuple(names), question.validation_metric) if names else None,
        tuple(runs),
        tuple(run.id for run in used),
    )


def _place(question: Question, run: Run) -> tuple[str, tuple[str, ...]]:
    cell = tuple(run.levels.get(name, "") for name in question.others)
    return run.levels.get(question.factor, ""), cell
