"""Any factor and any metric for which no design was fixed: estimates and intervals, never a verdict.

Where numbers such as the learning rate were swept along, each level is compared at its own best, as in a design: on
fresh seeds where the experiment has them, else with the setting of every seed chosen on the other seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from experiments.comparing.confounding import differing
from experiments.comparing.design import Design
from experiments.comparing.effects import Score, chance_level, judge_pair, lower_is_better, pair
from experiments.comparing.judging import not_attributable
from experiments.comparing.progress import progress
from experiments.comparing.statistics import share_of_error
from experiments.comparing.tuning import TuneAxis
from experiments.comparing.verdicts import Judgement
from experiments.errors import SpecError
from experiments.messages import unknown
from experiments.numbers import figure, finite
from experiments.spec import ExperimentSpec
from experiments.spec.confounders import display, other_measure
from experiments.spec.swept_fields import field_path
from service.analysis.candidates import Candidate, Selection, select
from service.analysis.gradient_flow import measured_by
from service.analysis.levels import SEED, level_of, levels_of, scope_of, warnings_of
from service.analysis.observations import latest_of_each_point, observations
from service.analysis.result import Comparison, Effect, Level, Tuning
from service.analysis.search_document import live_search
from service.entities import Experiment, Json, Run

METRICS = ("test/accuracy", "test/loss", "val/accuracy", "val/loss", "train/accuracy", "train/loss")
TUNABLE = ("optimizer", "training")
"""Sections whose numbers a person would choose for each level by itself before comparing levels."""
ALPHA = 0.05


def explore(
    experiment: Experiment,
    spec: ExperimentSpec,
    design: Design | None,
    runs: Sequence[Run],
    factor: str | None,
    metric: str | None,
) -> Comparison:
    """The comparison for a factor and a metric that no design was fixed for.

    Args:
        experiment: The experiment.
        spec: Its spec.
        design: The design that the spec fixes, for another factor or metric; None without one.
        runs: All its runs.
        factor: None: the design's factor, or the first swept one.
        metric: None: the design's metric, or the first that the runs have.

    Raises:
        SpecError: No run has a level or parameter of that name, or such a metric.
    """
    if metric is not None and metric not in (known := _metrics(runs)):
        raise SpecError.one("metric", unknown("metric", metric, known), known)
    factor = factor or (design.factor if design else next(iter(spec.axes()), SEED))
    whole = [run for run in runs if run.reason != "halved"] or runs
    compared, settled, axes = _compared_runs(design, spec, whole, factor)
    metric = metric or (design.metric if design else _default_metric(compared))
    if runs and not any(level_of(run, factor) is not None for run in compared):
        names = sorted({name for run in runs for name in run.levels})
        raise SpecError.one("factor", unknown("factor", factor, names), names)
    chosen = select(spec, compared, factor, metric, settled, axes)
    if settled and design is not None:
        chosen = replace(chosen, tuning=Tuning("fresh seeds", settled, design.validation_metric))
    comparison = _comparison(experiment, spec, runs, factor, metric, chosen, axes)
    search = live_search(experiment)
    if search is None:
        return comparison
    warnings = list(comparison.warnings)
    if len(whole) < len(runs):
        warnings.append(
            f"{len(runs) - len(whole)} runs that halving ended before their last epoch are left out"
        )
    answer = f"{search['answer']}; {comparison.answer}"
    return replace(comparison, answer=answer, warnings=tuple(warnings))


def _compared_runs(
    design: Design | None, spec: ExperimentSpec, runs: Sequence[Run], factor: str
) -> tuple[tuple[Run, ...], tuple[str, ...], tuple[TuneAxis, ...]]:
    """(the runs to compare, fields that were tuned on other seeds, fields to tune on these very seeds).

    With a design these are its fresh runs, each level at its own best. Where there are none, or the factor itself
    was tuned, they are the tuning runs. Without a design they are all runs, of equal ones the latest.
    """
    if design is None:
        return latest_of_each_point(runs), (), _tunable(spec, factor)
    names = tuple(axis.name for axis in design.axes)
    tuning_seeds = set(design.tune_seeds)
    fresh = tuple(run for run in runs if run.seed not in tuning_seeds)
    if fresh and factor not in names:
        return fresh, names, ()
    axes = progress(design, observations(design, runs)).axes
    tuning_runs = tuple(run for run in runs if run.seed in tuning_seeds)
    return tuning_runs, (), tuple(axis for axis in axes if axis.name != factor)


def _tunable(spec: ExperimentSpec, factor: str) -> tuple[TuneAxis, ...]:
    """The swept numbers of the optimizer and of training, without the factor itself."""
    axes = []
    for name, levels in spec.axes().items():
        axis = TuneAxis.of(name, [level.value for level in levels])
        path = field_path(name)
        if name != factor and axis.spacing != "none" and path is not None and path[0] in TUNABLE:
            axes.append(axis)
    return tuple(axes)


def _comparison(
    experiment: Experiment,
    spec: ExperimentSpec,
    runs: Sequence[Run],
    factor: str,
    metric: str,
    chosen: Selection,
    axes: Sequence[TuneAxis],
) -> Comparison:
    sides: dict[str, list[Candidate]] = {}
    for candidate in chosen.candidates:
        sides.setdefault(candidate.level, []).append(candidate)
    names = list(sides)
    chance = _chance(chosen.candidates, metric)
    pairs = list(itertools.combinations(names, 2))
    error = share_of_error(ALPHA, 1, max(1, len(pairs)))
    effects = tuple(_effect(sides, chosen.scores, a, b, metric, chance, error) for a, b in pairs)
    levels = levels_of(chosen.scores, names, chance, chosen.used, factor, chosen.tuned)
    confounders = sorted({name for effect in effects for name in effect.differs})
    return Comparison(
        experiment=experiment,
        spec=spec,
        factor=factor,
        metric=metric,
        design=None,
        progress=None,
        error=error,
        levels=levels,
        effects=effects,
        answer=not_attributable(confounders, factor)
        if confounders
        else "; ".join([*_seen(levels, factor, metric), _instead_of_an_answer(factor, axes, chosen.tuning)]),
        scope=scope_of(spec),
        warnings=(*warnings_of(levels), *chosen.edges),
        tuning=chosen.tuning,
        runs=tuple(runs),
        used=tuple(run.id for run in chosen.used),
    )


def _chance(seen: Sequence[Candidate], metric: str) -> float | None:
    first = seen[0].run.run_spec() if seen else None
    return chance_level(metric, first.data_shape.classes) if first and first.measures_accuracy else None


def _effect(
    candidates: Mapping[str, Sequence[Candidate]],
    scores: Sequence[Score],
    a: str,
    b: str,
    metric: str,
    chance: float | None,
    error: float,
) -> Effect:
    sides = candidates[a], candidates[b]
    fields = ({id(run.confounders): run.confounders for run in side}.values() for side in sides)
    names = dict.fromkeys(display(differing(*fields)))
    cells: dict[str, list[Json]] = {}
    for candidate in itertools.chain(*sides):
        cells.setdefault(candidate.cell, []).append(candidate.run.spec)
    for specs in cells.values():
        names |= dict.fromkeys(other_measure(metric, specs))
    paired = pair(scores, a, b, metric=metric, chance=chance)
    judgement = Judgement.without_effect(a, b, "undecided", "")
    if paired.seeds and not names:
        judgement = judge_pair(paired, delta=math.inf, level=error)
    diverged = {a: paired.diverged_a, b: paired.diverged_b, "of": paired.runs}
    return Effect(judgement, diverged, tuple(names))


def _seen(levels: Sequence[Level], factor: str, metric: str) -> list[str]:
    """What the means show, in a sentence that claims nothing; empty where nothing was measured."""
    lower = lower_is_better(metric)
    means = sorted(
        ((mean, level.estimate) for level in levels if (mean := finite(level.estimate.mean)) is not None),
        key=lambda entry: entry[0] if lower else -entry[0],
    )
    if not means:
        return []
    (first, best), (last, worst) = means[0], means[-1]
    over = f", the mean of {best.seeds} seeds" if best.seeds > 1 else ""
    if best is worst:
        return [f"{metric} is {figure(first)}{over}"]
    ends = ("lowest", "highest") if lower else ("highest", "lowest")
    leader = f"{factor} {best.level} has the {ends[0]} {metric}, {figure(first)}{over}"
    return [leader, f"{worst.level} the {ends[1]}, {figure(last)}"]


def _instead_of_an_answer(factor: str, axes: Sequence[TuneAxis], tuning: Tuning | None) -> str:
    if factor == SEED:
        return "nothing to compare: the runs differ in their seed alone"
    if tuning is None and axes:
        names = " and ".join(axis.name for axis in axes)
        return f"exploratory: the mean over every {names}; tuning needs a full grid with two seeds or more"
    if tuning is None:
        return "exploratory: no question was fixed before the results"
    names = " and ".join(tuning.fields)
    if tuning.how == "fresh seeds":
        return f"exploratory: no question was fixed for this; {names} as tuned for the question"
    return (
        f"exploratory: each {factor} at its own best {names}, for every seed the one with the best {tuning.metric} "
        "on the other seeds"
    )


def _metrics(runs: Sequence[Run]) -> list[str]:
    """What runs can be compared by: what they measured and, until all are over, what they may still measure."""
    measured = measured_by(runs)
    if measured and all(run.is_terminal for run in runs):
        return sorted(measured)
    return sorted({*METRICS, *measured})


def _default_metric(runs: Sequence[Run]) -> str:
    measured = measured_by(runs)
    return next((metric for metric in METRICS if metric in measured), METRICS[0])
