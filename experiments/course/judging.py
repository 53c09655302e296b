"""What a lesson's checks measured, and what that means for its claim."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.course.lessons import Check, Lesson, Verdict
from experiments.course.paper import PAPER
from experiments.numbers import figure


@dataclass(frozen=True)
class LessonRun:
    """A run as a check sees it.

    Attributes:
        levels: factor -> label.
        metrics: name -> value at the end of the run.
        reason: why it ended.
    """

    levels: Mapping[str, str]
    metrics: Mapping[str, float]
    reason: str | None


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
        return words.in_language(language).format(*(figure(row.value) for row in self.measured))


def judge(lesson: Lesson, runs: Sequence[LessonRun] = ()) -> Outcome:
    """Measure every check of a lesson.

    Args:
        lesson: the lesson.
        runs: the finished runs of its spec; none for a lesson on paper.
    """
    return Outcome(lesson, tuple(Measured(check, _value(check, runs)) for check in lesson.checks))


def _value(check: Check, runs: Sequence[LessonRun]) -> float:
    if check.paper is not None:
        return PAPER[check.paper](**check.arguments)
    picked = [run for run in runs if all(run.levels.get(name) == label for name, label in check.pick.items())]
    if check.reason is not None:
        return sum(run.reason == check.reason for run in picked) / len(picked) if picked else math.nan
    metric = check.metric or ""
    values = [run.metrics[metric] for run in picked if metric in run.metrics]
    if not values or any(math.isnan(value) for value in values):
        return math.nan
    if check.take == "mean":
        return sum(values) / len(values)
    return min(values) if check.take == "min" else max(values)
