"""What docs/errata.md says, shown."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from experiments.datasets import Source
from experiments.datasets.curves import Linear

PAGE = Path(__file__).parents[2] / "docs" / "errata.md"


def descend(sign: float, updates: int = 20, rate: float = 0.005) -> list[float]:
    """½|e|² of w := w + sign · η xᵀe with e = xω - y over the linear data set, before every update."""
    data = Linear(noise=0).load(Source())
    x = np.hstack([data.x_train, np.ones_like(data.x_train)]).astype(float)
    y, w, errors = data.y_train.astype(float), np.zeros((2, 1)), []
    for _ in range(updates):
        e = x @ w - y
        errors.append(float(0.5 * (e**2).sum()))
        w = w + sign * rate * x.T @ e
    return errors


def test_the_rule_as_printed_climbs_the_error() -> None:
    climbing, falling = descend(+1), descend(-1)
    assert all(b > a for a, b in pairwise(climbing))
    assert all(b < a for a, b in pairwise(falling))
    assert climbing[-1] > 1000 * climbing[0]
    assert falling[-1] < 0.1 * falling[0]


def test_the_derivative_with_the_printed_sign_is_minus_the_numerical_one() -> None:
    """∂/∂w ½Σ(y - xw)² is -Σ x (y - xw) = Σ x e with e = xw - y; Σ x (y - xw) is its negative."""
    x, y, w, h = np.array([1.0, 2.0, -1.0]), np.array([2.0, 1.0, 0.5]), 0.3, 1e-4

    def f(v: float) -> float:
        return float(0.5 * ((y - x * v) ** 2).sum())

    numerical = (f(w + h) - f(w - h)) / (2 * h)
    assert (x * (x * w - y)).sum() == pytest.approx(numerical, rel=1e-9)
    assert (x * (y - x * w)).sum() == pytest.approx(-numerical, rel=1e-9)


def test_matplotlib_itself_does_not_plot() -> None:
    assert not hasattr(importlib.import_module("matplotlib"), "plot")


@pytest.mark.slow
def test_a_misspelt_variable_chooses_no_backend() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    program = "import keras; print(keras.backend.backend())"
    for variable, works in (("KERAS_BACKENG", True), ("KERAS_BACKEND", False)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment | {variable: "nonsense"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (done.returncode == 0) == works
        assert not works or done.stdout.split()[-1] == "tensorflow"


def test_the_page_names_every_slip() -> None:
    text = PAGE.read_text()
    for words in ("w := w + η xᵀe", "∂f", "7×7", "KERAS_BACKENG", "filter=", "import matplotlib as plt"):
        assert words in text
    for name in ("errata-output-size.yaml", "errata-loss-scale.yaml", "refused/errata-filter.yaml"):
        assert name in text
        assert (PAGE.parents[1] / "examples" / name).is_file()
