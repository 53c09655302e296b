"""What a lesson's checks measured, and what that means for its claim."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from experiments.course.lessons import PAPER, Check, Lesson, Verdict, lessons
from experiments.numbers import figure


@dataclass(frozen=True)
class LessonRun:
    """A run as a check sees it.

    Attributes:
        levels: factor -> label.
        metrics: name -> value at the end of the run.
        reason: why it ended.
        history: metric -> epochs completed -> value, of the metrics that checks look at before the end.
    """

    levels: Mapping[str, str]
    metrics: Mapping[str, float]
    reason: str | None
    history: Mapping[str, Mapping[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One check and what it measured; NaN where no run has the quantity."""

    check: Check
    value: float

    @property
    def holds(self) -> bool:
        return self.check.holds(self.value)

    @property
    def expected(self) -> str:
        """`= 4`, `≥ 0.9`, `0.2 to 0.3`."""
        check = self.check
        if check.equals is not None:
            return f"= {figure(check.equals)}"
        if check.at_least is not None and check.at_most is not None:
            return f"{figure(check.at_least)} … {figure(check.at_most)}"
        return f"≥ {figure(check.at_least)}" if check.at_least is not None else f"≤ {figure(check.at_most)}"


@dataclass(frozen=True)
class Outcome:
    """What a lesson came to."""

    lesson: Lesson
    measured: tuple[Measured, ...]

    @property
    def verdict(self) -> Verdict:
        """`confirmed` where every check is as the claim says."""
        return "confirmed" if all(row.holds for row in self.measured) else "refuted"

    def sentence(self, language: str) -> str:
        """The lesson's sentence for this verdict, with the measured figures."""
        words = self.lesson.confirmed if self.verdict == "confirmed" else self.lesson.refuted
        return words.in_language(language).format(*(_written(row.value) for row in self.measured))


def _written(value: float) -> str:
    """A whole number in full, any other to four digits."""
    whole = math.isfinite(value) and abs(value) < 1e12 and value == round(value)
    return f"{value:,.0f}" if whole else figure(value)


def judge(lesson: Lesson, runs: Sequence[LessonRun] = ()) -> Outcome:
    """Measure every check of a lesson.

    Args:
        lesson: the lesson.
        runs: the finished runs of its spec; none for a lesson on paper.
    """
    return Outcome(lesson, tuple(Measured(check, _value(check, runs)) for check in lesson.checks))


@cache
def on_paper(name: str) -> Outcome:
    """The outcome of a lesson that trains nothing, computed once."""
    return judge(lessons()[name])


def _value(check: Check, runs: Sequence[LessonRun]) -> float:
    if check.paper is not None:
        return PAPER[check.paper](**check.arguments)
    value = _of(check, _picked(runs, check.pick))
    return value if check.minus is None else value - _of(check, _picked(runs, check.minus))


def _picked(runs: Sequence[LessonRun], levels: Mapping[str, str]) -> list[LessonRun]:
    return [run for run in runs if all(run.levels.get(name) == label for name, label in levels.items())]


def _of(check: Check, picked: Sequence[LessonRun]) -> float:
    if check.reason is not None:
        return sum(run.reason == check.reason for run in picked) / len(picked) if picked else math.nan
    metric = check.metric or ""
    if check.step is None:
        values = [run.metrics.get(metric, math.nan) for run in picked]
    else:
        values = [run.history.get(metric, {}).get(check.step, math.nan) for run in picked]
    if not values or any(math.isnan(value) for value in values):
        return math.nan
    if check.take == "mean":
        return sum(values) / len(values)
    return min(values) if check.take == "min" else max(values)
