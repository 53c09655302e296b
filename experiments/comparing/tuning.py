"""The setting at which each arm is compared: its own best, found on other seeds and on validation data.

Every arm gets the same points and the same seeds. A best point at the edge of its range may not be the best there
is. So the range is extended once, and a level that is still best at the edge is not fairly tuned (Godbole et al.,
*Deep Learning Tuning Playbook*, 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import sub
from typing import Literal

from experiments.comparing.statistics import half_width
from experiments.spec.levels import level_labels

Setting = tuple[str, ...]
"""One point of the tuning grid: a label per tuned axis."""

TOLD_APART = 0.2
"""The error at which two settings are told apart."""
Side = Literal["low", "high"]
Spacing = Literal["log", "linear", "none"]


@dataclass(frozen=True)
class TuneAxis:
    """A tuned field and its values, in rising order where they are numbers."""

    name: str
    values: tuple[object, ...]
    spacing: Spacing

    @classmethod
    def of(cls, name: str, values: Sequence[object]) -> TuneAxis:
        """An axis of these levels, in their spacing."""
        spacing = spacing_of(values)
        ordered = values if spacing == "none" else sorted(values, key=float)  # type: ignore[arg-type]
        return cls(name, tuple(ordered), spacing)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return tuple(level_labels(list(self.values)))

    def value(self, label: str) -> object:
        return self.values[self.labels.index(label)]

    def beyond(self, side: Side, most: int | None = None) -> tuple[object, ...]:
        """New values past one end, in the axis' own spacing.

        Args:
            side: The end.
            most: The largest number of new values. Without it, half as many as the axis has, rounded up.

        Returns:
            The values in rising order; none for an axis of names.
        """
        numbers = _numbers(self.values)
        if self.spacing == "none" or len(numbers) != len(self.values) or len(numbers) < 2:
            return ()
        end, inner = (numbers[0], numbers[1]) if side == "low" else (numbers[-1], numbers[-2])
        half = math.ceil(len(numbers) / 2)
        steps = range(1, (half if most is None else min(most, half)) + 1)
        if self.spacing == "log":
            new = [end * (end / inner) ** k for k in steps]
        else:
            new = [end + (end - inner) * k for k in steps]
        whole = all(isinstance(value, int) for value in numbers)
        rounded = [round(value) if whole else float(f"{value:.12g}") for value in new]
        return tuple(sorted({value for value in rounded if value not in numbers}))

    def extended(self, values: Iterable[object]) -> TuneAxis:
        """The axis with further values."""
        every: list[object] = [*self.values, *values]
        return TuneAxis(self.name, tuple(sorted(every, key=float)), self.spacing)  # type: ignore[arg-type]


def spacing_of(values: Sequence[object]) -> Spacing:
    """How a plain list of n levels is spaced: log where all are positive and span a ratio of 2·(n − 1) or more."""
    numbers = _numbers(values)
    if len(numbers) != len(values) or len(numbers) < 2:
        return "none"
    low, high = min(numbers), max(numbers)
    return "log" if low > 0 and high / low >= 2 * (len(numbers) - 1) else "linear"


def _numbers(values: Iterable[object]) -> list[int | float]:
    return [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


@dataclass(frozen=True)
class Trial:
    """A setting with its validation value at each tuning seed; None where the run diverged."""

    setting: Setting
    values: tuple[float | None, ...]

    @cached_property
    def diverged(self) -> bool:
        return None in self.values or not all(map(math.isfinite, self.values))  # type: ignore[arg-type]

    def without(self, at: int) -> Trial:
        """The same setting without the seed at this place."""
        rest = Trial(self.setting, self.values[:at] + self.values[at + 1 :])
        if not self.diverged:
            vars(rest)["diverged"] = False  # known, and asked hundreds of times (`held_out`)
        return rest

    @cached_property
    def mean(self) -> float:
        finite: Sequence[float] = self.values  # type: ignore[assignment]
        if self.diverged:
            finite = [value for value in self.values if value is not None and math.isfinite(value)]
        return math.fsum(finite) / len(finite) if finite else math.nan


@dataclass(frozen=True)
class Tuned:
    """The best setting of one arm."""

    setting: Setting
    mean: float | None
    """Its mean validation metric."""
    edges: tuple[tuple[str, Side], ...]
    """Axes at whose low or high end the best setting lies, or the one that it is tied with."""
    tied: Setting | None = None
    """The second best setting, where the tuning seeds cannot tell the two apart."""

    @classmethod
    def of(
        cls, setting: Setting, mean: float | None, tied: Setting | None, axes: Sequence[TuneAxis]
    ) -> Tuned:
        """The best setting, with the ends of the axes at which it or the tied one lies."""
        edges = dict.fromkeys(_edges(setting, axes) + (_edges(tied, axes) if tied is not None else []))
        return cls(setting, mean, tuple(edges), tied)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings at which the arm is compared."""
        return (self.setting,) if self.tied is None else (self.setting, self.tied)


def best(
    trials: Sequence[Trial], axes: Sequence[TuneAxis], *, lower: bool, perfect: float | None = None
) -> Tuned:
    """The setting with the best mean.

    A setting with a diverged seed ranks below every one without. Of equal ones, the one nearest the middle of its
    range is taken. The second best is tied with the best where they differ by less than their spread (`is_tied`).

    Args:
        trials: The settings that have run.
        axes: The tuned axes, in the order of the settings' labels.
        lower: Whether a lower value is better.
        perfect: The value that nothing can exceed, if any: settings that reach it are not told apart.

    Raises:
        ValueError: There are no trials.
    """
    if not trials:
        raise ValueError("nothing to choose from: no tuning run has ended")

    def rank(trial: Trial) -> tuple[bool, float, float]:
        worth = math.inf if math.isnan(trial.mean) else (trial.mean if lower else -trial.mean)
        off_middle = sum(
            abs(axis.labels.index(label) - (len(axis.values) - 1) / 2)
            for axis, label in zip(axes, trial.setting, strict=True)
        )
        return trial.diverged, worth, off_middle

    chosen, *others = sorted(trials, key=rank)
    tied = None
    if others and chosen.mean != perfect and is_tied(chosen, others[0]):
        tied = others[0].setting
    return Tuned.of(chosen.setting, None if math.isnan(chosen.mean) else chosen.mean, tied, axes)


def is_tied(first: Trial, second: Trial) -> bool:
    """Whether the seeds cannot tell two settings apart: Student's interval of their difference holds 0.

    The difference is taken seed by seed, at a confidence of 80 %: enough to choose a setting, not to claim anything.
    (One standard error would let two seeds choose the worse setting twice as often: `bench/answers.py`.) A setting
    that diverged is never tied with one that did not. One seed has no spread, so nothing is told apart by it.
    """
    if first.diverged or second.diverged:
        return False
    differences = list(map(sub, first.values, second.values))
    seeds = len(differences)
    if seeds < 2:
        return True
    mean = math.fsum(differences) / seeds
    sd = math.dist(differences, [mean] * seeds) / math.sqrt(seeds - 1)
    return abs(mean) <= half_width(sd, seeds, TOLD_APART)


def _edges(setting: Setting, axes: Sequence[TuneAxis]) -> list[tuple[str, Side]]:
    edges: list[tuple[str, Side]] = []
    for axis, label in zip(axes, setting, strict=True):
        if axis.spacing == "none" or len(axis.values) < 2:
            continue
        if label == axis.labels[0]:
            edges.append((axis.name, "low"))
        elif label == axis.labels[-1]:
            edges.append((axis.name, "high"))
    return edges
