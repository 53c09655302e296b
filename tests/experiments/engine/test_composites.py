"""Networks with layers beside each other: lanes equal keras.fit, and the stored network computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.datasets import Source
from experiments.engine import models
from workers.requests.model import trained as stored_network

FEW = {
    "dataset": {"name": "digits", "train_samples": 32, "validation_split": 0.0},
    "training": {"epochs": 2, "batch_size": 16},
}
"""Whole batches only: batch statistics of a short last one are another graph, compared in test_equal_to_fit.py."""
BESIDE = {
    "activation": "tanh",
    "layers": [
        {"type": "flatten"},
        {"type": "residual", "shortcut": "projection", "layers": [
            {"type": "dense", "units": 6},
            {"type": "batch_normalization"},
            {"type": "activation"},
            {"type": "dense", "units": 8},
        ]},
        {"type": "activation"},
        {"type": "branches", "branches": [[{"type": "residual", "layers": [{"type": "dense", "units": 8}]}], []]},
        {"type": "dense", "units": 10},
    ],
}  # fmt: skip
IMAGES = {
    "layers": [
        {"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": "same"},
        {
            "type": "residual",
            "layers": [{"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "strides": 2}],
        },
        {"type": "branches", "join": "average", "branches": [[{"type": "batch_normalization"}], []]},
        {"type": "dense", "units": 10},
    ],
}


@pytest.mark.usefixtures("float64")
def test_lanes_of_a_network_with_shortcuts_equal_fit(specs: Any, same_as_fit: Any, without_xla: None) -> None:
    same_as_fit(specs(seeds=2, model=BESIDE, **FEW), 1e-9)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_padded_shortcuts_of_images_store_the_network_that_was_trained(
    specs: Any, engine: Any, data_format: str, without_xla: None
) -> None:
    (run,) = specs(model={**IMAGES, "data_format": data_format}, **FEW)
    trained = engine([run])
    data = run.dataset.load(Source(), data_format)
    network = stored_network(run, trained.recorder.artifacts[0]["weights/model.weights.h5"])
    x, y = models.arrays(run, data)["test"]
    answers = np.asarray(network(x, training=False)).argmax(axis=-1)
    assert (answers == np.asarray(y).argmax(axis=-1)).mean() == pytest.approx(
        trained.recorder.latest(0)["test/accuracy"], abs=1e-12
    )
