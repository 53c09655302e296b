"""Any factor and any metric that no question was fixed for: estimates and intervals, never a verdict.

Where numbers such as the learning rate were swept along, each level is compared at its own best, as a question would:
on fresh seeds where a question has them, else with every seed's setting chosen on the other seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.comparing.design import Place, Question, Result
from experiments.comparing.effects import (
    Score,
    chance_level,
    differing,
    judge_pair,
    lower_is_better,
    pair,
    validation_of,
)
from experiments.comparing.held_out import HeldOut, leave_one_out
from experiments.comparing.progress import progress
from experiments.comparing.statistics import Judgement, share_of_error
from experiments.comparing.tuning import Setting, TuneAxis
from experiments.errors import SpecError
from experiments.messages import unknown
from experiments.spec import ExperimentSpec
from experiments.spec.confounders import display, other_measure, owner, possible_confounders
from experiments.spec.swept_fields import field_path
from service.analysis.observations import diverged, results, seed_of, state_of
from service.analysis.result import (
    REPEATED,
    SEEDS,
    Comparison,
    Effect,
    Level,
    Tuning,
    level_of,
    levels_of,
    not_attributable,
    scope_of,
    warnings_of,
)
from service.entities import Experiment, Run

METRICS = ("test/accuracy", "test/loss", "val/accuracy", "val/loss", "train/accuracy", "train/loss")
TUNABLE = ("optimizer", "training")
"""Sections whose numbers a person would choose for each level by itself before comparing levels."""


def explore(
    experiment: Experiment,
    spec: ExperimentSpec,
    question: Question | None,
    runs: Sequence[Run],
    factor: str | None,
    metric: str | None,
) -> Comparison:
    """The comparison for a factor and metric, or the first swept factor and the first metric there is.

    Raises:
        SpecError: no run has a level or parameter of that name, or such a metric.
    """
    if metric is not None and metric not in (names := _metrics(runs)):
        raise SpecError.one("metric", unknown("metric", metric, names), names)
    factor = factor or (question.factor if question else next(iter(spec.axes()), REPEATED))
    ground = _ground(question, spec, runs, factor)
    metric = metric or (question.metric if question else _default_metric(ground.runs))
    if runs and not any(level_of(run, factor) is not None for run in ground.runs):
        names = sorted({name for run in runs for name in run.levels})
        raise SpecError.one("factor", unknown("factor", factor, names), names)
    seen = _seen(spec, ground.runs, factor, [*ground.settled, *(axis.name for axis in ground.axes)])
    held = tuning = None
    if ground.axes:
        rows = [_result(one, ground.axes, metric) for one in seen]
        held = leave_one_out(rows, ground.axes, lower=lower_is_better(metric))
        if held is None:  # every setting is a cell of its own
            seen = _seen(spec, ground.runs, factor, ground.settled)
    names = list(dict.fromkeys(one.level for one in seen))
    levels: tuple[Level, ...]
    if held is not None:
        fields = tuple(axis.name for axis in ground.axes)
        tuning = Tuning("other seeds", fields, validation_of(metric))
        own, used = list(held.scores), _chosen(held, seen, ground.axes)
        tuned = _settings(held, seen, ground.axes, factor)
    else:
        own = [
            Score(
                s.level,
                s.cell,
                seed_of(s.run),
                s.run.metrics.get(metric),
                state_of(s.run),
                diverged(s.run, metric),
            )
            for s in seen
        ]
        used, tuned = [one.run for one in seen], {}
        if ground.settled:
            tuning = Tuning(
                "fresh seeds", ground.settled, validation_of(question.metric if question else metric)
            )
    measured = [spec for spec in (one.run.run_spec() for one in seen[:1]) if spec.measures_accuracy]
    chance = chance_level(metric, measured[0].data_shape.classes) if measured else None
    pairs = list(itertools.combinations(names, 2))
    error = share_of_error(0.05, 1, max(1, len(pairs)))
    effects = tuple(_explored_effect(seen, own, a, b, metric, chance, error) for a, b in pairs)
    levels = levels_of(own, names, chance, used, factor, tuned)
    confounded = sorted({name for effect in effects for name in effect.differs})
    return Comparison(
        experiment,
        spec,
        factor,
        metric,
        None,
        None,
        error,
        levels,
        effects,
        not_attributable(confounded, factor) if confounded else _exploratory(factor, ground, tuning),
        scope_of(spec),
        (*warnings_of(levels), *(_edges(held) if held is not None else ())),
        tuning,
        tuple(runs),
        tuple(run.id for run in used),
    )


@dataclass(frozen=True)
class _Ground:
    """What an exploration stands on: the runs, and what of them was or is to be tuned."""

    runs: tuple[Run, ...]
    settled: tuple[str, ...] = ()
    """Fields that were tuned on other seeds than these, so that each level has its own value."""
    axes: tuple[TuneAxis, ...] = ()
    """Fields of which every level was run with every value: to be tuned on these very seeds."""


def _ground(question: Question | None, spec: ExperimentSpec, runs: Sequence[Run], factor: str) -> _Ground:
    """The fresh runs of a question, each level at its own best. Where there are none, or the factor itself was
    tuned, the tuning runs; without a question all runs.
    """
    if question is None:
        return _Ground(tuple(runs), (), _tunable(spec, factor))
    names = tuple(axis.name for axis in question.axes)
    tuning = set(question.tune_seeds)
    fresh = tuple(run for run in runs if seed_of(run) not in tuning)
    if fresh and factor not in names:
        return _Ground(fresh, names)
    axes = progress(question, results(question, runs)).axes
    rest = tuple(run for run in runs if seed_of(run) in tuning)
    return _Ground(rest, (), tuple(axis for axis in axes if axis.name != factor))


def _tunable(spec: ExperimentSpec, factor: str) -> tuple[TuneAxis, ...]:
    """The swept numbers of the optimizer and of training, but for the factor itself."""
    found = []
    for name, levels in spec.axes().items():
        axis = TuneAxis.of(name, [level.value for level in levels])
        path = field_path(name)
        if name != factor and axis.spacing != "none" and path is not None and path[0] in TUNABLE:
            found.append(axis)
    return tuple(found)


@dataclass(frozen=True)
class _Seen:
    """A run as an exploration sees it. confounders: every other field that decides its result."""

    run: Run
    level: str
    confounders: Mapping[str, str]
    cell: str


def _seen(spec: ExperimentSpec, runs: Sequence[Run], factor: str, own: Sequence[str]) -> list[_Seen]:
    """The runs that have a level of the factor. own: fields that may differ between levels, being tuned."""
    owns = owner([factor, *own], spec.sweep.cases if spec.sweep is not None else None)
    swept = [name for name in spec.axes() if name not in (factor, "case", *own)]
    found = []
    for run in runs:
        if (level := level_of(run, factor)) is not None:
            others = possible_confounders(run.spec, owns)
            cell = others | {name: run.levels[name] for name in swept if name in run.levels}
            found.append(_Seen(run, level, others, "\n".join(f"{k}={v}" for k, v in cell.items())))
    return found


def _result(one: _Seen, axes: Sequence[TuneAxis], metric: str) -> Result:
    run = one.run
    return Result(
        level=one.level,
        cell=(one.cell,),
        setting=tuple(run.levels.get(axis.name, "") for axis in axes),
        seed=seed_of(run),
        state=state_of(run),
        value=run.metrics.get(metric),
        validation=run.metrics.get(validation_of(metric)),
        diverged=diverged(run, metric),
    )


def _at(one: _Seen, axes: Sequence[TuneAxis]) -> tuple[Place, int, Setting]:
    setting = tuple(one.run.levels.get(axis.name, "") for axis in axes)
    return (one.level, (one.cell,)), seed_of(one.run), setting


def _chosen(held: HeldOut, seen: Sequence[_Seen], axes: Sequence[TuneAxis]) -> list[Run]:
    """The runs behind the scores."""
    behind = {(*key, tuned.setting) for key, tuned in held.chosen.items()}
    return [one.run for one in seen if _at(one, axes) in behind]


def _settings(
    held: HeldOut, seen: Sequence[_Seen], axes: Sequence[TuneAxis], factor: str
) -> dict[str, tuple[dict[str, str], ...]]:
    """What each level is compared at, and at which seeds."""
    names = {axis.name for axis in axes}
    found: dict[str, dict[tuple[tuple[str, str], ...], list[str]]] = {}
    behind = {(*key, tuned.setting) for key, tuned in held.chosen.items()}
    for one in seen:
        if _at(one, axes) in behind:
            levels = {k: v for k, v in one.run.levels.items() if k not in (factor, "seed", *names)}
            levels |= {axis.name: one.run.levels[axis.name] for axis in axes}
            found.setdefault(one.level, {}).setdefault(tuple(levels.items()), []).append(
                str(seed_of(one.run))
            )
    return {
        level: tuple(dict(setting) | {SEEDS: ", ".join(seeds)} for setting, seeds in settings.items())
        for level, settings in found.items()
    }


def _explored_effect(
    seen: Sequence[_Seen],
    own: Sequence[Score],
    a: str,
    b: str,
    metric: str,
    chance: float | None,
    error: float,
) -> Effect:
    sides = [[one for one in seen if one.level == level] for level in (a, b)]
    names = dict.fromkeys(display(differing(*([one.confounders for one in side] for side in sides))))
    cells: dict[str, list[Mapping[str, Any]]] = {}
    for one in itertools.chain(*sides):
        cells.setdefault(one.cell, []).append(one.run.spec)
    for run_specs in cells.values():
        names |= dict.fromkeys(other_measure(metric, run_specs))
    differs = tuple(names)
    both = pair((s for s in own if s.level in (a, b)), a, b, metric=metric, chance=chance)
    judged = Judgement(a, b, "undecided", "", None, None, None, 0, 0)
    if both.seeds and not differs:
        judged = judge_pair(both, delta=math.inf, level=error)
    return Effect(judged, {a: both.diverged_a, b: both.diverged_b, "of": both.runs}, differs)


def _exploratory(factor: str, ground: _Ground, tuning: Tuning | None) -> str:
    """What an exploration says in place of an answer."""
    if factor == REPEATED:
        return "nothing to compare: a seed repeats a choice and is none; this is the mean over the seeds"
    if tuning is None and ground.axes:
        names = " and ".join(axis.name for axis in ground.axes)
        return f"exploratory: the mean over every {names}; tuning needs a full grid with two seeds or more"
    if tuning is None:
        return "exploratory: no question was fixed for this"
    names = " and ".join(tuning.fields)
    if tuning.how == "fresh seeds":
        return f"exploratory: no question was fixed for this; {names} as tuned for the question"
    return (
        f"exploratory: each {factor} at its own best {names}, for every seed the one with the best {tuning.metric} "
        "on the other seeds"
    )


def _edges(held: HeldOut) -> list[str]:
    """Levels whose best setting lies at an end of what was tried."""
    words = {
        f"{level}: best at the {side}est {name} tried, perhaps better beyond"
        for (((level, _), _), tuned) in held.chosen.items()
        for name, side in tuned.edges
    }
    return sorted(words)


def _metrics(runs: Sequence[Run]) -> list[str]:
    """What there is to compare by: what the runs measured and, until all are over, what they may yet measure."""
    there = {key for run in runs for key in run.metrics}
    if there and all(run.is_terminal for run in runs):
        return sorted(there)
    return sorted({*METRICS, *there})


def _default_metric(runs: Sequence[Run]) -> str:
    there = {key for run in runs for key in run.metrics}
    return next((metric for metric in METRICS if metric in there), METRICS[0])
