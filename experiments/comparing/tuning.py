"""Which setting each level of a factor is compared at: its own best, found on other seeds and on validation
data.

Every level gets the same points and the same seeds. A best point at the edge of its range may not be the
best there is: the range is extended once; what is still at the edge is not fairly tuned (Godbole et al.,
*Deep Learning Tuning Playbook*, 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.spec.levels import level_labels

Setting = tuple[str, ...]
"""One point of the tuning grid: a label per tuned axis."""


@dataclass(frozen=True)
class TuneAxis:
    """A tuned field and its values, rising where they are numbers."""

    name: str
    values: tuple[object, ...]
    spacing: Literal["log", "linear", "none"]

    @classmethod
    def of(cls, name: str, values: Sequence[object]) -> TuneAxis:
        """An axis of these levels, in their spacing."""
        spacing = spacing_of(values)
        ordered = values if spacing == "none" else sorted(values, key=float)  # type: ignore[arg-type]
        return cls(name, tuple(ordered), spacing)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(level_labels(list(self.values)))

    def value(self, label: str) -> object:
        return self.values[self.labels.index(label)]

    def beyond(self, side: Literal["low", "high"], most: int | None = None) -> tuple[object, ...]:
        """Half as many new values as there are, rounded up, but at most `most`, past one end in the same spacing;
        none for a list of names."""
        numbers = [
            value for value in self.values if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        if self.spacing == "none" or len(numbers) != len(self.values) or len(numbers) < 2:
            return ()
        end, inner = (numbers[0], numbers[1]) if side == "low" else (numbers[-1], numbers[-2])
        more = math.ceil(len(numbers) / 2)
        steps = range(1, (more if most is None else min(most, more)) + 1)
        if self.spacing == "log":
            new = [end * (end / inner) ** k for k in steps]
        else:
            new = [end + (end - inner) * k for k in steps]
        whole = all(isinstance(value, int) for value in numbers)
        rounded = [round(value) if whole else float(f"{value:.12g}") for value in new]
        return tuple(sorted({value for value in rounded if value not in numbers}))

    def extended(self, values: Iterable[object]) -> TuneAxis:
        every: list[object] = [*self.values, *values]
        return TuneAxis(self.name, tuple(sorted(every, key=float)), self.spacing)  # type: ignore[arg-type]


def spacing_of(values: Sequence[object]) -> Literal["log", "linear", "none"]:
    """How a plain list of levels is spaced: log where all are positive and their ratio is at least 2."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != len(values) or len(numbers) < 2:
        return "none"
    low, high = min(numbers), max(numbers)
    return "log" if low > 0 and high / low >= 2 * (len(numbers) - 1) else "linear"


@dataclass(frozen=True)
class Trial:
    """A setting as the tuning seeds saw it: one validation value per seed, None where the run diverged."""

    setting: Setting
    values: tuple[float | None, ...]

    @property
    def diverged(self) -> bool:
        return any(value is None or not math.isfinite(value) for value in self.values)

    @property
    def mean(self) -> float:
        finite = [value for value in self.values if value is not None and math.isfinite(value)]
        return math.fsum(finite) / len(finite) if finite else math.nan


@dataclass(frozen=True)
class Tuned:
    """The best setting of one level (in one cell of the other factors)."""

    setting: Setting
    mean: float | None
    edges: tuple[tuple[str, Literal["low", "high"]], ...]
    """Axes at whose low or high end the best setting lies."""


def best(trials: Sequence[Trial], axes: Sequence[TuneAxis], *, lower: bool) -> Tuned:
    """The setting with the best mean. One with a diverged seed ranks below every one without; of equals the
    one nearest the middle of the range is taken.

    Raises:
        ValueError: no trials.
    """
    if not trials:
        raise ValueError("nothing to choose from: no tuning run has ended")

    def rank(trial: Trial) -> tuple[bool, float, float]:
        mean = trial.mean
        worth = math.inf if math.isnan(mean) else (mean if lower else -mean)
        middle = sum(
            abs(axis.labels.index(label) - (len(axis.values) - 1) / 2)
            for axis, label in zip(axes, trial.setting, strict=True)
        )
        return trial.diverged, worth, middle

    chosen = min(trials, key=rank)
    edges: list[tuple[str, Literal["low", "high"]]] = []
    for axis, label in zip(axes, chosen.setting, strict=True):
        if axis.spacing == "none" or len(axis.values) < 2:
            continue
        if label == axis.labels[0]:
            edges.append((axis.name, "low"))
        elif label == axis.labels[-1]:
            edges.append((axis.name, "high"))
    return Tuned(chosen.setting, None if math.isnan(chosen.mean) else chosen.mean, tuple(edges))
