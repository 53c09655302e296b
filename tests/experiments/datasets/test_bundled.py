"""The data sets that scikit-learn brings are its own, though it is not loaded for them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

from experiments.datasets import bundled
from experiments.errors import DataError


def test_the_digits_are_those_of_the_library() -> None:
    images, targets = bundled._digits()
    expected = load_digits()
    assert np.array_equal(images, expected.images)
    assert np.array_equal(targets, expected.target)


def test_the_patients_are_those_of_the_library() -> None:
    measurements, progression = bundled._diabetes()
    expected = load_diabetes(scaled=False)
    assert np.array_equal(measurements, expected.data)
    assert np.array_equal(progression[:, 0], expected.target)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        bundled._in_library("digits.csv.gz", ",")
