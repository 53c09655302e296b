"""`gradus ask` writes a question that the spec grammar accepts."""

from __future__ import annotations

import pytest

from experiments.spec import ExperimentSpec
from service.cli.failures import CommandError
from service.cli.question import split, tuned, with_question

BASE = {
    "name": "a",
    "dataset": {"name": "digits"},
    "model": {"hidden": [8]},
    "optimizer": {"name": "sgd"},
    "sweep": {"seeds": 3},
}


def test_a_question_is_written():
    document = with_question(
        BASE,
        factor="activation",
        levels="sigmoid,relu",
        tune=["learning_rate=1e-4..1"],
        points=4,
        tune_seeds=2,
        question={"metric": "test/accuracy", "delta": None, "looks": [5, 10], "budget": 60},
    )
    spec = ExperimentSpec.parse(document)
    assert [level.label for level in spec.axes()["activation"]] == ["sigmoid", "relu"]
    assert spec.compare.looks == (5, 10)
    assert spec.compare.tune.seeds == 2
    assert len(spec.tuned()["learning_rate"]) == 4


def test_levels_may_be_mappings():
    assert split("{name: sgd, momentum: 0.9}, adam") == ["{name: sgd, momentum: 0.9}", "adam"]


@pytest.mark.parametrize("text", ["learning_rate", "learning_rate=1..0.1", "learning_rate=a..b", "=1..2"])
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(CommandError):
        tuned(text, 4)
