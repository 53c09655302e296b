"""The design of a comparison, fixed before there are results: levels, cells, tuned ranges, looks, and its runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.comparing.effects import State, lower_is_better, validation_of
from experiments.comparing.statistics import share_of_error
from experiments.comparing.tuning import Setting, TuneAxis

Cell = tuple[str, ...]
"""One combination of the other factors' levels."""

Arm = tuple[str, Cell]
"""A level in a cell. Each arm is tuned by itself."""


@dataclass(frozen=True)
class Observation:
    """A run as a design sees it."""

    level: str
    cell: Cell
    setting: Setting
    seed: int
    state: State
    value: float | None = None
    """The metric at the run's last epoch."""
    validation: float | None = None
    """The same on validation data."""
    diverged: bool = False


@dataclass(frozen=True)
class PlannedRun:
    """A run to be made: the arguments of `ExperimentSpec.point`."""

    levels: dict[str, object]
    seed: int


@dataclass(frozen=True)
class Design:
    """A comparison in full: what is compared, on which seeds, at which error, and every level's value."""

    factor: str
    """The axis whose levels are compared, or `case`."""
    about: str
    """The factor as the person named it: the same, or a field that every case sets."""
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
    """The score of a diverged run; None where the metric is a loss."""
    budget: int | None = None
    confounded: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Pairs of levels that differ in more than the factor, with the names of those fields. Nothing may be claimed
    about them.
    """
    allows: Callable[[PlannedRun], bool] = field(default=lambda run: True, repr=False)
    """Whether a run can be made. A tuned range is not extended past what a field allows."""

    @property
    def lower_is_better(self) -> bool:
        return lower_is_better(self.metric)

    @property
    def validation_metric(self) -> str:
        return validation_of(self.metric)

    def name_of(self, level: str) -> str:
        """A level as a sentence names it: `relu`, but `learning_rate 0.1`, because a bare number says nothing."""
        speaks = all(isinstance(value, str | Mapping) for value in self.levels.values())
        return level if speaks else f"{self.about} {level}"

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(itertools.product(*self.others.values()))

    @property
    def arms(self) -> tuple[Arm, ...]:
        return tuple(itertools.product(self.levels, self.cells))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(itertools.combinations(self.levels, 2))

    @property
    def error(self) -> float:
        """α/(K·m), the error allowed to each interval."""
        return share_of_error(self.alpha, len(self.looks), len(self.pairs))

    def seeds(self, look: int) -> tuple[int, ...]:
        """The fresh seeds of a look; looks are counted from 0."""
        return self.fresh_seeds(self.looks[look])

    def fresh_seeds(self, number: int) -> tuple[int, ...]:
        """The first `number` seeds that were not used for tuning."""
        return tuple(range(self.first_seed, self.first_seed + number))

    def planned_run(self, arm: Arm, axes: Sequence[TuneAxis], setting: Setting, seed: int) -> PlannedRun:
        """The run of an arm at one setting of the tuned axes and one seed."""
        level, cell = arm
        levels: dict[str, object] = {self.factor: level if self.factor == "case" else self.levels[level]}
        for name, label in zip(self.others, cell, strict=True):
            levels[name] = label if name == "case" else self.others[name][label]
        for axis, label in zip(axes, setting, strict=True):
            levels[axis.name] = axis.value(label)
        return PlannedRun(levels, seed)
