"""Convolution, padding and pooling worked by hand: the layers of the table give the same numbers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from experiments.keras_ext.pooling import StochasticPool2D
from experiments.layers import LAYERS

IMAGE = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
KERNEL = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
SQUARE = [[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]
FORMATS = ["channels_last", "channels_first"]


def applied(layer: dict[str, Any], image: Any, data_format: Any, kernel: Any = None, bias: float = 0) -> Any:
    """What the layer makes of one image of one channel, as a list of rows."""
    entry = LAYERS[layer["type"]].model_validate(layer)
    theirs: dict[str, Any] = {"StochasticPool2D": StochasticPool2D}
    built = (theirs.get(entry.keras_name) or getattr(keras.layers, entry.keras_name))(
        **entry.arguments(data_format)
    )
    x = np.asarray(image, np.float32)[None, ..., None]
    x = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
    built.build(x.shape)
    if kernel is not None:
        built.set_weights([np.asarray(kernel, np.float32)[..., None, None], np.array([bias], np.float32)])
    y = keras.ops.convert_to_numpy(built(x))[0]
    return (y[..., 0] if data_format == "channels_last" else y[0]).tolist()


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({}, [[4, 3, 4], [2, 4, 3], [2, 3, 4]]),
        ({"strides": 2}, [[4, 4], [2, 4]]),
        ({"padding": "same", "strides": 2}, [[2, 3, 1], [1, 4, 3], [0, 2, 1]]),
    ],
)
def test_a_5x5_image_by_a_3x3_kernel(fields: dict[str, Any], result: Any, data_format: str) -> None:
    layer = {"type": "conv2d", "filters": 1, "kernel_size": 3, "activation": "linear", **fields}
    assert applied(layer, IMAGE, data_format, KERNEL) == result
    assert applied(layer, IMAGE, data_format, KERNEL, bias=-3) == [[v - 3 for v in row] for row in result]


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"type": "max_pool2d"}, [[6, 8], [3, 4]]),
        ({"type": "max_pool2d", "strides": 1}, [[6, 7, 8], [6, 7, 8], [3, 3, 4]]),
        ({"type": "average_pool2d"}, [[3.25, 5.25], [2, 2]]),
        ({"type": "stochastic_pool2d"}, [[63 / 13, 133 / 21], [18 / 8, 26 / 8]]),
    ],
)
def test_2x2_pools(fields: dict[str, Any], result: Any, data_format: str) -> None:
    """Stochastic pooling in testing: Σ a²/Σ a, e.g. (1 + 1 + 25 + 36) / (1 + 1 + 5 + 6) = 63 / 13."""
    np.testing.assert_allclose(applied(fields, SQUARE, data_format), result, rtol=1e-6)


@pytest.mark.parametrize("data_format", FORMATS)
def test_zero_padding(data_format: str) -> None:
    padded = applied({"type": "zero_padding2d", "padding": [[1, 0], [0, 2]]}, [[1, 2], [3, 4]], data_format)
    assert padded == [[0, 0, 0, 0], [1, 2, 0, 0], [3, 4, 0, 0]]


def test_flatten_gives_one_order_for_both_formats() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
    entry = LAYERS["flatten"].model_validate({"type": "flatten"})
    last = keras.layers.Flatten(**entry.arguments("channels_last"))(image)
    first = keras.layers.Flatten(**entry.arguments("channels_first"))(np.moveaxis(image, -1, 1))
    np.testing.assert_array_equal(last, first)
