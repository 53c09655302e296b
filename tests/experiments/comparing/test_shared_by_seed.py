"""What makes seeds pairs: runs of one seed share their data order, and their initial weights where shapes allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.engine.models import build
from experiments.randomness import data_order
from experiments.spec import ExperimentSpec


def weights(seed: int = 3, **model: Any) -> Any:
    spec = {"name": "s", "dataset": {"name": "digits"}, "model": {"hidden": [8, 8]} | model, "seed": seed}
    point = ExperimentSpec.parse(spec).expand()[0]
    return [np.asarray(weight) for weight in build(point.spec).get_weights()]


@pytest.mark.parametrize("other", ["sigmoid", "tanh", "elu"])
def test_the_activation_does_not_change_the_initial_weights(other: Any) -> None:
    for a, b in zip(weights(activation="relu"), weights(activation=other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_layers_of_equal_shape_begin_alike_though_another_is_wider() -> None:
    narrow, wide = weights(hidden=[8, 8]), weights(hidden=[8, 9])
    np.testing.assert_array_equal(narrow[0], wide[0])
    assert narrow[2].shape != wide[2].shape


def test_another_seed_begins_elsewhere() -> None:
    assert not np.array_equal(weights(seed=3)[0], weights(seed=4)[0])


def test_the_data_order_is_the_seeds_and_the_epochs_alone() -> None:
    assert sorted(data_order(3, 0, 50)) == list(range(50))
    np.testing.assert_array_equal(data_order(3, 0, 50), data_order(3, 0, 50))
    for other in (data_order(4, 0, 50), data_order(3, 1, 50)):
        assert not np.array_equal(data_order(3, 0, 50), other)
