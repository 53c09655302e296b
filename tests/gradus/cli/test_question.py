"""`gradus ask` writes a question that the spec grammar accepts."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.comparing.from_spec import design_of
from experiments.spec import ExperimentSpec
from gradus.cli.question import points_of, split, tuned, with_question
from gradus.errors import CommandError
from service.analysis.design import least_runs
from tests.present import present

BASE = {
    "name": "a",
    "dataset": {"name": "digits"},
    "model": {"hidden": [8]},
    "optimizer": {"name": "sgd"},
    "sweep": {"seeds": 3},
}


def test_a_question_is_written() -> None:
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
    assert present(spec.compare).looks == (5, 10)
    assert present(present(spec.compare).tune).seeds == 2
    assert len(spec.tuned()["learning_rate"]) == 4


@pytest.mark.parametrize(
    ("low", "high", "points"),
    [
        (1e-4, 1.0, 9),
        (1e-3, 1.0, 7),
        (1e-3, 1e-2, 3),
        (0.01, 0.03, 2),
        (1e-4, 5e-4, 3),
        (0.3, 300.0, 7),
        (1e-300, 1e300, 1201),
    ],
)
def test_a_range_has_two_points_per_decade_and_one(low: Any, high: Any, points: Any) -> None:
    assert points_of(low, high) == points
    assert tuned(f"learning_rate={low}..{high}") == ("learning_rate", {"log": [low, high], "points": points})
    assert tuned(f"learning_rate={low}..{high}", 4)[1] == {"log": [low, high], "points": 4}


def test_a_budget_of_sixty_pays_for_tuning_and_two_looks() -> None:
    """2 levels x 9 points x 2 seeds, then 2 x 5 fresh seeds, then 2 x 5 more."""
    document = with_question(
        BASE,
        factor="activation",
        levels="sigmoid,relu",
        tune=["learning_rate=1e-4..1"],
        points=None,
        tune_seeds=2,
        question={"budget": 60},
    )
    asked = present(design_of(ExperimentSpec.parse(document)))
    assert least_runs(asked) == 2 * 9 * 2 + 2 * 5
    assert (asked.budget, asked.looks[:2]) == (60, (5, 10))


def test_levels_may_be_mappings() -> None:
    assert split("{name: sgd, momentum: 0.9}, adam") == ["{name: sgd, momentum: 0.9}", "adam"]


@pytest.mark.parametrize(
    "text", ["learning_rate", "learning_rate=1..0.1", "learning_rate=a..b", "=1..2",
             "learning_rate=0.1..inf", "learning_rate=nan..1", "learning_rate=inf..inf"],
)  # fmt: skip
def test_a_range_that_is_none_is_refused(text: Any) -> None:
    with pytest.raises(CommandError):
        tuned(text, 4)
