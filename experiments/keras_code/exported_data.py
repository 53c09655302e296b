"""Lines of a program that load the data of a run: x_train, y_train and the other parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.datasets import Data, Source
from experiments.datasets.base import Resplit
from experiments.datasets.bundled import Diabetes, Digits
from experiments.datasets.curves import Curve, Polynomial, Sine
from experiments.datasets.mnist import Mnist
from experiments.datasets.recall import Recall
from experiments.errors import SpecError
from experiments.runs import RunSpec

MOST_NUMBERS = 20_000
"""Numbers that are written into a program."""


def data_lines(run: RunSpec) -> list[str]:
    """The code. Raises SpecError where the numbers are too many to be written down, DataError where they are not here."""
    dataset = run.dataset
    match dataset:
        case Mnist():
            lines = [*_mnist(run), *_redrawn(dataset, 60_000)]
        case Digits():
            lines = _digits(run, dataset)
        case Diabetes():
            lines = _diabetes(run, dataset)
        case Curve():
            lines = [*_curve(run, dataset), *_redrawn(dataset, dataset.samples - dataset.samples // 5)]
        case Recall():
            lines = [*_recall(dataset), *_redrawn(dataset, dataset.samples - dataset.samples // 5)]
        case _:
            return [*_written(run), *_encoded(run)]
    return [*lines, *_parts(run), *_encoded(run)]


def _mnist(run: RunSpec) -> list[str]:
    return [
        "# In the folder that GRADUS_DATA_DIR names, else from Keras' cache or its address.",
        'path = os.path.join(os.environ.get("GRADUS_DATA_DIR", ""), "mnist.npz")',
        "if os.path.exists(path):",
        "    with np.load(path) as file:",
        '        (x, y), (x_test, y_test) = [(file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")]',
        "else:",
        "    (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()",
        'x, x_test = [part[..., None].astype("float32") / np.float32(255) for part in (x, x_test)]',
        'y, y_test = y.astype("int32"), y_test.astype("int32")',
    ]


def _digits(run: RunSpec, dataset: Digits) -> list[str]:
    return [
        "from sklearn.datasets import load_digits",
        "",
        "digits = load_digits()",
        f"order = np.random.default_rng({dataset.split_seed}).permutation(len(digits.images))",
        'x = (digits.images[order, :, :, None] / 16).astype("float32")',
        'y = digits.target[order].astype("int32")',
        "x, x_test, y, y_test = x[:1438], x[1438:], y[:1438], y[1438:]",
    ]


def _diabetes(run: RunSpec, dataset: Diabetes) -> list[str]:
    training = run.data_shape.n_train
    return [
        "from sklearn.datasets import load_diabetes",
        "",
        "diabetes = load_diabetes(scaled=False)",
        f"order = np.random.default_rng({dataset.split_seed}).permutation(len(diabetes.data))",
        "x, y = np.asarray(diabetes.data, float)[order], np.asarray(diabetes.target, float)[order, None]",
        f'x = ((x - x[:{training}].mean(0)) / x[:{training}].std(0)).astype("float32")',
        f'y = ((y - y[:{training}].mean()) / y[:{training}].std()).astype("float32")',
        "x, x_test, y, y_test = x[:354], x[354:], y[:354], y[354:]",
    ]


def _curve(run: RunSpec, dataset: Curve) -> list[str]:
    if isinstance(dataset, Sine):
        formula = f"{dataset.amplitude!r} * np.sin(2 * np.pi * {dataset.frequency!r} * x + {dataset.phase!r})"
    elif isinstance(dataset, Polynomial):
        formula = f"np.polynomial.polynomial.polyval(x, {list(dataset.coefficients)})"
    else:
        truth = dataset.truth()
        formula = f"{truth['slope']!r} * x + {truth['intercept']!r}"
    kept = dataset.samples - dataset.samples // 5
    return [
        f"draw = np.random.default_rng({dataset.data_seed})",
        f"x = draw.uniform({dataset.low!r}, {dataset.high!r}, ({dataset.samples}, 1))",
        f"y = {formula} + {dataset.noise!r} * draw.standard_normal(x.shape)",
        'x, y = x.astype("float32"), y.astype("float32")',
        f"x, x_test, y, y_test = x[:{kept}], x[{kept}:], y[:{kept}], y[{kept}:]",
    ]


def _recall(dataset: Recall) -> list[str]:
    samples, letters, small = dataset.samples, dataset.vocabulary, dataset.length - 1
    kept = samples - samples // 5
    return [
        f"draw = np.random.default_rng({dataset.data_seed})",
        f'y = draw.permutation(np.arange({samples}) % 2).astype("int32")',
        f"asked = draw.integers(0, {letters}, {samples})",
        f"others = draw.integers(0, {letters - 1}, ({samples}, {small}))",
        "others += others >= asked[:, None]",
        f"place, rows = draw.integers(0, {small}, {samples}), np.flatnonzero(y)",
        "others[rows, place[rows]] = asked[rows]",
        f'x = np.concatenate([{letters} + asked[:, None], others], axis=1).astype("float32")',
        f"x, x_test, y, y_test = x[:{kept}], x[{kept}:], y[:{kept}], y[{kept}:]",
    ]


def _redrawn(dataset: Resplit, kept: int) -> list[str]:
    """Lines that draw other parts from all samples, where a seed says so. kept: samples that are not for testing."""
    if dataset.split_seed is None:
        return []
    return [
        "x, y = np.concatenate([x, x_test]), np.concatenate([y, y_test])",
        f"order = np.random.default_rng({dataset.split_seed}).permutation(len(x))",
        f"x, x_test, y, y_test = x[order[:{kept}]], x[order[{kept}:]], y[order[:{kept}]], y[order[{kept}:]]",
    ]


def _parts(run: RunSpec) -> list[str]:
    shape = run.data_shape
    lines = []
    if run.model.data_format == "channels_first" and shape.is_image:
        lines.append("x, x_test = np.moveaxis(x, -1, 1), np.moveaxis(x_test, -1, 1)")
    lines.append(f"x_train, y_train = x[:{shape.n_train}], y[:{shape.n_train}]")
    if shape.n_validation:
        lines.append(f"x_validation, y_validation = x[-{shape.n_validation}:], y[-{shape.n_validation}:]")
    return lines


def _written(run: RunSpec) -> list[str]:
    """The numbers themselves."""
    data = run.dataset.load(Source(), run.model.data_format)
    parts = {name: getattr(data, name) for name in _names(data)}
    count = sum(part.size for part in parts.values())
    if count > MOST_NUMBERS:
        raise SpecError.one(
            "dataset",
            f"{run.dataset.name} has {count:,} numbers, too many to be written into a program",
            f"at most {MOST_NUMBERS:,}, or mnist, digits, diabetes, linear, sine, polynomial, recall",
        )
    return [f'{name} = np.array({_shortest(part)}, "{part.dtype}")' for name, part in parts.items()]


def _names(data: Data) -> list[str]:
    names = [f"{axis}_{part}" for part in ("train", "validation", "test") for axis in ("x", "y")]
    return [name for name in names if len(getattr(data, name))]


def _shortest(array: Any) -> str:
    """Nested lists of the shortest numbers that are read back as the same float32."""
    if array.ndim == 0:
        return str(array) if array.dtype.kind in "iu" else str(np.float32(array))
    return f"[{', '.join(_shortest(entry) for entry in array)}]"


def _encoded(run: RunSpec) -> list[str]:
    """The targets as the loss takes them."""
    shape = run.data_shape
    parts = ["train", *(["validation"] if shape.n_validation else []), *(["test"] if shape.n_test else [])]
    names = ", ".join(f"y_{part}" for part in parts) + ("," if len(parts) == 1 else "")
    if run.encoding == "integer":
        return []
    change = 'part.astype("float32").reshape(len(part), -1)'
    if run.encoding == "one_hot":
        change = f'np.eye({shape.classes}, dtype="float32")[part]'
    return [f"{names} = [{change} for part in ({names})]"]
