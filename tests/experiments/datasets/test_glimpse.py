"""Some samples of a data set, at once and without loading it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from experiments.datasets import DATASETS, Source

PLAIN = [name for name in DATASETS if name not in ("inline", "upload")]


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_glimpsed_has_the_shape_of_the_data(name: str) -> None:
    dataset = DATASETS[name].model_validate({"name": name})
    glimpse = dataset.glimpse(Source(None), 12)
    if glimpse is not None:
        x, y = glimpse
        assert 0 < len(x) == len(y) <= 12
        assert x.shape[1:] == dataset.shape().input
        assert y.shape[1:] == dataset.shape().target


def test_digits_are_those_of_scikit_learn() -> None:
    glimpse = DATASETS["digits"].model_validate({"name": "digits"}).glimpse(Source(None), 5)
    assert glimpse is not None
    bunch = load_digits()
    np.testing.assert_array_equal(glimpse[0][..., 0] * 16, bunch.images[:5])
    np.testing.assert_array_equal(glimpse[1], bunch.target[:5])


def test_the_first_images_of_mnist_are_read_alone(tmp_path: Path) -> None:
    """From a file of which only the beginning is right: the rest is not looked at."""
    images = np.arange(3 * 28 * 28, dtype=np.uint32).reshape(3, 28, 28).astype(np.uint8)
    np.savez_compressed(tmp_path / "mnist.npz", x_train=images, y_train=np.array([5, 0, 4], np.uint8))
    glimpse = DATASETS["mnist"].model_validate({"name": "mnist"}).glimpse(Source(tmp_path), 2)
    assert glimpse is not None
    np.testing.assert_array_equal(np.round(glimpse[0][..., 0] * 255), images[:2])
    assert glimpse[1].tolist() == [5, 0]
    (tmp_path / "mnist.npz").write_bytes(b"no archive")
    assert DATASETS["mnist"].model_validate({"name": "mnist"}).glimpse(Source(tmp_path), 2) is None


def test_a_large_set_is_cut_before_it_is_drawn() -> None:
    spiral = DATASETS["spiral"].model_validate(
        {"name": "spiral", "samples": 1_000_000, "train_samples": 700_000}
    )
    glimpse = spiral.glimpse(Source(None), 50)
    assert glimpse is not None
    assert len(glimpse[0]) == 40, "a fifth is for testing"


def test_rows_of_ones_own_are_read_in_their_shape() -> None:
    given = {
        "name": "inline",
        "kind": "binary",
        "x": [[0, 1, 2, 3], [3, 2, 1, 0]],
        "y": [0, 1],
        "input_shape": [2, 2, 1],
    }
    glimpse = DATASETS["inline"].model_validate(given).glimpse(Source(None), 1)
    assert glimpse is not None
    assert glimpse[0].tolist() == [[[[0.0], [1.0]], [[2.0], [3.0]]]]
    assert glimpse[1].tolist() == [0]
