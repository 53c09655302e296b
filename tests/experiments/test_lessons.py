"""Every lesson comes to the outcome that it states, with the figures that it states."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from experiments.course import Lesson, LessonRun, Outcome, judge, lessons
from experiments.course.paper import PAPER
from experiments.datasets import Source
from experiments.engine import cache
from experiments.engine.training import train
from experiments.errors import SpecError
from experiments.recording import MemoryRecorder
from experiments.runs import Point
from experiments.spec import ExperimentSpec

DATA_DIR = os.environ.get("GRADUS_DATA_DIR")
SOURCE = Source(Path(DATA_DIR) if DATA_DIR else None)
LESSONS = lessons()
ON_PAPER = [name for name, lesson in LESSONS.items() if not lesson.trains]
QUICK = [name for name, lesson in LESSONS.items() if lesson.trains and not lesson.slow]
SLOW = [name for name, lesson in LESSONS.items() if lesson.slow]


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    yield
    cache.forget()


def trained(lesson: Lesson) -> list[LessonRun]:
    """The runs of a lesson, trained here."""
    if lesson.document()["dataset"].get("name") == "mnist" and not (
        SOURCE.data_dir and (SOURCE.data_dir / "mnist.npz").is_file()
    ):
        pytest.skip("no mnist.npz: set GRADUS_DATA_DIR to the folder that holds it")
    programs: dict[str, list[Point]] = {}
    for point in ExperimentSpec.parse(lesson.document()).expand():
        programs.setdefault(point.spec.program_key(), []).append(point)
    runs = []
    for tile in programs.values():
        recorder = MemoryRecorder()
        outcomes = train([point.spec for point in tile], recorder, lambda lane: None, source=SOURCE)
        for lane, (point, outcome) in enumerate(zip(tile, outcomes, strict=True)):
            last = {name: series[max(series)] for name, series in recorder.history[lane].items()}
            runs.append(LessonRun(point.levels, last, outcome.reason))
    return runs


def states(outcome: Outcome) -> None:
    """Assert what the lesson says of itself."""
    lesson = outcome.lesson
    assert outcome.verdict == lesson.outcome, [(row.value, row.expected) for row in outcome.measured]
    for row in outcome.measured:
        if row.check.measured is not None:
            assert row.value == pytest.approx(row.check.measured, abs=row.check.within)
    for language in ("en", "zh"):
        assert not re.search(r"\{\d+\}|nan", outcome.sentence(language))


@pytest.mark.parametrize("name", ON_PAPER)
def test_a_lesson_on_paper_comes_to_what_it_states(name: str) -> None:
    states(judge(LESSONS[name]))


@pytest.mark.parametrize("name", QUICK)
def test_a_trained_lesson_comes_to_what_it_states(name: str) -> None:
    states(judge(LESSONS[name], trained(LESSONS[name])))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SLOW)
def test_a_longer_lesson_comes_to_what_it_states(name: str) -> None:
    states(judge(LESSONS[name], trained(LESSONS[name])))


def test_lessons_are_in_order_and_complete() -> None:
    assert list(LESSONS) == sorted(LESSONS)
    assert all(re.fullmatch(r"\d\d-[a-z0-9-]+", name) for name in LESSONS)
    used = {check.paper for lesson in LESSONS.values() for check in lesson.checks} - {None}
    assert set(PAPER) - used <= {"bound"}
    for lesson in LESSONS.values():
        for words in (lesson.title, lesson.claim, lesson.confirmed, lesson.refuted):
            assert words.en != words.zh or words.en.startswith(("KERAS", "import"))
            assert re.findall(r"\{\d+\}", words.en) == re.findall(r"\{\d+\}", words.zh)


def test_a_check_without_runs_is_refuted() -> None:
    """A quantity that no run has is no confirmation."""
    outcome = judge(LESSONS["01-perceptron-and"], [])
    assert outcome.verdict == "refuted"


def test_a_check_picks_its_runs() -> None:
    lesson = LESSONS["33-deep-relu-learns"]

    def run(activation: str, accuracy: float) -> LessonRun:
        return LessonRun({"activation": activation}, {"test/accuracy": accuracy}, "epochs")

    runs: Sequence[LessonRun] = [run("relu", 0.95), run("relu", 0.91), run("tanh", 0.97), run("sigmoid", 0.1)]
    outcome = judge(lesson, runs)
    assert [row.value for row in outcome.measured] == [0.91, 0.97, 0.1]
    assert outcome.verdict == "confirmed"
    assert judge(lesson, [*runs, run("sigmoid", 0.4)]).verdict == "refuted"


def test_what_is_no_lesson_is_refused_with_its_field() -> None:
    from experiments.course.lessons import _read

    with pytest.raises(SpecError, match=r"x\.yaml"):
        _read("x.yaml", "title: {en: a}\n")
