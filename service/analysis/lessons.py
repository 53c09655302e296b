"""How far a person is in the course: each lesson not yet tested, running, or done with its outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.course import Lesson, LessonRun, Outcome, judge, lessons, on_paper
from service.analysis.observations import state_of
from service.entities import Run
from service.store import Store, queries

State = Literal["not yet", "running", "done"]
TAG = "tag.lesson"
MOST_RUNS = 1000


@dataclass(frozen=True)
class Standing:
    """A lesson as a person has it.

    Attributes:
        experiment_id: of the person's latest test; None where nothing was trained.
        outcome: what it came to; None until it is done.
    """

    lesson: Lesson
    state: State
    experiment_id: str | None = None
    outcome: Outcome | None = None


def standings(store: Store, owner: str) -> list[Standing]:
    """Every lesson in the order of the course, as this owner has it."""
    return [standing(store, lesson, owner) for lesson in lessons().values()]


def standing(store: Store, lesson: Lesson, owner: str) -> Standing:
    """One lesson. What is computed on paper is done at once; else the owner's latest experiment with its tag counts."""
    if not lesson.trains:
        return Standing(lesson, "done", None, on_paper(lesson.name))
    filters = {TAG: [lesson.name], "owner": [owner]}
    experiments, _ = queries.list_experiments(store, filters=filters, limit=1)
    if not experiments:
        return Standing(lesson, "not yet")
    runs, _ = queries.list_runs(store, experiments[0].id, limit=MOST_RUNS)
    if any(state_of(run) == "waiting" for run in runs):
        return Standing(lesson, "running", experiments[0].id)
    finished = [run for run in runs if state_of(run) == "finished"]
    return Standing(lesson, "done", experiments[0].id, judge(lesson, _seen(store, lesson, finished)))


def _seen(store: Store, lesson: Lesson, runs: Sequence[Run]) -> list[LessonRun]:
    """The runs as checks see them."""
    keys = {check.metric for check in lesson.checks if check.metric is not None and check.step is not None}
    histories = queries.metric_values(store, [run.id for run in runs], sorted(keys)) if keys else {}
    return [
        LessonRun(
            run.levels,
            {name: _number(value) for name, value in run.metrics.items()},
            run.reason or str((run.outcome or {}).get("reason", "")),
            {
                key: {step: _number(value) for step, value in series}
                for key, series in histories.get(run.id, {}).items()
            },
        )
        for run in runs
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else value
