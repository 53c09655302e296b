"""Convolutions over channels-first images that are right for every size, on every device.

Keras 3.15 on TensorFlow has two faults there. It adds a bias of shape (1, filters, 1, 1) by `ops.add`, which guesses the
axis from a size: where the width of the output equals the number of filters, the bias is added along the width, and
another network is trained. And TensorFlow's CPU kernels read channels-last images only. So these layers turn the image,
let Keras work on channels last, and turn the result back: the same sums in the same order.
tests/experiments/keras_ext/test_convolution.py tells when Keras has mended the first.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def to_channels_last(images: Any) -> Any:
    """(batch, channels, *image) -> (batch, *image, channels)."""
    return ops.transpose(images, (0, *range(2, len(images.shape)), 1))


def to_channels_first(images: Any) -> Any:
    """(batch, *image, channels) -> (batch, channels, *image)."""
    last = len(images.shape) - 1
    return ops.transpose(images, (0, last, *range(1, last)))


@keras.saving.register_keras_serializable(package="gradus")
class Conv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D` for images of either data format."""

    def call(self, inputs: Any) -> Any:
        """The convolution, plus the bias of each filter, through the activation.

        Args:
            inputs: (batch, channels, height, width) or (batch, height, width, channels), by the data format.
        """
        if self.data_format == "channels_last":
            return super().call(inputs)
        outputs = ops.conv(
            to_channels_last(inputs), self.kernel, list(self.strides), self.padding, "channels_last",
            self.dilation_rate,
        )  # fmt: skip
        if self.use_bias:
            outputs = ops.add(
                outputs, self.bias
            )  # (filters,) along the last axis, which no size makes doubtful
        outputs = to_channels_first(outputs)
        return outputs if self.activation is None else self.activation(outputs)
