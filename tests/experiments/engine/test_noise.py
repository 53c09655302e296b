"""Dropout, stochastic pooling, the step, ½Σ(t−y)²: against hand-worked values and in all ways to compile."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments.engine import models
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
    found = keras.ops.convert_to_numpy(noise.uniform(tf.constant(WORDS), (2, 3), "float32"))
    assert found.ravel().tolist() == expected


def test_one_mask_eagerly_in_a_graph_under_xla_and_mapped_over_lanes() -> None:
    def draw(words: Any) -> Any:
        return noise.uniform(words, (5, 7), "float32")

    words = tf.constant(WORDS)
    lanes = tf.stack([words, words + tf.constant([1, 0], tf.uint32)])
    eager = draw(words).numpy()
    for fused in (False, True):
        alone = tf.function(draw, jit_compile=fused)(words).numpy()
        both = tf.function(
            lambda rows: tf.vectorized_map(draw, rows, fallback_to_while_loop=False), jit_compile=fused
        )(lanes).numpy()
        np.testing.assert_array_equal(alone, eager)
        np.testing.assert_array_equal(both[0], eager)
        assert not np.array_equal(both[1], eager)


def test_uniform_numbers_are_uniform_and_do_not_repeat() -> None:
    draws = np.stack(
        [noise.uniform(tf.constant([5, k], tf.uint32), (10_000,), "float64").numpy() for k in range(4)]
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
    first, second = (layer(x, training=True).numpy() for _ in range(2))
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
    still = layer(x, training=False).numpy().reshape(4000, 2)
    np.testing.assert_allclose(still[0], [26 / 8, 0])
    drawn = layer(x, training=True).numpy().reshape(4000, 2)
    assert not drawn[:, 1].any()
    for value, probability in ((1, 1 / 8), (3, 3 / 8), (4, 4 / 8)):
        assert (drawn[:, 0] == value).mean() == pytest.approx(probability, abs=5 * np.sqrt(0.25 / 4000))


def test_stochastic_pooling_sends_the_gradient_to_the_drawn_value() -> None:
    layer = pooling.StochasticPool2D(2)
    x = tf.constant(IMAGE[None, :, :2, None])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    gradient = tape.gradient(y, x).numpy().ravel()
    assert sorted(gradient) == [0, 0, 0, 1]
    assert x.numpy().ravel()[gradient == 1] == y.numpy().ravel()


def test_the_step_and_its_straight_through_slope() -> None:
    z = tf.constant([-2.0, -0.1, 0.0, 0.1, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(z)
        y = functions.step(z)
    assert y.numpy().tolist() == [0, 0, 1, 1, 1]
    assert tape.gradient(y, z).numpy().tolist() == [1] * 5


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
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    other = models.build(tanh, seed=4)
    assert not np.array_equal(first.variables[0].numpy(), other.variables[0].numpy())
    again = models.build(tanh)
    np.testing.assert_array_equal(first.variables[0].numpy(), again.variables[0].numpy())


def test_random_streams_are_stable_and_apart() -> None:
    """Stored numbers: a change of these would change every published result."""
    assert mix(1, 2, 3) == mix(1, 2, 3) != mix(1, 3, 2)
    assert len({weights(s, i, 7).integers(1 << 62) for s in range(50) for i in range(20)}) == 1000
    assert 0 <= noise_seed(1, 2) < 2**32
    order = data_order(5, 1, 1000)
    assert sorted(order) == list(range(1000))
    assert not np.array_equal(order, data_order(5, 2, 1000))
    assert not np.array_equal(order, data_order(6, 1, 1000))
