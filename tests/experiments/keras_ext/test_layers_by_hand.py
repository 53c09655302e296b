"""Every layer with a bias, a scale or an axis equals its formula in NumPy, forward and gradient, at sizes that are alike.

Keras guesses the axis of an addition from sizes, so the sizes here coincide: filters with width, height and channels,
the batch with the features, units with steps. The gradient by hand is the complex step through the formula,
∂f/∂w = Im f(w + i h)/h, which has no cancellation (Squire & Trapp 1998, SIAM Review 40).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from experiments.engine import backend, models
from experiments.layers import LAYERS, Layer, Weighted
from experiments.layers.normalization import channel_axis

Array = npt.NDArray[Any]
Formula = Callable[[Array, list[Array]], Array]
"""Inputs and the layer's trainable tensors -> outputs."""
TINY = 1e-150


def sigmoid(z: Array) -> Array:
    value: Array = 1 / (1 + np.exp(-z))
    return value


def dense(x: Array, w: list[Array]) -> Array:
    value: Array = np.tanh(x @ w[0] + w[1])
    return value


Image = Callable[[Array, list[Array]], Array]
"""Channels-last images and kernels -> weighted sums without the bias, valid padding, stride 1."""


def windows(x: Array, kernel: Array) -> Iterator[tuple[Array, Array]]:
    """At each place of the window the part of the images that it meets, and the kernel there."""
    kh, kw = kernel.shape[:2]
    rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    for i, j in np.ndindex(kh, kw):
        yield x[:, i : i + rows, j : j + columns], kernel[i, j]


def conv2d(x: Array, w: list[Array]) -> Array:
    """out[f] = Σ over channels and the window of x · k."""
    return np.asarray(sum(part @ kernel for part, kernel in windows(x, w[0])))


def depthwise(x: Array, w: list[Array]) -> Array:
    """out[c · m + k] = Σ over the window of x[c] · kernel[c, k], of m for each channel."""
    z = sum(part[..., None] * kernel for part, kernel in windows(x, w[0]))
    return np.asarray(z).reshape(*np.shape(z)[:3], -1)


def separable(x: Array, w: list[Array]) -> Array:
    return np.asarray(depthwise(x, w) @ w[1][0, 0])


def transposed(x: Array, w: list[Array]) -> Array:
    """out[y + i, x + j, f] gathers x[y, x, c] · kernel[i, j, f, c]."""
    kh, kw, filters, _ = w[0].shape
    n, height, width, _ = x.shape
    z = np.zeros((n, height + kh - 1, width + kw - 1, filters), np.result_type(x, w[0]))
    for i, j in np.ndindex(kh, kw):
        z[:, i : i + height, j : j + width] += x @ w[0][i, j].T
    return z


IMAGES: dict[str, Image] = {
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise,
    "separable_conv2d": separable,
    "conv2d_transpose": transposed,
}


def over_images(sums: Image, x: Array, w: list[Array], data_format: str) -> Array:
    """The sums plus b[f], through tanh; in either data format."""
    first = data_format == "channels_first"
    z = sums(np.moveaxis(x, 1, -1) if first else x, w[:-1]) + w[-1]
    value: Array = np.tanh(np.moveaxis(z, -1, 1) if first else z)
    return value


def conv1d(x: Array, w: list[Array]) -> Array:
    steps = x.shape[1] - len(w[0]) + 1
    value: Array = np.tanh(sum(x[:, i : i + steps] @ kernel for i, kernel in enumerate(w[0])) + w[1])
    return value


def prelu(x: Array, w: list[Array]) -> Array:
    return np.where(x.real > 0, x, w[0] * x)


def simple_rnn(x: Array, w: list[Array]) -> Array:
    h = np.zeros((len(x), w[1].shape[0]))
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w[0] + h @ w[1] + w[2])
    return h


