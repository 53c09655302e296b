"""Levels that no run can have: the path of the axis, the label of the level, the formula, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.errors import Problem, SpecError
from experiments.spec import ExperimentSpec

DIGITS: dict[str, Any] = {
    "name": "a",
    "dataset": {"name": "digits"},
    "model": {
        "pattern": "INPUT-[CONV-POOL]*1-FC-OUTPUT",
        "conv": {"filters": 2, "kernel_size": 3, "padding": "valid"},
        "pool": {"pool_size": 2},
    },
}


def refused(**fields: Any) -> dict[str, Problem]:
    with pytest.raises(SpecError) as caught:
        ExperimentSpec.parse(DIGITS | fields)
    return {problem.path: problem for problem in caught.value.problems}


def test_one_impossible_level() -> None:
    """8 - 9 leaves no place for a window of 9; 3 fits."""
    problems = refused(sweep={"model.conv.kernel_size": [3, 9, 10]})
    assert list(problems) == ["sweep.model.conv.kernel_size[1]", "sweep.model.conv.kernel_size[2]"]
    message = problems["sweep.model.conv.kernel_size[1]"].message
    assert "⌊(8 - 9 + 2·0)/1⌋ + 1 = 0" in message
    assert "(with model.conv.kernel_size = 9)" in message


def test_the_first_level_is_the_impossible_one() -> None:
    problems = refused(sweep={"model.conv.kernel_size": [9, 3], "activation": ["relu", "tanh"]})
    assert list(problems) == ["sweep.model.conv.kernel_size[0]"]


def test_a_case() -> None:
    cases = {"small": {"model.conv.kernel_size": 3}, "large": {"model.conv.kernel_size": 9}}
    (path,) = refused(sweep={"cases": cases})
    assert path == "sweep.cases.large"


def test_levels_that_do_not_fit_together() -> None:
    """A kernel of 7 leaves 2 x 2, a pool of 3 needs 3 x 3; each is possible with the other's first level."""
    problems = refused(
        sweep={"model.conv.kernel_size": [3, 6, 7], "model.pool.pool_size": [2, 3, 4], "seeds": 2}
    )
    together = problems["sweep.model.pool.pool_size[1]"].message
    assert "(with model.conv.kernel_size = 7, model.pool.pool_size = 3)" in together
    assert problems["sweep"].message == "3 of 9 combinations of levels cannot be built"
    assert "cases" in str(problems["sweep"].allowed)


def test_what_is_wrong_without_the_sweep_stays_where_it_is() -> None:
    pool = {"pool_size": 9}
    problems = refused(model=DIGITS["model"] | {"pool": pool}, sweep={"activation": ["relu", "tanh"]})
    assert list(problems) == ["model.pattern"]


def test_a_field_that_no_level_has() -> None:
    problems = refused(sweep={"momentum": [0.0, 0.9], "seeds": 2}, optimizer={"name": "adam"})
    assert list(problems) == ["sweep.momentum"]


def test_a_tuned_field_that_a_level_does_not_have() -> None:
    """sgd has a momentum, adam has none: refused when the spec is read, not when its first stage is queued."""
    compare = {"factor": "optimizer", "delta": 0.01, "looks": [3], "tune": {"momentum": [0.0, 0.9]}}
    problems = refused(sweep={"optimizer": ["sgd", "adam"]}, compare=compare)
    assert list(problems) == ["compare.tune.momentum"]
    message = problems["compare.tune.momentum"].message
    assert message == 'there is no field "momentum" (with optimizer = adam)'


def test_a_budget_below_the_first_look() -> None:
    """2 levels x (2 settings x 2 seeds + 3 seeds) = 14 runs."""
    tune = {"learning_rate": [0.01, 0.1], "seeds": 2}
    compare = {"factor": "activation", "delta": 0.01, "looks": [3], "tune": tune, "budget": 13}
    problems = refused(sweep={"activation": ["relu", "tanh"]}, compare=compare)
    assert problems["compare.budget"].allowed == "at least 14"


@pytest.mark.parametrize(
    ("dataset", "loss", "message"),
    [
        ("digits", "mean_absolute_percentage_error", "wants numbers, the data are for classification"),
        ("linear", "hinge", "wants classes, the data are for regression"),
    ],
)
def test_a_loss_for_other_data_says_what_it_wants(dataset: str, loss: str, message: str) -> None:
    problem = refused(dataset={"name": dataset}, model={"hidden": [2]}, loss=loss)["loss"]
    assert problem.message == f"{loss} {message}"
    assert loss not in str(problem.allowed)
