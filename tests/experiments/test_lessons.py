"""Every lesson comes to the outcome that it states, with the figures that it states."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from experiments.course import Lesson, LessonRun, Outcome, judge, lessons
from experiments.course.demonstrations import digit
from experiments.course.lessons import PAPER, drawing
from experiments.datasets import DATASETS, Source
from experiments.engine import cache
from experiments.engine.training import train
from experiments.errors import SpecError
from experiments.recording import MemoryRecorder
from experiments.runs import Point, RunSpec
from experiments.sections import Backend
from experiments.spec import ExperimentSpec

DATA_DIR = os.environ.get("GRADUS_DATA_DIR")
SOURCE = Source(Path(DATA_DIR) if DATA_DIR else None)
HERE = keras.backend.backend()
LESSONS = lessons()
ON_PAPER = [name for name, lesson in LESSONS.items() if not lesson.trains]
QUICK = [name for name, lesson in LESSONS.items() if lesson.trains and not lesson.slow]
SLOW = [name for name, lesson in LESSONS.items() if lesson.slow]


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    yield
    cache.forget()


def trained(lesson: Lesson) -> list[LessonRun]:
    """The runs of a lesson, each on its backend."""
    others = {spec.backend for spec in specs(lesson)} - {HERE, "auto"}
    return [*trained_here(lesson), *(run for backend in others for run in trained_on(backend, lesson))]


def specs(lesson: Lesson) -> list[RunSpec]:
    return [point.spec for point in ExperimentSpec.parse(lesson.document()).expand()]


def trained_here(lesson: Lesson) -> list[LessonRun]:
    """The runs of a lesson that this process can train."""
    if lesson.document()["dataset"].get("name") == "mnist" and not (
        SOURCE.data_dir and (SOURCE.data_dir / "mnist.npz").is_file()
    ):
        pytest.skip("no mnist.npz: set GRADUS_DATA_DIR to the folder that holds it")
    programs: dict[str, list[Point]] = {}
    for point in ExperimentSpec.parse(lesson.document()).expand():
        if point.spec.backend in (HERE, "auto"):
            programs.setdefault(point.spec.program_key(), []).append(point)
    runs = []
    for tile in programs.values():
        recorder = MemoryRecorder()
        outcomes = train([point.spec for point in tile], recorder, lambda lane: None, source=SOURCE)
        for lane, (point, outcome) in enumerate(zip(tile, outcomes, strict=True)):
            last = {name: series[max(series)] for name, series in recorder.history[lane].items()}
            runs.append(LessonRun(point.levels, last, outcome.reason, recorder.history[lane]))
    return runs


def trained_on(backend: Backend, lesson: Lesson) -> list[LessonRun]:
    """The runs of a lesson on another backend, which Keras has in another process only."""
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    code = (
        "import json; from tests.experiments.test_lessons import LESSONS, trained_here; "
        f"print(json.dumps([[run.levels, run.metrics, run.reason] for run in trained_here(LESSONS[{lesson.name!r}])]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [LessonRun(*row) for row in json.loads(done.stdout.splitlines()[-1])]


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


@pytest.mark.usefixtures("without_xla")
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
    assert set(PAPER) == used
    for lesson in LESSONS.values():
        for words in (lesson.title, lesson.claim, lesson.picture.says, lesson.confirmed, lesson.refuted):
            assert words.en != words.zh or words.en.startswith(("KERAS", "import"))
            assert sorted(re.findall(r"\{\d+\}", words.en)) == sorted(re.findall(r"\{\d+\}", words.zh))


def test_a_check_without_runs_is_refuted() -> None:
    """A quantity that no run has is no confirmation."""
    outcome = judge(LESSONS["01-perceptron-and"], [])
    assert outcome.verdict == "refuted"


def test_a_check_picks_its_runs() -> None:
    lesson = LESSONS["21-deep-relu-learns"]

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


def test_the_digits_of_the_pictures_are_those_of_the_data_set() -> None:
    data = DATASETS["digits"].model_validate({"name": "digits"}).load(SOURCE)
    for number in (0, 1):
        first = data.x_train[data.y_train == number][0].reshape(8, 8)
        np.testing.assert_array_equal(digit(number), first)


def test_a_check_may_look_back_and_take_the_difference_of_two_levels() -> None:
    lesson = LESSONS["16-deep-or-wide"]
    ahead = [
        LessonRun({"case": case}, {"test/accuracy": value}, "")
        for case, value in (("deep", 0.97), ("wide", 0.93))
    ]
    assert [row.value for row in judge(lesson, ahead).measured] == [pytest.approx(0.04), 0.93]
    zeros = LESSONS["13-relu-sparsity"]
    key = "layers/1-dense/zeros"
    runs = [LessonRun({"activation": "relu"}, {key: 0.2}, "", {key: {0: 0.5, 1: 0.2}})]
    assert [row.value for row in judge(zeros, runs).measured[:2]] == [0.5, 0.2]


def test_every_lesson_on_paper_has_a_drawing() -> None:
    for name in ON_PAPER:
        assert LESSONS[name].picture.draw is not None
        assert drawing(name)
