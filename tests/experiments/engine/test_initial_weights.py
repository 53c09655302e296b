"""Initial weights are Keras' in distribution, drawn by NumPy; equal for a seed whatever the backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from experiments.engine import models
from experiments.initializers import INITIALIZERS, fans, truncated_normal
from experiments.runs import RunSpec

SHAPE = (30, 40)
RANDOM = [
    name
    for name in INITIALIZERS
    if name not in ("auto", "constant", "zeros", "ones", "identity", "orthogonal")
]
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "random_normal": [{"mean": 0.3, "stddev": 0.7}],
    "truncated_normal": [{"mean": 0.3, "stddev": 0.7}],
    "random_uniform": [{"minval": -0.2, "maxval": 0.6}],
    "variance_scaling": [
        {"scale": 3.0, "mode": mode, "distribution": distribution}
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("uniform", "untruncated_normal", "truncated_normal")
    ],
}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov and Smirnov's distance of two samples."""
    everything = np.sort(np.concatenate([a, b]))
    return float(
        np.abs(
            np.searchsorted(np.sort(a), everything, "right") / len(a)
            - np.searchsorted(np.sort(b), everything, "right") / len(b)
        ).max()
    )


@pytest.mark.parametrize("name", RANDOM)
def test_every_initializer_has_keras_distribution(name: str) -> None:
    """48,000 numbers of each: Kolmogorov's bound at a probability of 1e-6 is 2.7 sqrt(2 / n)."""
    for settings in SETTINGS.get(name, [{}]):
        row = INITIALIZERS[name].model_validate({"name": name, **settings})
        random = np.random.default_rng(1)
        ours = np.concatenate([row.draw(SHAPE, random).ravel() for _ in range(40)])
        cls = getattr(keras.initializers, row.keras_name)
        theirs = np.concatenate(
            [
                keras.ops.convert_to_numpy(cls(**row.arguments(), seed=seed)(SHAPE, dtype="float64")).ravel()
                for seed in range(40)
            ]
        )
        assert distance(ours, theirs) < 2.7 * math.sqrt(2 / len(ours)), settings


@pytest.mark.parametrize("name", ["constant", "zeros", "ones", "identity"])
def test_what_is_not_random_equals_keras(name: str) -> None:
    settings = {"constant": {"value": 0.3}, "identity": {"gain": 2.5}}.get(name, {})
    row = INITIALIZERS[name].model_validate({"name": name, **settings})
    theirs = getattr(keras.initializers, row.keras_name)(**row.arguments())((5, 5), dtype="float64")
    ours = row.draw((5, 5), np.random.default_rng(0))
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(theirs), atol=1e-7)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 4)])
def test_orthogonal_is_orthogonal_and_uniform(shape: tuple[int, ...]) -> None:
    row = INITIALIZERS["orthogonal"].model_validate({"name": "orthogonal", "gain": 2.0})
    random = np.random.default_rng(0)
    draws = np.stack([row.draw(shape, random).reshape(-1, shape[-1]) for _ in range(2000)])
    product = draws[0] @ draws[0].T if draws.shape[1] < draws.shape[2] else draws[0].T @ draws[0]
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    # Each entry of a uniform Q has mean 0 and mean square gain² / (the longer side).
    assert np.abs(draws.mean(axis=0)).max() < 5 * 2 / math.sqrt(2000)
    np.testing.assert_allclose((draws**2).mean(axis=0), 4 / max(draws.shape[1:]), rtol=0.2)


def test_fans_are_keras() -> None:
    from keras.src.initializers.random_initializers import compute_fans

    for shape in ((7,), (3, 4), (5, 5, 3, 8), (3, 2, 6)):
        assert fans(shape) == compute_fans(shape)


def test_a_truncated_normal_stays_within_two() -> None:
    values = truncated_normal((300, 300), np.random.default_rng(0))
    assert np.abs(values).max() <= 2
    assert values.std() == pytest.approx(0.8796, abs=0.01)


def test_an_lstm_starts_with_its_forget_gate_open(specs: Callable[..., list[RunSpec]]) -> None:
    """The bias is (input, forget, candidate, output): 0, 1, 0, 0, also where its own initialiser is random."""
    lstm = {"type": "lstm", "units": 2}
    for bias, others in (("zeros", {0.0}), ({"name": "random_uniform", "minval": 5, "maxval": 6}, None)):
        layers = [{**lstm, "bias_initializer": bias}, {"type": "dense", "units": 10}]
        (spec,) = specs(model={"layers": layers})
        values = keras.ops.convert_to_numpy(
            next(v for v in models.build(spec).variables if v.path.endswith("bias") and v.shape == (8,))
        )
        assert values[2:4].tolist() == [1, 1]
        rest = {*values[:2].tolist(), *values[4:].tolist()}
        assert rest == others if others else (len(rest) == 6 and min(rest) >= 5)


def test_stored_numbers(specs: Callable[..., list[RunSpec]]) -> None:
    """The same on every backend and machine. A change of these numbers changes every published result."""
    (spec,) = specs(model={"hidden": [4], "activation": "relu"}, first=3)
    kernel, bias = (keras.ops.convert_to_numpy(v) for v in models.build(spec).variables[:2])
    assert bias.tolist() == [0, 0, 0, 0]
    stored = [0.2463064491748810, -0.2700319588184357, -0.0503002777695656, 0.2541999220848083]
    np.testing.assert_allclose(kernel.ravel()[:4], stored, rtol=1e-7)
