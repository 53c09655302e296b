"""Every data set gives what its shape promises, without leakage, and the same every time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from experiments.datasets import DATASETS, Data, Dataset, DatasetSpec, RemoteFile, Source
from experiments.datasets import mnist as mnist_file
from experiments.errors import DataError, SpecError

DATA_DIR = os.environ.get("GRADUS_DATA_DIR")
HAS_MNIST = DATA_DIR is not None and (Path(DATA_DIR) / "mnist.npz").is_file()
NEEDED: dict[str, dict[str, Any]] = {
    "inline": {"kind": "classification", "x": [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]], "y": [0, 2, 1],
               "input_shape": [2, 2, 1]},
    "stripes": {"height": 6, "width": 9, "samples": 50},
}  # fmt: skip


def make(name: str, **fields: Any) -> Dataset:
    dataset: Dataset = TypeAdapter(DatasetSpec).validate_python(
        {"name": name, **NEEDED.get(name, {}), **fields}
    )
    return dataset


def load(dataset: Dataset, data_format: Any = "channels_last") -> Data:
    if dataset.name == "mnist" and not HAS_MNIST:
        pytest.skip("no mnist.npz: set GRADUS_DATA_DIR to the folder that holds it")
    return dataset.load(Source(Path(DATA_DIR) if DATA_DIR else None), data_format)


BUILT_IN = [
    name for name in DATASETS if name not in ("upload", "fashion_mnist", "cifar10", "california_housing")
]
"""The others are tested in datasets/."""


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_arrays_are_what_the_shape_says(name: str) -> None:
    dataset = make(name)
    shape, data = dataset.shape(), load(dataset)
    for part, count in (("train", shape.n_train), ("validation", shape.n_validation), ("test", shape.n_test)):
        x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        assert x.shape == (count, *shape.input)
        assert x.dtype == np.float32
        assert y.shape == (count, *shape.target)
        assert y.dtype == (np.float32 if shape.kind == "regression" else np.int32)
        if count:
            assert shape.low <= x.min()
            assert x.max() <= shape.high
    if shape.classes:
        assert set(np.unique(data.y_train)) == set(range(shape.classes))


@pytest.mark.parametrize("name", BUILT_IN)
def test_loading_is_repeatable(name: str) -> None:
    assert load(make(name)).digest == load(make(name)).digest


@pytest.mark.parametrize("name", ["mnist", "digits", "stripes", "inline"])
def test_channels_first_is_the_same_images(name: str) -> None:
    dataset = make(name)
    last, first = load(dataset), load(dataset, "channels_first")
    assert first.x_train.shape[1:] == dataset.shape().formatted("channels_first")
    np.testing.assert_array_equal(np.moveaxis(first.x_train, 1, -1), last.x_train)


@pytest.mark.parametrize("name", ["mnist", "digits", "linear", "sine", "polynomial", "diabetes", "stripes"])
def test_the_parts_do_not_overlap_and_the_test_part_is_fixed(name: str) -> None:
    data, other = (
        load(make(name, validation_split=0.2)),
        load(make(name, validation_split=0.4, train_samples=20)),
    )
    assert len(other.x_train) == 20
    tested = {row.tobytes() for row in data.x_test}
    assert len(tested & {row.tobytes() for row in data.x_train}) <= 0.01 * len(tested), (
        "copies in the source itself"
    )
    if name != "diabetes":  # its scale comes from the training part, so it moves with it
        np.testing.assert_array_equal(data.x_test, other.x_test)


def test_scaling_uses_the_training_part_alone() -> None:
    data = load(make("diabetes", validation_split=0.25))
    np.testing.assert_allclose(data.x_train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(data.x_train.std(0), 1, atol=1e-5)
    assert abs(data.x_validation.mean(0)).max() > 1e-3
    assert abs(data.y_train.mean()) < 1e-5
    assert data.truth["target_std"] > 50


def test_the_line_is_the_line() -> None:
    data = load(make("linear", noise=0, slope=3, intercept=-1))
    np.testing.assert_allclose(data.y_train, 3 * data.x_train - 1, atol=1e-6)
    assert dict(data.truth) == {"slope": 3, "intercept": -1, "noise": 0}


def test_the_curves() -> None:
    sine = load(make("sine", noise=0, frequency=2, amplitude=3, phase=0.5))
    np.testing.assert_allclose(sine.y_test, 3 * np.sin(4 * np.pi * sine.x_test + 0.5), atol=1e-5)
    cubic = load(make("polynomial", noise=0, coefficients=[1, 0, 0, 2]))
    np.testing.assert_allclose(cubic.y_test, 1 + 2 * cubic.x_test**3, atol=1e-6)


@pytest.mark.parametrize(
    ("gate", "function"), [("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)]
)
def test_the_gates(gate: str, function: Any) -> None:
    data = load(make(gate))
    np.testing.assert_array_equal(data.y_train, function(data.x_train[:, 0], data.x_train[:, 1]))


def test_stripes_lie_or_stand() -> None:
    data = load(make("stripes", noise=0, height=8, width=8, samples=40))
    for x, upright in zip(data.x_train[..., 0], data.y_train, strict=True):
        np.testing.assert_allclose(x, np.broadcast_to(x[:1] if upright else x[:, :1], x.shape), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "fields"),
    [("linear", {"low": 1, "high": 1}), ("linear", {"samples": 5, "validation_split": 0.9}),
     ("stripes", {"height": 4000, "width": 4000, "samples": 100}), ("digits", {"train_samples": 5000})],
)  # fmt: skip
def test_numbers_that_do_not_fit_are_refused(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        make(name, **fields).shape()


def test_mnist_that_cannot_be_had_names_the_three_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")

    def offline(file: RemoteFile) -> Path:
        raise OSError("no network")

    with pytest.raises(DataError) as caught:
        make("mnist").load(Source(tmp_path, offline))
    for words in (str(tmp_path / "mnist.npz"), "GRADUS_DATA_DIR", "Keras' cache", "no network", "digits"):
        assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        zeros = {name: np.zeros(shape, np.uint8) for name, shape in mnist_file.SHAPES.items()}
        np.savez(tmp_path / "mnist.npz", **zeros)  # type: ignore[arg-type]
    else:
        (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"mnist\.npz"):
        make("mnist").load(Source(tmp_path))


def test_a_downloaded_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not HAS_MNIST or DATA_DIR is None:
        pytest.skip("no mnist.npz: set GRADUS_DATA_DIR to the folder that holds it")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    data = make("mnist").load(Source(None, lambda file: Path(DATA_DIR) / file.name))
    assert len(data.x_train) == 54_000
