"""Two engines and the formulas by hand: the same gradient, and the same weights after an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.gradient_check.across_backends import (
    BackendFailed,
    BackendsReport,
    _distance,
    compare_backends,
)
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec

CNN = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3}, {"type": "max_pool2d"}, {"type": "batch_normalization"},
    {"type": "flatten"}, {"type": "dropout", "rate": 0.2}, {"type": "dense", "units": 8, "activation": "gelu"},
    {"type": "dense", "units": 8, "activation": "leaky_relu"}, {"type": "dense", "units": 10},
]  # fmt: skip


def run_of(**fields: Any) -> RunSpec:
    document = {
        "name": "x",
        "dataset": {"name": "digits", "train_samples": 325},
        "optimizer": "adam",
        **fields,
    }
    return ExperimentSpec.parse(document).expand()[0].spec


def test_a_network_of_every_kind_is_equal_on_both() -> None:
    """Convolution, pooling, batch statistics, noise, Adam's per-lane numbers, the two activations of which Keras rounds a
    constant on TensorFlow: 10 updates and the short last batch."""
    pytest.importorskip("jax", reason="the extra train-jax is not installed")
    report = compare_backends(run_of(model={"layers": CNN, "activation": "relu"}), ("tensorflow", "jax"))
    assert report.equal
    assert report.samples == 325
    assert report.gradient["jax"] < 1e-12
    assert 0 < report.weights["jax"] < 1e-9


@pytest.mark.slow
def test_dense_layers_are_also_equal_to_the_formulas_by_hand() -> None:
    pytest.importorskip("jax", reason="the extra train-jax is not installed")
    report = compare_backends(run_of(model={"hidden": [8], "activation": "tanh"}), ("jax", "tensorflow"))
    assert report.equal
    assert report.gradient.keys() == {"tensorflow", "by hand"}


def test_a_backend_that_is_not_there_has_a_name() -> None:
    with pytest.raises(BackendFailed, match="openvino gave no result"):
        compare_backends(run_of(model={"hidden": [2]}), ("openvino",))


def test_distances() -> None:
    a, b = np.asarray([1.0, 2.0]), np.asarray([1.0, 4.0])
    assert _distance([a], [b], share=False) == 2
    assert _distance([a], [b], share=True) == 0.5
    nan = np.asarray([1.0, np.nan])
    assert _distance([nan], [nan], share=False) == 0
    assert _distance([nan], [a], share=False) == float("inf")
    apart = BackendsReport(backends=("a", "b"), samples=1, gradient={"b": 1e-9}, weights={"b": 0.0})
    assert not apart.equal
