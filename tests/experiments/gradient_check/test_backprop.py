"""Backprop by hand against numbers worked on paper, against a difference quotient, and against autodiff."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from experiments.engine import backend
from experiments.gradient_check.backprop import LOSSES, Layer, backprop, covers, delta_rule, forward
from experiments.gradient_check.slopes import SLOPES
from tests.present import present

SMOOTH_ENOUGH = sorted(set(SLOPES) - {"step", "hard_shrink"})


def network(activation: str, last: str, *, seed: int = 0, bias: bool = True) -> list[Layer]:
    draw = np.random.default_rng(seed)
    sizes = [4, 5, 4, 3]
    names = [activation, activation, last]
    return [
        Layer(draw.normal(size=(i, o)) * 0.7, draw.normal(size=o) * 0.3 if bias else None, name)
        for i, o, name in zip(sizes[:-1], sizes[1:], names, strict=True)
    ]


def points(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(3, 4)), np.eye(3)[[0, 2, 1]]


def test_one_sigmoid_neuron_worked_on_paper() -> None:
    # x = (1, 2), w = (0.5, −0.25), b = 0: z = 0, y = ½, t = 1, E = ½ (1 − ½)² = 0.125
    # ∂E/∂z = (y − t) y (1 − y) = −½ · ¼ = −0.125; times x: (−0.125, −0.25)
    layer = Layer(np.array([[0.5], [-0.25]]), np.zeros(1), "sigmoid")
    error, [gradient] = backprop([layer], np.array([[1.0, 2.0]]), np.array([[1.0]]), "half_squared_error")
    assert error == 0.125
    np.testing.assert_array_equal(gradient.kernel, [[-0.125], [-0.25]])
    np.testing.assert_array_equal(gradient.bias, [-0.125])


def test_hidden_delta_is_a_one_minus_a_sum_w_delta() -> None:
    # 1-1-1, all weights 1, no bias, sigmoid: the textbook's chain, written out
    hidden, out = Layer(np.ones((1, 1)), None, "sigmoid"), Layer(np.ones((1, 1)), None, "sigmoid")
    x, t = 0.3, 0.9
    a = 1 / (1 + np.exp(-x))
    y = 1 / (1 + np.exp(-a))
    delta = y * (1 - y) * (t - y)
    hidden_delta = a * (1 - a) * 1.0 * delta
    _, [first, second] = backprop([hidden, out], np.array([[x]]), np.array([[t]]), "half_squared_error")
    assert second.kernel[0, 0] == pytest.approx(-delta * a, rel=1e-15)
    assert first.kernel[0, 0] == pytest.approx(-hidden_delta * x, rel=1e-15)
    assert first.bias is None


def test_softmax_and_cross_entropy_together_give_y_minus_t() -> None:
    layer = Layer(np.eye(3), None, "softmax")
    z = np.array([[0.0, np.log(2.0), np.log(5.0)]])  # softmax: 1/8, 2/8, 5/8
    error, [gradient] = backprop([layer], z, np.array([[0.0, 1.0, 0.0]]), "categorical_crossentropy")
    assert error == pytest.approx(np.log(4.0))
    np.testing.assert_allclose(gradient.kernel, z.T @ [[1 / 8, 2 / 8 - 1, 5 / 8]], atol=1e-15)


def test_mse_has_two_over_outputs_times_the_gradient_of_half_squared_error() -> None:
    layers, (x, t) = network("tanh", "linear"), points()
    _, half = backprop(layers, x, t, "half_squared_error")
    _, mse = backprop(layers, x, t, "mean_squared_error")
    for a, b in zip(half, mse, strict=True):
        np.testing.assert_allclose(b.kernel, 2 / 3 * a.kernel, rtol=1e-12)


def test_delta_rule_learns_and_from_the_truth_table() -> None:
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    t = np.array([[0.0], [0.0], [0.0], [1.0]])
    w: Any = np.zeros((2, 1))
    b: Any = np.zeros(1)
    w, b = delta_rule(w, b, x[1:2], t[1:2], 1.0)  # z = 0, so y = 1, but t = 0: w = (0, −1), b = −1
    np.testing.assert_array_equal(w, [[0.0], [-1.0]])
    for _ in range(10):
        for i in range(4):
            w, b = delta_rule(w, b, x[i : i + 1], t[i : i + 1], 1.0)
    np.testing.assert_array_equal((x @ w + b >= 0) * 1.0, t)


def test_delta_rule_is_gradient_descent_on_half_the_squared_error_with_slope_one() -> None:
    draw = np.random.default_rng(3)
    x, w, b = draw.normal(size=(5, 2)), draw.normal(size=(2, 1)), draw.normal(size=1)
    t = (draw.random((5, 1)) > 0.5) * 1.0
    _, [gradient] = backprop([Layer(w, b, "step")], x, t, "half_squared_error")
    stepped, bias = delta_rule(w, b, x, t, 0.1)
    np.testing.assert_allclose(stepped, w - 0.1 * gradient.kernel, atol=1e-15)
    np.testing.assert_allclose(bias, b - 0.1 * present(gradient.bias), atol=1e-15)


@pytest.mark.parametrize("name", SMOOTH_ENOUGH)
def test_every_slope_is_its_functions_difference_quotient(name: str) -> None:
    z = np.random.default_rng(5).normal(size=(50, 4)) * 3
    g = np.random.default_rng(6).normal(size=z.shape)
    d = np.random.default_rng(7).normal(size=z.shape)
    h = 1e-6
    f = SLOPES[name].value
    numerical = np.sum(g * (f(z + h * d) - f(z - h * d)) / (2 * h), axis=-1)
    by_hand = np.sum(SLOPES[name].pull(z, f(z), g) * d, axis=-1)
    scale = np.max(np.abs(by_hand))
    close = np.abs(numerical - by_hand) < 1e-7 * scale
    assert np.mean(close) > 0.99  # the rest may straddle a kink


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("last", ["linear", "sigmoid", "softmax"])
def test_gradient_is_the_errors_difference_quotient(loss: Any, last: Any) -> None:
    if "crossentropy" in loss and last == "linear":
        pytest.skip("cross-entropy is of probabilities")
    layers, (x, t) = network("tanh", last), points()
    _, gradients = backprop(layers, x, t, loss)
    h = 1e-6
    for index, layer in enumerate(layers):
        for at in np.ndindex(*layer.kernel.shape):
            errors = []
            for sign in (1, -1):
                kernel = layer.kernel.copy()
                kernel[at] += sign * h
                moved = [*layers]
                moved[index] = Layer(kernel, layer.bias, layer.activation)
                errors.append(backprop(moved, x, t, loss)[0])
            assert (errors[0] - errors[1]) / (2 * h) == pytest.approx(
                gradients[index].kernel[at], rel=1e-6, abs=1e-9
            )


def keras_gradients(layers: Any, x: Any, t: Any, loss: Any) -> Any:
    """The loss and its gradient by the autodiff of this process' backend."""
    stack = [
        keras.layers.Dense(
            layer.kernel.shape[1],
            activation=layer.activation,
            use_bias=layer.bias is not None,
            dtype="float64",
        )
        for layer in layers
    ]
    model = keras.Sequential([keras.Input((x.shape[1],), dtype="float64"), *stack])
    weights = [w for layer in layers for w in (layer.kernel, layer.bias) if w is not None]
    function = {"half_squared_error": lambda t, y: 0.5 * keras.ops.sum(keras.ops.square(t - y), axis=-1)}.get(
        loss
    ) or keras.losses.get(loss)

    def objective(at: list[Any]) -> tuple[Any, None]:
        outputs, _ = model.stateless_call(at, [], backend.tensor(x), training=True)
        return keras.ops.mean(function(backend.tensor(t), outputs)), None

    (error, _), gradients = backend.value_and_gradients(objective, [backend.tensor(w) for w in weights])
    return float(error), [backend.array(g) for g in gradients]


