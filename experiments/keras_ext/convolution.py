"""Convolutions over channels-first images that are right for every size, on every device.

Keras 3.15 on TensorFlow has two faults there. It adds a bias of shape (1, filters, 1, 1) by `ops.add`, which guesses the
axis from a size: where the width of the output equals the number of filters, the bias is added along the width, and
another network is trained. And TensorFlow's CPU kernels read channels-last images only. So these layers turn the image,
let Keras work on channels last, and turn the result back: the same sums in the same order.
tests/experiments/keras_ext/test_convolution.py tells when Keras has mended the first.

On JAX a convolution is a product of the image's patches with the filters (im2col; Chellapilla et al. 2006). On a CPU XLA's own
is three to five times slower. On a GPU it is 3 % faster, but mapped over lanes it becomes a grouped convolution, which left
keras.fit by more than rounding explains, where the products did not (bench/README.md). They add up in another order than
XLA's, so the last bits differ.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def by_patches() -> bool:
    """Whether this process computes convolutions as products of patches: on JAX."""
    return str(keras.backend.backend()) == "jax"


def convolved(
    images: Any, kernel: Any, strides: Sequence[int], padding: str, dilation: Sequence[int], groups: int = 1
) -> Any:
    """A convolution as one product of the image's patches with the filters.

    Args:
        images: (batch, height, width, channels).
        kernel: (rows, columns, channels / groups, filters).
        strides, dilation: of height and width.
        padding: `valid` or `same`, as Keras has them.

    Returns:
        (batch, height', width', filters).
    """
    rows, columns, channels, filters = kernel.shape
    spans = [(n - 1) * d + 1 for n, d in zip((rows, columns), dilation, strict=True)]
    if padding == "same":
        margins = []
        for length, span, stride in zip(images.shape[1:3], spans, strides, strict=True):
            missing = max(0, (-(-length // stride) - 1) * stride + span - length)
            margins.append((missing // 2, missing - missing // 2))
        images = ops.pad(images, [(0, 0), *margins, (0, 0)])
    height, width = (
        (length - span) // stride + 1
        for length, span, stride in zip(images.shape[1:3], spans, strides, strict=True)
    )
    shifted = [
        images[
            :,
            row * dilation[0] : row * dilation[0] + (height - 1) * strides[0] + 1 : strides[0],
            column * dilation[1] : column * dilation[1] + (width - 1) * strides[1] + 1 : strides[1],
        ]
        for row in range(rows)
        for column in range(columns)
    ]
    outputs = []
    for group in range(groups):
        own = [part[..., group * channels : (group + 1) * channels] for part in shifted]
        each = filters // groups
        matrix = ops.reshape(kernel[..., group * each : (group + 1) * each], (-1, each))
        outputs.append(ops.matmul(ops.concatenate(own, axis=-1), matrix))
    return outputs[0] if groups == 1 else ops.concatenate(outputs, axis=-1)


def to_channels_last(images: Any) -> Any:
    """(batch, channels, *image) -> (batch, *image, channels)."""
    return ops.transpose(images, (0, *range(2, len(images.shape)), 1))


def to_channels_first(images: Any) -> Any:
    """(batch, *image, channels) -> (batch, channels, *image)."""
    last = len(images.shape) - 1
    return ops.transpose(images, (0, last, *range(1, last)))


class ChannelsLast:
    """A convolution of Keras that turns channels-first images, works on channels last and turns the result. Abstract."""

    data_format: str
    use_bias: bool
    bias: Any
    activation: Any

    def call(self, inputs: Any) -> Any:
        """The convolution, plus the bias of each filter, through the activation.

        Args:
            inputs: (batch, channels, height, width) or (batch, height, width, channels), by the data format.
        """
        first = self.data_format == "channels_first"
        if not (first or self.replaced()):
            return super().call(inputs)  # type: ignore[misc]
        outputs = self.sums(to_channels_last(inputs) if first else inputs)
        if self.use_bias:  # (filters,) along the last axis, which no size makes doubtful
            outputs = ops.add(outputs, self.bias)
        outputs = to_channels_first(outputs) if first else outputs
        return outputs if self.activation is None else self.activation(outputs)

    def replaced(self) -> bool:
        """Whether `sums` replaces Keras' own for channels-last images too."""
        return False

    @abstractmethod
    def sums(self, images: Any) -> Any:
        """The weighted sums without a bias. images: (batch, height, width, channels)"""


@keras.saving.register_keras_serializable(package="gradus")
class Conv2D(ChannelsLast, keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D` for images of either data format."""

    def replaced(self) -> bool:
        return by_patches()

    def sums(self, images: Any) -> Any:
        if by_patches():
            return convolved(images, self.kernel, self.strides, self.padding, self.dilation_rate, self.groups)
        return ops.conv(
            images, self.kernel, list(self.strides), self.padding, "channels_last", self.dilation_rate
        )


@keras.saving.register_keras_serializable(package="gradus")
class DepthwiseConv2D(ChannelsLast, keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """`keras.layers.DepthwiseConv2D` for images of either data format."""

    def sums(self, images: Any) -> Any:
        return ops.depthwise_conv(
            images, self.kernel, self.strides, self.padding, "channels_last", self.dilation_rate
        )


@keras.saving.register_keras_serializable(package="gradus")
class SeparableConv2D(ChannelsLast, keras.layers.SeparableConv2D):  # type: ignore[misc]
    """`keras.layers.SeparableConv2D` for images of either data format."""

    def sums(self, images: Any) -> Any:
        return ops.separable_conv(
            images,
            self.depthwise_kernel,
            self.pointwise_kernel,
            self.strides,
            self.padding,
            "channels_last",
            self.dilation_rate,
        )


@keras.saving.register_keras_serializable(package="gradus")
class Conv2DTranspose(ChannelsLast, keras.layers.Conv2DTranspose):  # type: ignore[misc]
    """`keras.layers.Conv2DTranspose` for images of either data format."""

    def sums(self, images: Any) -> Any:
        return ops.conv_transpose(
            images,
            self.kernel,
            list(self.strides),
            self.padding,
            self.output_padding,
            "channels_last",
            self.dilation_rate,
        )
