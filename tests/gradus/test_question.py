"""`gradus ask` writes a question that the spec grammar accepts."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.comparing.from_spec import design_of
from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from gradus.cli.question import split, tuned
from gradus.errors import UsageError
from gradus.question import points_of, with_question
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
        levels=["sigmoid", "relu"],
        tune=dict([tuned("learning_rate=1e-4..1")]),
        points=4,
        tune_seeds=2,
        options={"metric": "test/accuracy", "delta": None, "looks": [5, 10], "budget": 60},
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
    assert tuned(f"learning_rate={low}..{high}") == ("learning_rate", (low, high))
    assert tune((low, high)) == {"log": [low, high], "points": points}
    assert tune((low, high), points=4) == {"log": [low, high], "points": 4}


def tune(values: object, points: int | None = None) -> Any:
    """The axis that a tuned field becomes."""
    names = ["relu", "tanh"]
    document = with_question(
        BASE,
        factor="activation",
        levels=names,
        tune={"learning_rate": values},
        points=points,
        tune_seeds=1,
        options={},
    )
    return document["compare"]["tune"]["learning_rate"]


def test_a_list_is_tuned_as_it_is() -> None:
    assert tuned("momentum=0,0.9") == ("momentum", [0, 0.9])
    assert tune([0, 0.9]) == [0, 0.9]


def test_a_budget_of_sixty_pays_for_tuning_and_two_looks() -> None:
    """2 levels x 9 points x 2 seeds, then 2 x 5 fresh seeds, then 2 x 5 more."""
    document = with_question(
        BASE,
        factor="activation",
        levels=["sigmoid", "relu"],
        tune=dict([tuned("learning_rate=1e-4..1")]),
        points=None,
        tune_seeds=2,
        options={"budget": 60},
    )
    asked = present(design_of(ExperimentSpec.parse(document)))
    assert (asked.budget, asked.looks[:2]) == (60, (5, 10))
    least = 2 * 9 * 2 + 2 * 5
    document["compare"]["budget"] = least - 1
    with pytest.raises(SpecError, match=f"45 runs do not pay for the first look .*at least {least}"):
        ExperimentSpec.parse(document)


def test_levels_may_be_mappings() -> None:
    assert split("{name: sgd, momentum: 0.9}, adam") == ["{name: sgd, momentum: 0.9}", "adam"]


@pytest.mark.parametrize("text", ["learning_rate", "learning_rate=a..b", "=1..2"])
def test_text_that_names_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        tuned(text)


@pytest.mark.parametrize("text", ["1..0.1", "0.1..inf", "nan..1", "inf..inf", "0..1"])
def test_a_range_that_does_not_rise_from_above_zero_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="0 < LOW < HIGH"):
        tune(tuned(f"learning_rate={text}")[1])


def test_one_level_is_no_comparison() -> None:
    with pytest.raises(UsageError, match="two levels or more"):
        with_question(
            BASE, factor="activation", levels=["relu"], tune={}, points=None, tune_seeds=1, options={}
        )
