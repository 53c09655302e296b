"""The metrics of a spec are scikit-learn's on the stored predictions, in every lane; specs without them are as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from experiments.datasets import Source
from experiments.engine import models
from experiments.metrics import METRICS, Errors, Scores, measured, spread
from tests.experiments.engine.conftest import ONE_GROUP
from workers.requests.model import trained as stored_network

WITHIN = 1e-12
pytestmark = pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
CLASSES = [
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "mcc",
    "f1_per_class",
    "recall_per_class",
    "precision_per_class",
]
NUMBERS = ["mae", "rmse", "r2"]


def by_scikit_learn(truth: np.ndarray, answer: np.ndarray, classes: int) -> dict[str, float]:
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    each: dict[str, Any] = {"average": None, "zero_division": 0, "labels": range(classes)}
    values = {
        "balanced_accuracy": reference.balanced_accuracy_score(truth, answer),
        "precision": reference.precision_score(truth, answer, **macro),
        "recall": reference.recall_score(truth, answer, **macro),
        "f1": reference.f1_score(truth, answer, **macro),
        "mcc": reference.matthews_corrcoef(truth, answer),
    }
    for name in ("f1", "recall", "precision"):
        per_class = getattr(reference, f"{name}_score")(truth, answer, **each)
        values |= {f"{name}_{index}": value for index, value in enumerate(per_class)}
    return values


def test_every_metric_of_classes_on_many_matrices() -> None:
    """Classes that never occur, are never answered, or are all there is, among them."""
    random = np.random.default_rng(0)
    for trial in range(60):
        classes = int(random.integers(2, 7))
        truth = random.integers(0, random.integers(1, classes + 1), 40)
        answer = np.where(
            random.random(40) < 0.6, truth, random.integers(0, random.integers(1, classes + 1), 40)
        )
        if len({*truth, *answer}) == 1:
            continue
        matrix = np.zeros((classes, classes), np.int32)
        np.add.at(matrix, (truth, answer), 1)
        theirs = by_scikit_learn(truth, answer, classes)
        ours = measured(CLASSES, matrix)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            assert ours[name] == pytest.approx(value, abs=WITHIN), (trial, name)


def test_f1_by_hand() -> None:
    """Truth 0 0 0 1 1 2, answers 0 0 1 1 1 1: F1 of the classes 4/5, 4/6 and 0."""
    matrix = np.array([[2, 1, 0], [0, 2, 0], [0, 1, 0]], np.int32)
    assert measured(["f1", "f1_per_class"], matrix) == pytest.approx(
        {"f1": (0.8 + 2 / 3) / 3, "f1_0": 0.8, "f1_1": 2 / 3, "f1_2": 0.0}, abs=1e-15
    )


def test_errors_by_hand() -> None:
    """Targets 1 2 4 and 0 0 0, errors 1 -1 0 and 0 0 3."""
    t, e = np.array([[1.0, 0], [2, 0], [4, 0]]), np.array([[1.0, 0], [-1, 0], [0, 3]])
    errors = Errors(3, np.abs(e).sum(axis=0), (e**2).sum(axis=0), spread(t))
    assert measured(NUMBERS, errors) == pytest.approx(
        {"mae": (2 / 3 + 1) / 2, "rmse": (np.sqrt(2 / 3) + np.sqrt(3)) / 2, "r2": (1 - 2 / (14 / 3) + 0) / 2},
        abs=1e-15,
    )


def stored_outputs(trained: Any, lane: int, part: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """The run, its targets of a part and what its stored network answers."""
    spec = trained.tile[lane]
    x, y = models.arrays(spec, spec.dataset.load(Source(), spec.model.data_format))[part]
    return spec, y, np.asarray(stored_network(spec, trained.file(lane))(x, training=False))


@pytest.mark.usefixtures("without_xla")
@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_lanes_of_a_classification(loss: str, specs: Any, engine: Any) -> None:
    tile = specs(
        sweep=ONE_GROUP, dataset={"name": "digits", "train_samples": 64}, training={"epochs": 1, "batch_size": 16}, loss=loss,
        metrics=CLASSES,
    )  # fmt: skip
    trained = engine(tile)
    for lane, part in ((0, "val"), (1, "val"), (0, "test"), (1, "test")):
        _, y, outputs = stored_outputs(trained, lane, part)
        truth = np.argmax(y, axis=-1) if y.ndim > 1 else y
        for name, value in by_scikit_learn(truth, np.argmax(outputs, axis=-1), 10).items():
            ours = trained.outcomes[lane].metrics[f"{part}/{name}"]
            assert ours == pytest.approx(value, abs=WITHIN), (lane, part, name)


@pytest.mark.usefixtures("without_xla")
def test_two_classes_by_one_unit(specs: Any, engine: Any) -> None:
    (spec,) = specs(
        dataset={"name": "moons"}, model={"hidden": [6]}, training={"epochs": 3}, metrics=["f1", "mcc"]
    )
    trained = engine([spec])
    _, y, outputs = stored_outputs(trained, 0, "test")
    theirs = by_scikit_learn(y[:, 0].astype(int), (outputs[:, 0] > 0.5).astype(int), 2)
    for name in ("f1", "mcc"):
        assert trained.outcomes[0].metrics[f"test/{name}"] == pytest.approx(theirs[name], abs=WITHIN)


@pytest.mark.usefixtures("float64", "without_xla")
def test_lanes_of_a_regression(specs: Any, engine: Any) -> None:
    """The stored network computes one batch, the program chunks of many lanes: the last bits of a float32 differ, so it is
    compared in double precision."""
    tile = specs(
        sweep=ONE_GROUP,
        dataset={"name": "diabetes"},
        model={"hidden": [6]},
        training={"epochs": 2},
        metrics=NUMBERS,
    )
    trained = engine(tile)
    for lane in (0, 1):
        _, y, outputs = stored_outputs(trained, lane, "test")
        values = {
            "mae": reference.mean_absolute_error(y, outputs),
            "rmse": reference.root_mean_squared_error(y, outputs),
            "r2": reference.r2_score(y, outputs),
        }
        for name, value in values.items():
            assert trained.outcomes[lane].metrics[f"test/{name}"] == pytest.approx(value, rel=WITHIN), (
                lane,
                name,
            )


def test_auc_by_hand_and_by_scikit_learn() -> None:
    """Class 1 scores 0.8 and 0.3, class 0 scores 0.3 and 0.1: three pairs of four are in order, and one is a tie."""
    by_hand = Scores(np.array([1, 1, 0, 0]), np.array([0.8, 0.3, 0.3, 0.1]))
    assert METRICS["auc"].value(by_hand) == 3.5 / 4
    assert METRICS["auc"].value(Scores(np.zeros(3), np.arange(3.0))) == 0.5
    random = np.random.default_rng(0)
    for _ in range(30):
        truth = np.append(random.integers(0, 2, 50), [0, 1])
        score = random.integers(0, 12, 52) / 10  # with ties
        theirs = reference.roc_auc_score(truth, score)
        assert METRICS["auc"].value(Scores(truth, score)) == pytest.approx(theirs, abs=WITHIN)


@pytest.mark.usefixtures("float64", "without_xla")
@pytest.mark.parametrize("samples", [400, 10_610])
@pytest.mark.parametrize("loss", ["binary_crossentropy", "categorical_crossentropy"])
def test_auc_of_lanes(loss: str, samples: int, specs: Any, engine: Any) -> None:
    """By one unit, and by the difference of two; in one chunk and in two with a rest; beside another metric."""
    tile = specs(
        sweep=ONE_GROUP, dataset={"name": "moons", "samples": samples, "validation_split": 0.1}, model={"hidden": [5]},
        training={"epochs": 1, "batch_size": 256}, loss=loss, metrics=["auc", "f1"],
    )  # fmt: skip
    trained = engine(tile)
    for lane, part in ((0, "val"), (1, "test")):
        _, y, outputs = stored_outputs(trained, lane, part)
        truth, score = (
            (y[:, 0], outputs[:, 0]) if outputs.shape[1] == 1 else (y[:, 1], outputs[:, 1] - outputs[:, 0])
        )
        theirs = reference.roc_auc_score(truth, score)
        assert trained.outcomes[lane].metrics[f"{part}/auc"] == pytest.approx(theirs, abs=WITHIN)
        assert f"{part}/f1" in trained.outcomes[lane].metrics


def test_training_is_the_same_to_the_bit_with_metrics(specs: Any, engine: Any, tmp_path: Any) -> None:
    few = {
        "dataset": {"name": "digits", "train_samples": 64, "validation_split": 0.0},
        "training": {"epochs": 1, "batch_size": 16},
    }
    (plain,), (asked,) = specs(**few), specs(**few, metrics=["f1"])
    assert plain.program_key() != asked.program_key()
    for weight, other in zip(*(engine([spec]).weights(0, tmp_path) for spec in (plain, asked)), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_every_metric_says_what_it_takes() -> None:
    assert {name for name, row in METRICS.items() if row.of == "classes"} == set(CLASSES)
    assert {name for name, row in METRICS.items() if row.of == "numbers"} == set(NUMBERS)
    assert {name for name, row in METRICS.items() if row.of == "scores"} == {"auc"}
