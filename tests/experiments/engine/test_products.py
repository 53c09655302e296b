"""Products by a matrix of weights, whose gradient JAX gets from this project: values and gradients by NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from experiments.engine import backend
from experiments.engine.backend import Tensor

LANES = 3


@pytest.mark.parametrize("samples", [(5,), (5, 4)], ids=["samples", "samples of sequences"])
def test_value_and_gradients_of_a_product_over_lanes(samples: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    x = random.standard_normal((*samples, 6))
    weights = random.standard_normal((LANES, 6, 2))
    factors = random.standard_normal((*samples, 2))

    def lane(own: Tensor) -> Tensor:
        def objective(at: list[Tensor]) -> tuple[Tensor, Tensor]:
            values = keras.ops.matmul(at[1], at[0])
            return keras.ops.sum(values * factors), values

        (_, values), gradients = backend.value_and_gradients(objective, [own, backend.tensor(x)])
        return values, *gradients

    values, of_weights, of_x = map(backend.array, backend.over_lanes(lane, backend.tensor(weights)))
    for i in range(LANES):
        np.testing.assert_allclose(values[i], x @ weights[i], rtol=0, atol=1e-13)
        expected = np.tensordot(x, factors, axes=(range(len(samples)),) * 2)
        np.testing.assert_allclose(of_weights[i], expected, rtol=0, atol=1e-13)
        np.testing.assert_allclose(of_x[i], factors @ weights[i].T, rtol=0, atol=1e-13)


def test_the_gradient_of_a_product_has_a_gradient_itself() -> None:
    x, weights = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.5], [-1.0]])

    def steepness(at: list[Tensor]) -> tuple[Tensor, None]:
        def objective(inner: list[Tensor]) -> tuple[Tensor, None]:
            return keras.ops.sum(keras.ops.square(keras.ops.matmul(backend.tensor(x), inner[0]))), None

        (_, _), (gradient,) = backend.value_and_gradients(objective, at)
        return keras.ops.sum(gradient), None

    _, (second,) = backend.value_and_gradients(steepness, [backend.tensor(weights)])
    hessian = 2 * x.T @ x  # of the sum of squares (x w)^2 in w
    np.testing.assert_allclose(backend.array(second), hessian.sum(axis=0)[:, None], rtol=0, atol=1e-12)
