"""Weights of classes: lanes equal keras.fit with its class_weight, the check knows them, and what fits nothing is refused."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.datasets import Source
from experiments.errors import SpecError
from experiments.gradient_check.check import Checker
from experiments.keras_code import export_keras
from experiments.spec import ExperimentSpec
from tests.experiments.engine.conftest import ONE_GROUP

WEIGHTS = {"0": 5, "3": 0.25, "7": 0}
FEW = {"epochs": 2, "batch_size": 16}


@pytest.mark.usefixtures("float64", "without_xla")
@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_lanes_equal_fit(loss: str, specs: Any, same_as_fit: Any) -> None:
    """The last batch of an epoch has 5 samples of 16."""
    data = {"name": "digits", "train_samples": 37, "validation_split": 0.0}
    tile = specs(sweep=ONE_GROUP, dataset=data, loss=loss, training={**FEW, "class_weight": WEIGHTS})
    assert tile[0].max_width() > 1
    same_as_fit(tile, 1e-9)


@pytest.mark.usefixtures("float64", "without_xla")
def test_of_two_classes_by_one_unit(specs: Any, same_as_fit: Any) -> None:
    same_as_fit(
        specs(
            dataset={"name": "moons", "samples": 46, "validation_split": 0.0},
            model={"hidden": [4]},
            training={**FEW, "class_weight": {"1": 3}},
        ),
        1e-9,
    )


def test_a_weight_is_another_program_and_no_weight_changes_no_hash(specs: Any) -> None:
    (plain,), (weighted,), (other,) = (
        specs(training={**FEW, "class_weight": weights}) for weights in (None, WEIGHTS, {"0": 2})
    )
    assert len({run.program_key() for run in (plain, weighted, other)}) == 3
    assert len({run.fingerprint() for run in (plain, weighted, other)}) == 3
    assert "class_weight" not in plain.training.canonical
    assert type(weighted).model_validate(weighted.model_dump(mode="json")) == weighted


def test_weights_are_a_factor(specs: Any) -> None:
    document = {
        "name": "rare", "dataset": "digits", "model": {"hidden": [4]},
        "sweep": {"training.class_weight": [{"0": 1}, {"0": 10}]},
    }  # fmt: skip
    runs = [point.spec for point in ExperimentSpec.parse(document).expand()]
    assert [run.training.class_weight for run in runs] == [((0, 1.0),), ((0, 10.0),)]


def test_the_gradient_check_knows_them(specs: Any) -> None:
    (run,) = specs(
        model={"hidden": [4], "activation": "tanh"},
        training={**FEW, "class_weight": {str(c): c + 0.5 for c in range(10)}},
    )
    checker = Checker(run, run.dataset.load(Source()))
    report = checker.report()
    assert report.verdict == "certified", report.reason
    assert checker.with_fault("batch-sum").report(0, engine=False).verdict == "failed"


def test_an_exported_program_names_them(specs: Any) -> None:
    (run,) = specs(training={**FEW, "class_weight": WEIGHTS})
    assert "class_weight={0: 5.0, 3: 0.25, 7: 0.0}," in export_keras(run, "weighted")


@pytest.mark.parametrize(
    ("dataset", "weights", "message"),
    [
        ("digits", {"10": 2}, "training.class_weight: there is no class 10 (allowed: classes from 0 to 9)"),
        ("diabetes", {"0": 2}, "training.class_weight: regression has no classes"),
        ("digits", {"one": 2}, "class: weight"),
        ("digits", {"0": -1}, "at least 0"),
        ("digits", {"0": "5"}, "training.class_weight"),
        (
            "digits",
            [1, 2],
            'training.class_weight: found [1, 2] (allowed: class: weight, as {"0": 1, "1": 5})',
        ),
    ],
)
def test_what_fits_nothing_is_refused(dataset: str, weights: Any, message: str) -> None:
    document = {
        "name": "x",
        "dataset": dataset,
        "model": {"hidden": [4]},
        "training": {"class_weight": weights},
    }
    with pytest.raises(SpecError) as refused:
        ExperimentSpec.parse(document)
    assert message in str(refused.value)
