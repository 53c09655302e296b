"""Downloaded sets, from made-up files of the same format: what is read, and what is said where there is none."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from experiments.datasets import Source, housing, pictures
from experiments.datasets.base import Dataset
from experiments.datasets.files import RemoteFile
from experiments.datasets.housing import CaliforniaHousing
from experiments.datasets.pictures import Cifar10, FashionMnist
from experiments.errors import DataError


def of(file: RemoteFile, content: bytes, folder: Path) -> RemoteFile:
    """The file with this content in a folder, and its digest."""
    path = folder / file.folder / file.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return dataclasses.replace(file, digest=hashlib.sha256(content).hexdigest())


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def test_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"x_train": np.arange(20 * 784).reshape(20, 28, 28) % 256, "y_train": np.arange(20) % 10}
    arrays |= {"x_test": arrays["x_train"][:5], "y_test": arrays["y_train"][:5]}
    files = {name: of(pictures.FASHION_FILES[name], idx(array), tmp_path) for name, array in arrays.items()}
    monkeypatch.setattr(pictures, "FASHION_FILES", files)
    data = FashionMnist(validation_split=0.1).load(Source(tmp_path))
    assert (data.x_train.shape, data.x_validation.shape, data.x_test.shape) == (
        (18, 28, 28, 1), (2, 28, 28, 1), (5, 28, 28, 1),
    )  # fmt: skip
    assert data.x_train[0, 0, 5, 0] == np.float32(5 / 255)
    assert data.y_train[:3].tolist() == [0, 1, 2]
    x, y = FashionMnist().glimpse(Source(tmp_path), 3) or pytest.fail("no glimpse")
    np.testing.assert_array_equal(x, data.x_train[:3])
    assert y.tolist() == [0, 1, 2]


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image whose red is 1, green 2 and blue 3 everywhere."""
    record = bytes([7]) + bytes([1]) * 1024 + bytes([2]) * 1024 + bytes([3]) * 1024
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = 2 * len(record)
            archive.addfile(entry, io.BytesIO(2 * record))
    monkeypatch.setattr(pictures, "CIFAR_FILE", of(pictures.CIFAR_FILE, made.getvalue(), tmp_path))
    data = Cifar10().load(Source(tmp_path))
    assert (data.x_train.shape, data.x_test.shape) == ((9, 32, 32, 3), (2, 32, 32, 3))
    np.testing.assert_allclose(data.x_train[0, 4, 9], np.array([1, 2, 3]) / 255, rtol=1e-6)
    assert set(data.y_train) == {7}
    x, y = Cifar10().glimpse(Source(tmp_path), 1) or pytest.fail("no glimpse")
    np.testing.assert_array_equal(x, data.x_train[:1])
    assert y.tolist() == [7]
    assert Cifar10().load(Source(tmp_path), "channels_first").x_train.shape == (9, 3, 32, 32)


def test_california_housing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, made = np.random.default_rng(0), io.BytesIO()
    np.savez(made, x=draw.normal(5, 2, (housing.ROWS, 8)), y=draw.uniform(15_000, 500_000, housing.ROWS))
    monkeypatch.setattr(housing, "FILE", of(housing.FILE, made.getvalue(), tmp_path))
    dataset = CaliforniaHousing()
    data, shape = dataset.load(Source(tmp_path)), dataset.shape()
    assert (len(data.x_train), len(data.x_validation), len(data.x_test)) == (
        shape.n_train, shape.n_validation, shape.n_test,
    )  # fmt: skip
    np.testing.assert_allclose(data.x_train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(data.y_train.std(), 1, atol=1e-5)
    assert data.truth["target_mean"] == pytest.approx(257_500, rel=0.02)
    x, _ = dataset.glimpse(Source(tmp_path), 7) or pytest.fail("no glimpse")
    np.testing.assert_array_equal(x, data.x_train[:7])


@pytest.mark.parametrize("dataset", [FashionMnist(), Cifar10(), CaliforniaHousing()])
def test_without_a_network_the_places_are_named(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")

    def offline(file: RemoteFile) -> Path:
        raise OSError("no network")

    with pytest.raises(DataError) as caught:
        dataset.load(Source(tmp_path, offline))
    for words in (str(tmp_path), "GRADUS_DATA_DIR", "Keras' cache", "no network"):
        assert words in str(caught.value)


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "california_housing.npz").write_bytes(b"something else")
    with pytest.raises(DataError, match="is not the published"):
        CaliforniaHousing().load(Source(tmp_path))