def lstm(x: Array, w: list[Array]) -> Array:
    h = c = np.zeros((len(x), w[1].shape[0]))
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w[0] + h @ w[1] + w[2], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def gru(x: Array, w: list[Array]) -> Array:
    h = np.zeros((len(x), w[1].shape[0]))
    for t in range(x.shape[1]):
        xz, xr, xh = np.split(x[:, t] @ w[0] + w[2][0], 3, axis=1)
        hz, hr, hh = np.split(h @ w[1] + w[2][1], 3, axis=1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        h = z * h + (1 - z) * np.tanh(xh + r * hh)
    return h


def multi_head_attention(x: Array, w: list[Array]) -> Array:
    """Each head: the shares softmax(q · k / √dim) over the steps that are attended to, and the mean of the values by them."""
    query, key, value = (
        np.einsum("btf,fhd->bhtd", x, kernel) + bias[None, :, None]
        for kernel, bias in zip(w[:6:2], w[1:6:2], strict=True)
    )
    powers = np.exp(query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1]))
    heads = powers / np.sum(powers, axis=-1, keepdims=True) @ value
    return np.asarray(np.einsum("bhtd,hdf->btf", heads, w[6]) + w[7])


def attention(x: Array, w: list[Array]) -> Array:
    powers = np.exp(w[0] * (x @ np.swapaxes(x, -1, -2)))
    value: Array = powers / np.sum(powers, axis=-1, keepdims=True) @ x
    return value


def normalised(x: Array, w: list[Array], mean_over: tuple[int, ...], feature: int, epsilon: float) -> Array:
    """gamma (x − mean) / sqrt(var + epsilon) + beta; gamma and beta lie along the axis `feature`."""
    shape = [1] * x.ndim
    shape[feature] = x.shape[feature]
    centred = x - np.mean(x, axis=mean_over, keepdims=True)
    variance = np.mean(centred**2, axis=mean_over, keepdims=True)
    value: Array = centred / np.sqrt(variance + epsilon) * w[0].reshape(shape) + w[1].reshape(shape)
    return value


def formula(entry: Layer, rank: int, data_format: str) -> Formula:
    if entry.type in IMAGES:
        return lambda x, w: over_images(IMAGES[entry.type], x, w, data_format)
    if entry.type in ("batch_normalization", "layer_normalization"):
        axis = getattr(entry, "axis")  # noqa: B009
        feature = channel_axis((0,) * (rank - 1), data_format) if axis is None else axis  # type: ignore[arg-type]
        feature %= rank
        rest = tuple(other for other in range(rank) if other != feature)
        over = rest if entry.type == "batch_normalization" else (feature,)
        return lambda x, w: normalised(x, w, over, feature, getattr(entry, "epsilon"))  # noqa: B009
    rows = {
        "dense": dense,
        "conv1d": conv1d,
        "prelu": prelu,
        "simple_rnn": simple_rnn,
        "lstm": lstm,
        "gru": gru,
        "attention": attention,
        "multi_head_attention": multi_head_attention,
    }
    return rows[entry.type]


def cases() -> Iterator[Any]:
    """(layer, shape of a batch, data format), every pair of sizes equal or not."""
    for size, other in ((2, 2), (2, 3), (3, 2), (3, 3)):
        yield {"type": "dense", "units": size}, (other, size), "channels_last"
        yield {"type": "conv1d", "filters": size, "kernel_size": 2}, (other, size + 1, other), "channels_last"
        yield {"type": "prelu", "shared_axes": [1]}, (other, size, other), "channels_last"
        yield {"type": "prelu"}, (size, other, size, size), "channels_first"
        yield {"type": "attention", "use_scale": True}, (other, size, other), "channels_last"
        heads = {"num_heads": size, "key_dim": other, "value_dim": size}
        yield {"type": "multi_head_attention", **heads}, (size, other, size), "channels_last"
        for kind in ("simple_rnn", "lstm", "gru"):
            yield {"type": kind, "units": size}, (other, size, other), "channels_last"
            yield {"type": kind, "units": size}, (size, other, size), "channels_last"
        for data_format in ("channels_last", "channels_first"):
            first = data_format == "channels_first"
            for filters in (2, 3):
                for height in (2, 3):
                    image = (other, height + 1, size + 1)
                    shape = image if first else (*image[1:], other)
                    layer = {"type": "conv2d", "filters": filters, "kernel_size": 2}
                    yield layer, (size, *shape), data_format
                    kinds = [
                        ("separable_conv2d", "filters"),
                        ("depthwise_conv2d", "depth_multiplier"),
                        ("conv2d_transpose", "filters"),
                    ]
                    for kind, field in kinds if height == 2 else []:
                        yield {"type": kind, field: filters, "kernel_size": 2}, (size, *shape), data_format
            for kind in ("batch_normalization", "layer_normalization"):
                for axis in (None, 1, 2, 3, -1, -2, -3):
                    yield {"type": kind, "axis": axis}, (3, size, other, size), data_format
                    yield {"type": kind, "axis": axis}, (size, other, size, size), data_format
                for axis in (None, 1, -1):
                    yield {"type": kind, "axis": axis}, (size, other), data_format


