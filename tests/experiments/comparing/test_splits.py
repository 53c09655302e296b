"""Every seed draws its own split: the runs, the corrected variance, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from experiments.comparing.from_spec import design_of
from experiments.comparing.statistics import half_width, half_width_over_splits, seeds_needed
from experiments.comparing.verdicts import judge, over_splits
from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from tests.present import present

SPLITS = """
name: splits
dataset: {name: digits, validation_split: 0.1}
model: {hidden: [16]}
sweep: {activation: [tanh, relu]}
compare: {factor: activation, delta: 0.01, looks: [5], over: splits}
"""


def test_every_seed_draws_its_own_split() -> None:
    spec = ExperimentSpec.parse(SPLITS)
    design = present(design_of(spec))
    points = [
        spec.point(run.levels, run.seed)
        for arm in design.arms
        for seed in design.seeds(0)
        for run in [design.planned_run(arm, (), (), seed)]
    ]
    drawn: list[Any] = [point.spec.dataset for point in points]
    assert [data.split_seed for data in drawn] == [0, 1, 2, 3, 4] * 2
    assert {tuple(point.levels) for point in points} == {("activation", "seed")}, "no factor of its own"
    assert design.confounded == {}
    assert design.test_share == pytest.approx(359 / 1294)


def test_the_variance_is_corrected_by_hand() -> None:
    """n = 5, n_test/n_train = 1/4: √(1/5 + 1/4) in place of √(1/5)."""
    plain, corrected = half_width(0.1, 5, 0.05), half_width_over_splits(0.1, 5, 0.05, test_share=0.25)
    assert corrected / plain == pytest.approx(math.sqrt(0.45 / 0.2))


def test_more_splits_are_not_more_data() -> None:
    """With a spread of δ/2 no number of splits makes the interval δ wide, where 4 t s/√n does."""
    width = over_splits(0.25).width
    assert seeds_needed(0.5, 10, 1.0, 0.05, width) is None
    assert seeds_needed(0.5, 10, 1.0, 0.05) is not None
    assert half_width_over_splits(1.0, 10_000, 0.05, test_share=0.25) > 0.97


def test_equal_differences_decide_nothing() -> None:
    judged = judge("A", "B", [0.25] * 40, delta=0.01, level=0.05, largest=1.0, method=over_splits(0.25))
    assert (judged.verdict, judged.needed) == ("undecided", None)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("{name: digits, validation_split: 0.1}", "{name: mnist}"), "compare.over"),
        (("looks: [5]", "looks: any"), "compare"),
        (("{activation: [tanh, relu]}", "{activation: [tanh, relu], split_seed: [0, 1]}"), "compare.over"),
    ],
)
def test_where_no_split_can_be_drawn_it_is_refused(change: tuple[str, str], path: str) -> None:
    with pytest.raises(SpecError) as refused:
        ExperimentSpec.parse(SPLITS.replace(*change))
    assert refused.value.problems[0].path == path
