"""Dropout, stochastic pooling, the step, ½Σ(t−y)²: against hand-worked values and in all ways to compile."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from experiments.engine import backend, models
from experiments.keras_ext import functions, noise, pooling
from experiments.randomness import data_order, mix, noise_seed, weights

WORDS = np.asarray([123456789, 7], np.uint32)


def murmur(bits: int) -> int:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = ((bits ^ (bits >> shift)) * factor) & 0xFFFFFFFF
    return bits ^ (bits >> 16)


def test_the_hash_is_its_formula_in_plain_integers() -> None:
    key = murmur((7 * 0x9E3779B9 + murmur(123456789)) & 0xFFFFFFFF)
    second = (key * 0x85EBCA6B) & 0xFFFFFFFF
    expected = [(murmur(murmur((i + key) & 0xFFFFFFFF) ^ second) >> 9) / 2**23 for i in range(6)]
    drawn = keras.ops.convert_to_numpy(noise.uniform(backend.tensor(WORDS), (2, 3), "float32"))
    assert drawn.ravel().tolist() == expected


def test_one_mask_eagerly_in_a_graph_under_xla_and_mapped_over_lanes() -> None:
    def draw(words: Any) -> Any:
        return noise.uniform(words, (5, 7), "float32")

    lanes = np.stack([WORDS, WORDS + np.asarray([1, 0], np.uint32)])
    eager = backend.array(draw(backend.tensor(WORDS)))
    for fused in (False, True):
        alone = backend.array(backend.compiled(draw, fused=fused)(backend.tensor(WORDS)))
        mapped = backend.compiled(lambda rows: backend.over_lanes(draw, rows), fused=fused)
        both = backend.array(mapped(backend.tensor(lanes)))
        np.testing.assert_array_equal(alone, eager)
        np.testing.assert_array_equal(both[0], eager)
        assert not np.array_equal(both[1], eager)


def test_uniform_numbers_are_uniform_and_do_not_repeat() -> None:
    draws = np.stack(
        [
            backend.array(noise.uniform(backend.tensor([5, k], "uint32"), (10_000,), "float64"))
            for k in range(4)
        ]
    )
    assert draws.min() >= 0
    assert draws.max() < 1
    np.testing.assert_allclose(draws.mean(axis=1), 0.5, atol=5 * np.sqrt(1 / 12 / 10_000))
    shares = np.stack([np.histogram(row, 20, (0, 1))[0] for row in draws]) / 500
    np.testing.assert_allclose(shares, 1, atol=5 / np.sqrt(500))
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 0.05


def test_dropout_keeps_the_mean_and_is_the_identity_in_testing() -> None:
    layer = noise.Dropout(0.25)
    x = np.ones((100, 100), np.float32)
    first, second = (backend.array(layer(x, training=True)) for _ in range(2))
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    assert first.mean() == pytest.approx(1, abs=5 * np.sqrt(1 / 3 / 10_000))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(layer(x, training=False), x)


IMAGE = np.asarray([[1.0, 3.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]], np.float32)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_stochastic_pooling_by_hand(data_format: str) -> None:
    """Window (1, 3, 0, 4): testing Σa²/Σa = 26/8; training 1, 3, 4 with probability 1/8, 3/8, 4/8. Zeros give 0."""
    layer = pooling.StochasticPool2D(2, data_format=data_format)
    last = data_format == "channels_last"
    x = np.repeat(IMAGE[None, :, :, None] if last else IMAGE[None, None], 4000, axis=0)
    still = backend.array(layer(x, training=False)).reshape(4000, 2)
    np.testing.assert_allclose(still[0], [26 / 8, 0])
    drawn = backend.array(layer(x, training=True)).reshape(4000, 2)
    assert not drawn[:, 1].any()
    for value, probability in ((1, 1 / 8), (3, 3 / 8), (4, 4 / 8)):
        assert (drawn[:, 0] == value).mean() == pytest.approx(probability, abs=5 * np.sqrt(0.25 / 4000))


def differentiated(function: Any, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The function's values, and the gradient of their sum."""

    def total(values: list[Any]) -> tuple[Any, Any]:
        result = function(values[0])
        return ops.sum(result), result

    (_, result), (gradient,) = backend.value_and_gradients(total, [backend.tensor(at)])
    return backend.array(result), backend.array(gradient)


def test_stochastic_pooling_sends_the_gradient_to_the_drawn_value() -> None:
    layer = pooling.StochasticPool2D(2)
    layer.build((1, 2, 2, 1))
    frozen = [backend.tensor([7, 0], "uint32")]
    x = IMAGE[None, :, :2, None]
    drawn, gradient = differentiated(lambda v: layer.stateless_call([], frozen, v, training=True)[0], x)
    assert sorted(gradient.ravel()) == [0, 0, 0, 1]
    assert x.ravel()[gradient.ravel() == 1] == drawn.ravel()


def test_the_step_and_its_straight_through_slope() -> None:
    values, gradient = differentiated(functions.step, np.asarray([-2.0, -0.1, 0.0, 0.1, 3.0], np.float32))
    assert values.tolist() == [0, 0, 1, 1, 1]
    assert gradient.tolist() == [1] * 5


def test_half_squared_error_by_hand() -> None:
    """(½(1 + 4) + ½(0 + 9)) / 2 = 3.5"""
    value = functions.HalfSquaredError()(
        np.asarray([[0.0, 0.0], [1.0, 1.0]]), np.asarray([[1.0, 2.0], [1.0, 4.0]])
    )
    assert float(value) == 3.5


def test_weights_depend_on_seed_and_layer_alone(specs: Any) -> None:
    (tanh,) = specs(model={"hidden": [12, 8], "activation": "tanh"}, first=3)
    (relu,) = specs(model={"hidden": [12, 8], "activation": "relu"}, first=3, optimizer={"name": "adam"})
    first, second = models.build(tanh), models.build(relu)
    for ours, theirs in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(backend.array(ours.value), backend.array(theirs.value))
    other = models.build(tanh, seed=4)
    assert not np.array_equal(
        backend.array(first.variables[0].value), backend.array(other.variables[0].value)
    )
    again = models.build(tanh)
    np.testing.assert_array_equal(
        backend.array(first.variables[0].value), backend.array(again.variables[0].value)
    )


def test_random_streams_are_stable_and_apart() -> None:
    """Stored numbers: a change of these would change every published result."""
    assert mix(1, 2, 3) == mix(1, 2, 3) != mix(1, 3, 2)
    assert len({weights(s, i, 7).integers(1 << 62) for s in range(50) for i in range(20)}) == 1000
    assert 0 <= noise_seed(1, 2) < 2**32
    order = data_order(5, 1, 1000)
    assert sorted(order) == list(range(1000))
    assert not np.array_equal(order, data_order(5, 2, 1000))
    assert not np.array_equal(order, data_order(6, 1, 1000))
