"""A bias goes to the filters, whatever the sizes; and a canary for the fault of Keras that makes ours necessary."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from experiments.datasets import Source
from experiments.engine.training import train
from experiments.gradient_check.check import check
from experiments.keras_ext.convolution import Conv2D, convolved
from experiments.recording import MemoryRecorder
from experiments.spec import ExperimentSpec

PER_FILTER = np.array([[[[10, 10]] * 3, [[20, 20]] * 3]])
PER_COLUMN = np.array([[[[10, 20]] * 3, [[10, 20]] * 3]])


def test_the_bias_goes_to_the_filters() -> None:
    """A 1×1 convolution of zeros with 2 filters over a 3×2 image: nothing but the bias (10, 20)."""
    layer = Conv2D(2, 1, data_format="channels_first")
    layer.build((1, 1, 3, 2))
    layer.set_weights([np.zeros((1, 1, 1, 2)), np.array([10.0, 20.0])])
    np.testing.assert_array_equal(np.asarray(layer(np.zeros((1, 1, 3, 2), "float32"))), PER_FILTER)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the fault is in Keras on TensorFlow")
def test_canary_keras_still_adds_it_along_the_width() -> None:
    """The addition of keras.layers.Conv2D: outputs (1, 2, 3, 2) plus a bias of shape (1, 2, 1, 1)."""
    bias = keras.ops.reshape(keras.ops.convert_to_tensor([10.0, 20.0]), (1, 2, 1, 1))
    result = np.asarray(keras.ops.add(keras.ops.zeros((1, 2, 3, 2)), bias))
    assert not np.array_equal(result, PER_FILTER), (
        f"Keras {keras.__version__} adds the bias of a channels-first convolution along the filters: "
        "experiments/keras_ext/convolution.py and its entry in engine/models.py are no longer needed. Delete them."
    )
    np.testing.assert_array_equal(result, PER_COLUMN)


@pytest.mark.parametrize("pool", ["max_pool2d", pytest.param("average_pool2d", marks=pytest.mark.slow)])
def test_channels_first_bias(pool: str) -> None:
    """8 filters over an output 8 wide: per seed both layouts learn the same, and the certificate is given."""
    document = {
        "name": "channels-first-bias", "dataset": {"name": "digits", "train_samples": 300},
        "model": {
            "pattern": "INPUT-[CONV-POOL]*1-FC*2-OUTPUT", "conv": {"filters": 8, "kernel_size": 3, "padding": "same"},
            "pool": {"pool_size": 2, "type": pool}, "fc": {"units": 8},
        },
        "optimizer": {"name": "adam", "learning_rate": 0.003}, "training": {"epochs": 2, "batch_size": 64},
        "sweep": {"model.data_format": ["channels_first", "channels_last"]},
    }  # fmt: skip
    losses = []
    for point in ExperimentSpec.parse(document).expand():
        recorder = MemoryRecorder()
        train([point.spec], recorder, lambda lane: None, source=Source())
        losses.append(list(recorder.history[0]["train/loss"].values()))
        assert check(point.spec).verdict == "certified"
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "strides", "padding", "dilation", "groups"),
    [
        ((3, 2), (1, 1), "valid", (1, 1), 1),
        ((5, 5), (1, 1), "same", (1, 1), 1),
        ((2, 3), (2, 3), "same", (1, 1), 2),
        ((3, 3), (2, 1), "valid", (1, 1), 1),
        ((2, 2), (1, 1), "same", (2, 3), 2),
    ],
)
def test_a_product_of_patches_is_the_convolution(
    size: tuple[int, int],
    strides: tuple[int, int],
    padding: str,
    dilation: tuple[int, int],
    groups: int,
) -> None:
    random = np.random.default_rng(0)
    images = random.standard_normal((2, 9, 8, 4))
    kernel = random.standard_normal((*size, 4 // groups, 6))
    right = keras.ops.conv(images, kernel, list(strides), padding, "channels_last", list(dilation))
    ours = convolved(images, kernel, strides, padding, dilation, groups)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(right), atol=1e-12)