def assert_equal_to_autodiff(layers: Any, x: Any, t: Any, loss: Any) -> None:
    error, by_hand = backprop(layers, x, t, loss)
    reference, autodiff = keras_gradients(layers, x, t, loss)
    flat = [part for g in by_hand for part in ([g.kernel] if g.bias is None else [g.kernel, g.bias])]
    assert error == pytest.approx(reference, rel=1e-10)
    for ours, theirs in zip(flat, autodiff, strict=True):
        assert np.max(np.abs(ours - theirs)) <= 1e-10 * max(1.0, np.max(np.abs(theirs)))


@pytest.mark.parametrize("name", sorted(set(SLOPES) - {"step"}))
def test_equals_autodiff_within_1e_10_for_every_activation(name: str) -> None:
    x, t = points()
    assert_equal_to_autodiff(network(name, "linear"), x, t, "mean_squared_error")


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_equals_autodiff_within_1e_10_for_every_loss(loss: Any, last: Any) -> None:
    x, t = points()
    if not covers([last], loss):
        pytest.skip("Keras takes the cross-entropy of the logits here, which is another function")
    assert_equal_to_autodiff(network("sigmoid", last, bias=False), x, t, loss)


def test_784_32_10_equals_autodiff_within_1e_10() -> None:
    draw = np.random.default_rng(0)
    layers = [
        Layer(draw.uniform(-0.1, 0.1, (784, 32)), np.zeros(32), "relu"),
        Layer(draw.uniform(-0.3, 0.3, (32, 10)), np.zeros(10), "softmax"),
    ]
    assert_equal_to_autodiff(layers, draw.random((8, 784)), np.eye(10)[:8], "categorical_crossentropy")


def test_covers_and_forward() -> None:
    assert covers(["relu", "softmax"], "categorical_crossentropy")
    assert not covers(["relu"], "poisson")
    z, a = forward(network("relu", "softmax"), points()[0])
    assert [v.shape for v in z] == [(3, 5), (3, 4), (3, 3)]
    np.testing.assert_allclose(a[-1].sum(axis=-1), 1.0)
