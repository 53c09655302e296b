"""A question in full: levels, cells, tuned ranges, looks, and the runs that it asks for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.comparing.effects import (
    State,
    chance_level,
    differing,
    lower_is_better,
    validation_of,
)
from experiments.comparing.statistics import share_of_error
from experiments.comparing.tuning import Setting, TuneAxis
from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from experiments.spec.confounders import display, other_measure, owner, possible_confounders

Cell = tuple[str, ...]


Place = tuple[str, Cell]
"""A level in a cell of the other factors: what is tuned by itself."""


@dataclass(frozen=True)
class Result:
    """A run of a question. value: the metric at its last epoch; validation: the same on validation data."""

    level: str
    cell: Cell
    setting: Setting
    seed: int
    state: State
    value: float | None = None
    validation: float | None = None
    diverged: bool = False


@dataclass(frozen=True)
class Ask:
    """A run to be made: what `ExperimentSpec.point` takes."""

    levels: dict[str, object]
    seed: int


@dataclass(frozen=True)
class Question:
    """The question in full, with every level's value, ready to be asked."""

    factor: str
    """The axis whose levels are compared, or `case`."""
    about: str
    """What the person asked about: the same, or a field that every case sets."""
    metric: str
    delta: float
    alpha: float
    looks: tuple[int, ...]
    levels: Mapping[str, object]
    others: Mapping[str, Mapping[str, object]]
    axes: tuple[TuneAxis, ...]
    tune_seeds: tuple[int, ...]
    first_seed: int
    chance: float | None = None
    """What a diverged run scores; None where the metric is a loss."""
    budget: int | None = None
    confounded: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Pairs of levels that differ in more than the factor, and in what: nothing may be claimed about them."""
    allows: Callable[[Ask], bool] = field(default=lambda ask: True, repr=False)
    """Whether a run can be made at all: a tuned range is not extended past what a field allows."""

    @property
    def lower(self) -> bool:
        return lower_is_better(self.metric)

    @property
    def validation_metric(self) -> str:
        return validation_of(self.metric)

    def named(self, level: str) -> str:
        """A level as a sentence names it: `relu`, but `learning_rate 0.1`, since a number says nothing alone."""
        alone = all(isinstance(value, str | Mapping) for value in self.levels.values())
        return level if alone else f"{self.about} {level}"

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(itertools.product(*self.others.values()))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(itertools.combinations(self.levels, 2))

    @property
    def error(self) -> float:
        """α/(K·m), the error allowed to each interval."""
        return share_of_error(self.alpha, len(self.looks), len(self.pairs))

    def seeds(self, look: int) -> tuple[int, ...]:
        """The fresh seeds of a look (from 0)."""
        return tuple(range(self.first_seed, self.first_seed + self.looks[look]))

    def ask(self, level: str, cell: Cell, axes: Sequence[TuneAxis], setting: Setting, seed: int) -> Ask:
        levels: dict[str, object] = {self.factor: level if self.factor == "case" else self.levels[level]}
        for name, label in zip(self.others, cell, strict=True):
            levels[name] = label if name == "case" else self.others[name][label]
        for axis, label in zip(axes, setting, strict=True):
            levels[axis.name] = axis.value(label)
        return Ask(levels, seed)


def question_of(spec: ExperimentSpec) -> Question | None:
    """The question that a spec fixes, or None."""
    compare = spec.compare
    if compare is None:
        return None
    factors = spec.axes()
    name = spec.asked(compare.factor) or compare.factor
    start = spec.seeds()[0]
    axes: list[TuneAxis] = []
    for axis_name, levels in spec.tuned().items():
        axes.append(TuneAxis.of(axis_name, [level.value for level in levels]))
    seeds = compare.tune.seeds if compare.tune is not None else 0

    def allows(ask: Ask) -> bool:
        try:
            spec.point(ask.levels, ask.seed)
        except SpecError:
            return False
        return True

    question = Question(
        factor=name,
        about=compare.factor if name == "case" else name,
        metric=compare.metric,
        delta=compare.delta,
        alpha=compare.alpha,
        looks=tuple(compare.looks),
        levels={level.label: level.value for level in factors[name]},
        others={
            other: {level.label: level.value for level in levels}
            for other, levels in factors.items()
            if other != name
        },
        axes=tuple(axes),
        tune_seeds=tuple(range(start, start + seeds)),
        first_seed=start + seeds,
        chance=chance_level(compare.metric, spec.expand()[0].spec.data_shape.classes),
        budget=compare.budget,
        allows=allows,
    )
    return replace(question, confounded=confounded_pairs(spec, question))


def confounded_pairs(spec: ExperimentSpec, question: Question) -> dict[tuple[str, str], tuple[str, ...]]:
    """Pairs of levels whose runs differ in another field than the factor's own, with the names of those
    fields, or are measured by another loss. A question about a field that cases set is not one about whatever else
    they set.
    """
    cases = spec.sweep.cases if spec.sweep is not None else None
    owns = owner([question.about, *(axis.name for axis in question.axes)], cases)
    first = tuple(axis.labels[0] for axis in question.axes)
    settings = [first]
    if question.metric.endswith("/loss"):  # a level may end at any of its settings: all must be one measure
        settings += [
            (*first[:at], label, *first[at + 1 :])
            for at, axis in enumerate(question.axes)
            for label in axis.labels[1:]
        ]
    runs: dict[Place, list[dict[str, Any]]] = {}
    for level, cell in itertools.product(question.levels, question.cells):
        asks = [question.ask(level, cell, question.axes, one, question.first_seed) for one in settings]
        points = [spec.point(ask.levels, ask.seed) for ask in asks]
        runs[level, cell] = [point.spec.model_dump(mode="json") for point in points]
    found = {}
    for a, b in question.pairs:
        sides = [
            [possible_confounders(runs[level, cell][0], owns) for cell in question.cells] for level in (a, b)
        ]
        names = dict.fromkeys(display(differing(*sides)))
        for cell in question.cells:
            names |= dict.fromkeys(other_measure(question.metric, [*runs[a, cell], *runs[b, cell]]))
        if names:
            found[a, b] = tuple(names)
    return found
