"""Every seed draws its own split: the runs, the corrected variance, and what is refused."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from experiments.comparing.from_spec import design_of
from experiments.comparing.statistics import half_width, half_width_over_splits, seeds_needed
from experiments.comparing.verdicts import judge, over_splits
from experiments.datasets import DATASETS, Source
from experiments.datasets.base import Resplit
from experiments.datasets.mnist import Images, Parts
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


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if issubclass(dataset, Resplit)])
def test_every_data_set_with_a_usual_split_can_be_asked_over_splits(name: str) -> None:
    spec = ExperimentSpec.parse(
        SPLITS.replace("{name: digits, validation_split: 0.1}", f"{{name: {name}}}").replace(
            "delta: 0.01", "delta: 0.01, metric: test/loss"
        )
    )
    design = present(design_of(spec))
    first = spec.point(design.planned_run(design.arms[0], (), (), 7).levels, 7)
    assert first.spec.dataset.model_dump()["split_seed"] == 7
    assert present(design.test_share) > 0.1


@pytest.mark.parametrize("name", ["linear", "sine", "moons", "blobs", "stripes"])
def test_a_split_seed_moves_samples_between_the_parts_and_changes_none(name: str) -> None:
    def parts(**settings: object) -> list[Any]:
        dataset = DATASETS[name].model_validate({"name": name, "samples": 40, **settings})
        data = dataset.load(Source())
        assert len(data.x_train) == dataset.shape().n_train
        return [data.x_train, data.x_validation, data.x_test]

    def rows(arrays: list[Any]) -> list[list[float]]:
        return sorted(row.ravel().tolist() for array in arrays for row in array)

    usual, first, second = parts(), parts(split_seed=0), parts(split_seed=1)
    assert [len(part) for part in usual] == [len(part) for part in first]
    assert rows(usual) == rows(first) == rows(second), "the same samples"
    assert len({str(rows([part[2]])) for part in (usual, first, second)}) == 3, "other test parts"
    assert rows(first) == rows(parts(split_seed=0))


class Pixels(Images):
    """Images of one pixel that say their class."""

    image: ClassVar[tuple[int, int, int]] = (1, 1, 1)
    counts: ClassVar[tuple[int, int]] = (10, 4)
    name: Literal["pixels"] = "pixels"

    def stored(self, source: Source) -> tuple[Parts, Parts]:
        y = np.arange(14, dtype=np.uint8)
        x = y.reshape(-1, 1, 1, 1)
        return (x[:10], x[10:]), (y[:10], y[10:])


def test_images_and_labels_are_drawn_together() -> None:
    usual, drawn = (Pixels(split_seed=seed, validation_split=0.2).load(Source()) for seed in (None, 3))
    assert usual.y_test.tolist() == [10, 11, 12, 13]
    assert sorted([*drawn.y_train, *drawn.y_validation, *drawn.y_test]) == list(range(14))
    assert drawn.y_test.tolist() != usual.y_test.tolist()
    for images, labels in (
        (drawn.x_train, drawn.y_train),
        (drawn.x_validation, drawn.y_validation),
        (drawn.x_test, drawn.y_test),
    ):
        assert np.round(images.ravel() * 255).tolist() == labels.tolist()


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
        (("{name: digits, validation_split: 0.1}", "{name: xor}"), "compare.over"),
        (("{name: digits, validation_split: 0.1}", "{name: moons, split_seed: null}"), "compare.over"),
        (
            (
                "{name: digits, validation_split: 0.1}",
                "{name: inline, kind: binary, x: [1, 2, 3, 4], y: [0, 1, 0, 1], x_test: [5, 6], y_test: [0, 1]}",
            ),
            "compare.over",
        ),
        (("looks: [5]", "looks: any"), "compare"),
        (("{activation: [tanh, relu]}", "{activation: [tanh, relu], split_seed: [0, 1]}"), "compare.over"),
    ],
)
def test_where_no_split_can_be_drawn_it_is_refused(change: tuple[str, str], path: str) -> None:
    with pytest.raises(SpecError) as refused:
        ExperimentSpec.parse(SPLITS.replace(*change))
    assert refused.value.problems[0].path == path
