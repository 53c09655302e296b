"""The picture of a lesson: a drawing where it is on paper, else the course of a metric of its runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from experiments.course import Lesson, lessons
from experiments.course.lessons import drawing
from service.analysis.lessons import MOST_RUNS, Standing
from service.analysis.levels import SEED
from service.entities import Run
from service.report import charts
from service.report.drawings import names, svg_of
from service.report.figure import Figure
from service.report.figures import training_figure
from service.store import Store, queries
from service.words import Words


def lesson_picture(store: Store, standing: Standing, language: str) -> Figure | None:
    """The picture of a lesson as a person has it; None where its runs have nothing to show yet.

    Args:
        standing: the lesson, and the person's latest test of it.
        language: of title and text.
    """
    lesson = standing.lesson
    if lesson.picture.draw is not None:
        return _on_paper(lesson.name, language)
    if standing.experiment_id is None:
        return None
    runs, _ = queries.list_runs(store, standing.experiment_id, limit=MOST_RUNS)
    figure = _curves(store, lesson, runs, language)
    return _titled(lesson, language, figure.svg, figure.legend) if figure.svg else None


@cache
def _on_paper(name: str, language: str) -> Figure:
    lesson, shown = lessons()[name], drawing(name)
    title, says = lesson.title.in_language(language), lesson.picture.says.in_language(language)
    legend = [(line, charts.key(index)) for index, line in enumerate(names(shown))]
    return _titled(lesson, language, svg_of(shown, title=title, text=says, say=Words(language)), legend)


def _titled(lesson: Lesson, language: str, svg: str, legend: Sequence[tuple[str, str]]) -> Figure:
    title, says = lesson.title.in_language(language), lesson.picture.says.in_language(language)
    return Figure(lesson.name, title, svg, says, tuple(legend))


def _curves(store: Store, lesson: Lesson, runs: list[Run], language: str) -> Figure:
    """The metric over the epochs, a line for each level: the mean over its seeds."""
    metric = lesson.picture.metric or ""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[", ".join(label for name, label in run.levels.items() if name != SEED)].append(run)
    curves = queries.metric_values(store, [run.id for run in runs], [metric])
    return training_figure(metric, groups, curves, Words(language))
