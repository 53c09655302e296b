"""The design of a comparison, fixed before there are results: levels, cells, tuned ranges, looks, and its runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.comparing.effects import State, lower_is_better, validation_of
from experiments.comparing.statistics import share_of_error
from experiments.comparing.tuning import Setting, TuneAxis
from experiments.comparing.verdicts import ANYTIME, AT_LOOKS, Method, over_splits

MOST = 10_000

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
    fresh: Sequence[int]
    """The seeds of the looks, in their order: those that are named, or all from the tuning seeds on."""
    spare: Sequence[int] = ()
    """Further tuning seeds, for settings that the others cannot tell apart; none where seeds are named."""
    control: str | None = None
    """The level that all others are compared with; None: every pair is compared."""
    best: bool = False
    """Whether the question is which level is the best."""
    anytime: bool = False
    """Whether the results may be looked at after every seed."""
    test_share: float | None = None
    """n_test / n_train where every seed draws its own split; None where all share one."""
    further: int = 0
    """How many of the looks were asked for after the planned ones were spent."""
    automatic: int = MOST
    """Fresh seeds per level that are queued without a person asking for more."""
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
        """The pairs that are judged: each other level with the control, or all."""
        if self.control is not None:
            return tuple((level, self.control) for level in self.levels if level != self.control)
        return tuple(itertools.combinations(self.levels, 2))

    @property
    def error(self) -> float:
        """The error allowed to each interval: α/(K·m), with K = 1 for a sequence that holds at every moment.

        With a control, m is the number of the other levels. Where the best level is asked for, it is too, and only one
        end of each interval can mislead: the true best level is lost only where some other seems better. So both ends
        together may err by 2α/(K·m) (see `best_set`).
        """
        looks = self.planned_looks
        if self.best:
            return share_of_error(2 * self.alpha, looks, len(self.levels) - 1)
        return share_of_error(self.alpha, looks, len(self.pairs))

    @property
    def planned_looks(self) -> int:
        """K; 1 for a sequence that holds at every moment."""
        return 1 if self.anytime else len(self.looks) - self.further

    def error_at(self, seeds: int) -> float:
        """The error allowed to an interval at a look.

        The planned looks spend all of α. So looks that are asked for afterwards spend a second one, half of what is
        left each time: α/2, α/4, … over all pairs.
        """
        planned = self.looks[: len(self.looks) - self.further]
        if self.anytime or seeds <= planned[-1]:
            return self.error
        later = 1 + sum(look < seeds for look in self.looks[len(planned) :])
        return self.error * self.planned_looks * 0.5**later

    @property
    def total_error(self) -> float:
        """The error over all pairs and all looks, also those that were asked for afterwards."""
        return self.alpha * (2.0 - 0.5**self.further)

    @property
    def method(self) -> Method:
        if self.test_share is not None:
            return over_splits(self.test_share)
        return ANYTIME if self.anytime else AT_LOOKS

    @property
    def perfect(self) -> float | None:
        """The value of the metric that nothing can exceed: 1 for an accuracy."""
        return 1.0 if self.metric.endswith("/accuracy") else None

    def seeds(self, look: int) -> tuple[int, ...]:
        """The fresh seeds of a look; looks are counted from 0."""
        return self.fresh_seeds(self.looks[look])

    @property
    def named_seeds(self) -> bool:
        """Whether the sweep names its seeds; else they are counted."""
        return not isinstance(self.fresh, range)

    def fresh_seeds(self, number: int) -> tuple[int, ...]:
        """The first `number` seeds that were not used for tuning."""
        return tuple(self.fresh[:number])

    def planned_run(self, arm: Arm, axes: Sequence[TuneAxis], setting: Setting, seed: int) -> PlannedRun:
        """The run of an arm at one setting of the tuned axes and one seed."""
        level, cell = arm
        levels: dict[str, object] = {self.factor: level if self.factor == "case" else self.levels[level]}
        for name, label in zip(self.others, cell, strict=True):
            levels[name] = label if name == "case" else self.others[name][label]
        for axis, label in zip(axes, setting, strict=True):
            levels[axis.name] = axis.value(label)
        return PlannedRun(levels, seed)