@pytest.mark.parametrize(("document", "shape", "data_format"), list(cases()), ids=str)
def test_a_layer_equals_its_formula(
    document: dict[str, Any], shape: tuple[int, ...], data_format: str
) -> None:
    activation = {"activation": "tanh"} if issubclass(LAYERS[document["type"]], Weighted) else {}
    given = {k: v for k, v in document.items() if v is not None}
    entry = LAYERS[document["type"]].model_validate({**given, **activation})
    if document["type"].endswith("normalization") and document.get("axis") is None:
        entry = entry.model_copy(update={"axis": channel_axis(shape[1:], data_format)})  # type: ignore[arg-type]
    layer = models.layer(entry, "layer", data_format, "float64")
    layer.build(shape)
    draw = np.random.default_rng(0)
    x = draw.normal(size=shape)
    weights = [draw.normal(size=v.shape) for v in layer.trainable_variables]
    by_hand = formula(entry, len(shape), data_format)
    expected = by_hand(x, weights)
    towards = draw.normal(size=expected.shape)  # the scalar Σ towards · outputs has every output in it
    result, slopes = differentiated(layer, x, weights, towards)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)
    for index, slope in enumerate(slopes):
        np.testing.assert_allclose(
            slope, complex_step(by_hand, x, weights, towards, index), rtol=1e-9, atol=1e-11
        )


def differentiated(
    layer: keras.layers.Layer, x: Array, weights: Sequence[Array], towards: Array
) -> tuple[Array, list[Array]]:
    """Outputs, and the gradient of Σ towards · outputs in the inputs and in every trainable tensor."""

    def scalar(at: list[Any]) -> tuple[Any, Any]:
        frozen = [v.value for v in layer.non_trainable_variables]
        batch = {"training": True} if isinstance(layer, keras.layers.BatchNormalization) else {}
        outputs, _ = layer.stateless_call(at[1:], frozen, at[0], **batch)
        return keras.ops.sum(outputs * towards), outputs

    at = [backend.tensor(value) for value in (x, *weights)]
    (_, outputs), slopes = backend.value_and_gradients(scalar, at)
    return backend.array(outputs), [backend.array(slope) for slope in slopes]


def complex_step(f: Formula, x: Array, weights: list[Array], towards: Array, index: int) -> Array:
    arguments = [x.astype(complex), *(w.astype(complex) for w in weights)]
    slope = np.zeros(arguments[index].shape)
    for at in np.ndindex(slope.shape):
        moved = [a.copy() for a in arguments]
        moved[index][at] += 1j * TINY
        slope[at] = np.sum(f(moved[0], moved[1:]) * towards).imag / TINY
    return slope


def test_every_layer_with_weights_is_here() -> None:
    """A new layer with weights gets its formula. An embedding's is its table; its inputs are no numbers to differentiate by,
    and the tests of lanes hold it."""
    covered = {document["type"] for document, _, _ in cases()}
    weighted = {name for name, entry in LAYERS.items() if any("initializer" in f for f in entry.model_fields)}
    assert weighted - {"embedding"} <= covered
