"""The two-dimensional data sets: their formulas, without noise, on every sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import TypeAdapter

from experiments.datasets import DATASETS, Data, DatasetSpec, Source
from experiments.datasets.planes import REACH, Plane

PLANES = [name for name, entry in DATASETS.items() if issubclass(entry, Plane)]
Points = npt.NDArray[Any]


def load(name: str, **fields: Any) -> Data:
    data: Data = TypeAdapter(DatasetSpec).validate_python({"name": name, **fields}).load(Source())
    return data


def moon(x: Points, y: Points) -> Points:
    """1 - x² - y² of the circle that the sample's moon is half of: around (0, 0), or (1, 1/2)."""
    center = np.where(y[:, None] == 0, [0.0, 0.0], [1.0, 0.5])
    return np.asarray(1 - ((x - center) ** 2).sum(axis=1))


def circle(x: Points, y: Points) -> Points:
    return np.hypot(x[:, 0], x[:, 1]) - np.where(y == 0, 1.0, 0.25)


def spiral(x: Points, y: Points) -> Points:
    """How far the angle is from 2π (2 r + class / 3), as the sine of half the difference."""
    r = np.hypot(x[:, 0], x[:, 1])
    return r * np.sin((np.arctan2(x[:, 1], x[:, 0]) - 2 * np.pi * (2 * r + y / 3)) / 2)


def blob(x: Points, y: Points) -> Points:
    return np.asarray(
        np.abs(x - np.stack([np.cos(np.pi * y / 2), np.sin(np.pi * y / 2)], axis=1)).max(axis=1)
    )


def square(x: Points, y: Points) -> Points:
    """Two squares along a side: class 0 where both coordinates have one sign."""
    return y - (x[:, 0] * x[:, 1] < 0)


HELD: dict[str, tuple[dict[str, Any], Callable[[Points, Points], Points]]] = {
    "moons": ({}, moon),
    "circles": ({"factor": 0.25}, circle),
    "spiral": ({"classes": 3, "turns": 2.0}, spiral),
    "blobs": ({"classes": 4}, blob),
    "checkerboard": ({"cells": 2}, square),
}


@pytest.mark.parametrize("name", PLANES)
def test_without_noise_the_formula_holds(name: str) -> None:
    fields, difference = HELD[name]
    data = load(name, noise=0.0, **fields)
    x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    np.testing.assert_allclose(difference(x.astype(float), y), 0, atol=1e-5)
    assert len(np.unique(x, axis=0)) >= (4 if name == "blobs" else 450)


@pytest.mark.parametrize("name", PLANES)
def test_the_classes_are_balanced_and_the_noise_is_cut(name: str) -> None:
    data = load(name, samples=1000, noise=1.5)
    every = np.concatenate([data.y_train, data.y_validation, data.y_test])
    shares = np.bincount(every) / len(every)
    assert shares.max() - shares.min() <= (0.1 if name == "checkerboard" else 0.002)
    assert abs(data.x_train).max() == REACH
    assert (len(data.x_train), len(data.x_validation), len(data.x_test)) == (720, 80, 200)


@pytest.mark.parametrize("name", PLANES)
def test_another_seed_draws_other_samples(name: str) -> None:
    assert load(name).digest == load(name).digest != load(name, data_seed=1).digest


def test_more_than_two_classes_are_a_classification() -> None:
    spec = TypeAdapter(DatasetSpec)
    assert spec.validate_python({"name": "spiral"}).shape().kind == "binary"
    assert spec.validate_python({"name": "spiral", "classes": 4}).shape().kind == "classification"
