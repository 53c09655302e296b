"""Inputs that went wrong once, each the smallest of its kind, with the right answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.datasets import Source
from experiments.errors import SpecError
from experiments.spec import ExperimentSpec

BASE: dict[str, Any] = {"name": "found-wrong", "dataset": {"name": "digits"}, "model": {"hidden": [16]}}


def own(kind: str, x: list[Any], y: list[Any], **fields: Any) -> dict[str, Any]:
    return {"dataset": {"name": "inline", "kind": kind, "x": x, "y": y, **fields}}


def parsed(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.parse(BASE | changes)


def warned(words: str, **changes: Any) -> str:
    """The one warning that has these words."""
    (warning,) = (text for text in parsed(**changes).warnings() if words in text)
    return warning


def test_inputs_to_255() -> None:
    x = [[250, 10], [240, 30], [255, 0], [10, 245], [0, 230], [22, 255]]
    assert "from 0 to 255" in warned("not scaled", **own("binary", x, [0, 0, 0, 1, 1, 1]))


@pytest.mark.parametrize("hidden", [True, False])
def test_labels_from_one(hidden: bool) -> None:
    """Classes 1, 2, 3: a fourth output in silence, or a refusal that does not say why."""
    data = own("classification", [[float(i)] for i in range(9)], [1, 1, 1, 2, 2, 2, 3, 3, 3])
    if hidden:
        assert "class 0 has no sample" in warned("subtract 1", **data, model={"hidden": [8]})
        return
    with pytest.raises(SpecError, match="4 classes, numbered from 0; class 0 never occurs"):
        parsed(**data, model={"layers": [{"type": "dense", "units": 3}]})


def test_mape_zero() -> None:
    data = own("regression", [-1.0, -0.5, 0.0, 0.5, 1.0], [-2.0, -1.0, 0.0, 1.0, 2.0])
    assert "dataset.y[2] is 0" in warned("divides by the target", **data, loss="mape", model={"hidden": []})


def test_no_test_part() -> None:
    """The rows that are tested are none of those that are trained on, and the answer says so."""
    data = own("binary", [[0], [1], [2], [3], [5], [6]], [0, 1, 0, 1, 1, 0])
    spec = parsed(**data)
    assert "2 of the rows are held out" in warned("no test data are given", **data)
    arrays = spec.expand()[0].spec.dataset.load(Source())
    assert not set(arrays.x_train.ravel()) & set(arrays.x_test.ravel())
    assert (len(arrays.x_train), len(arrays.x_test)) == (4, 2)


def test_sorted_rows() -> None:
    """Every class is trained on, validated and tested, although the rows come class by class."""
    data = own("classification", [[i] for i in range(18)], [0] * 6 + [1] * 6 + [2] * 6, validation_split=0.33)
    assert "sorted by class" in warned("sorted by class", **data)
    arrays = parsed(**data).expand()[0].spec.dataset.load(Source())
    for y, count in ((arrays.y_train, 3), (arrays.y_validation, 2), (arrays.y_test, 1)):
        assert np.bincount(y).tolist() == [count] * 3


def test_label_cut_before_compared() -> None:
    levels = [[4] * 101, [4] * 100 + [3]]
    points = parsed(dataset={"name": "xor"}, sweep={"hidden": levels, "seeds": 2}).expand()
    assert len(points) == 4
    assert len({point.levels["hidden"] for point in points}) == 2


def test_dry_run_disagrees() -> None:
    compare = {"factor": "optimizer", "delta": 0.01, "looks": [3], "tune": {"momentum": [0.0, 0.9]}}
    with pytest.raises(SpecError) as caught:
        parsed(sweep={"optimizer": ["sgd", "adam"]}, compare=compare)
    assert [problem.path for problem in caught.value.problems] == ["compare.tune.momentum"]


def test_a_schedule_meant_in_epochs() -> None:
    rate = {"name": "exponential_decay", "initial_learning_rate": 0.05, "decay_steps": 10, "decay_rate": 0.5}
    optimizer = {"name": "sgd", "learning_rate": rate}
    assert "An epoch has 41 of them" in warned("decay_steps: 10", optimizer=optimizer, training={"epochs": 9})


def test_a_sigmoid_for_targets_to_2_5() -> None:
    line = {"name": "linear", "slope": 2.0, "intercept": 0.5}
    layers = [{"type": "dense", "units": 1, "activation": "sigmoid"}]
    assert "to 2.5" in warned("never reached", dataset=line, model={"layers": layers})


def test_one_impossible_point() -> None:
    model = {"pattern": "INPUT-CONV-FC-OUTPUT", "conv": {"filters": 2, "padding": "valid"}}
    with pytest.raises(SpecError) as caught:
        parsed(model=model, sweep={"model.conv.kernel_size": [3, 9], "seeds": 2})
    (problem,) = caught.value.problems
    assert problem.path == "sweep.model.conv.kernel_size[1]"
    assert "(with model.conv.kernel_size = 9)" in problem.message
    assert "⌊(8 - 9 + 2·0)/1⌋ + 1 = 0" in problem.message


def test_tags_of_the_service() -> None:
    with pytest.raises(SpecError, match="service's own"):
        parsed(tags={"gradus.certificate": "certified"})
