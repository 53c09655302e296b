"""Functions of NumPy, scikit-learn and Keras that make data or change them, and what comes back."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from experiments.datasets import DATASETS
from experiments.keras_code.arithmetic import MAX_SEQUENCE, binary, number
from experiments.keras_code.notes import Notes
from experiments.keras_code.values import UNKNOWN, Curve, Data, Noise, Part, Rows, Source, cut

Call = Callable[["Arguments", int, Notes], Any]
IMAGES = {"mnist": (28, 28), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3)}
"""Data sets of Keras with 60,000 or 50,000 training images in bytes: name -> shape of one."""
PLANES = {"make_moons": "moons", "make_circles": "circles", "make_blobs": "blobs"}
SAME = frozenset(
    {
        "array", "asarray", "ascontiguousarray", "float32", "float64", "expand_dims", "squeeze", "copy", "cast", "constant",
        "convert_to_tensor", "atleast_2d", "vstack", "ravel", "astype", "normalize", "scale", "fit_transform", "transform",
        "shuffle", "permutation", "column_stack",
    }
)  # fmt: skip
"""Calls that give back their first argument as far as a spec is concerned."""

SYSTEM = frozenset({"time", "datetime", "timeit", "os", "sys", "platform", "logging"})
"""Modules whose calls give what is known only when the program runs."""


class Arguments:
    """The arguments of a call, by position or name."""

    def __init__(self, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> None:
        self.arguments, self.keywords = arguments, keywords

    def get(self, position: int, name: str, default: Any = None) -> Any:
        if name in self.keywords:
            return self.keywords[name]
        return self.arguments[position] if len(self.arguments) > position else default


def known_call(path: str, given: Arguments, line: int, notes: Notes) -> Any:
    """What a call of an imported function gives; None where the function is not in the tables."""
    root, last = path.partition(".")[0], path.rpartition(".")[2]
    if root in SYSTEM:
        return UNKNOWN
    if last == "load_data":
        return _keras_data(path.split(".")[-2] if "." in path else "", line, notes)
    if last in CALLS:
        return CALLS[last](given, line, notes)
    if last.startswith(("load_", "fetch_", "make_")) and "sklearn" in root:
        return _not_here(last, line, notes)
    if last in SAME and given.arguments and isinstance(given.arguments[0], Part | Curve | Rows):
        return _same(last, given, line, notes)
    if last in ("read_csv", "loadtxt", "genfromtxt", "read_excel", "read_parquet"):
        how = "dataset: {name: upload, …} after uploading the file"
        notes.add(line, "left out", f"{last}: a file of one's own is no part of a program; write {how}")
        return UNKNOWN
    if root in ("numpy", "np") and ".random" in path:
        return _random(last, given, line)
    return None


def _keras_data(name: str, line: int, notes: Notes) -> Any:
    if name not in DATASETS or name not in IMAGES:
        _not_here(f"{name}.load_data", line, notes)
        return ((UNKNOWN, UNKNOWN), (UNKNOWN, UNKNOWN))
    rows = {"train": 50_000 if name == "cifar10" else 60_000, "test": 10_000}
    source = Source({"name": name}, line, rows, IMAGES[name], divisor=255.0)
    notes.add(line, "read", f"dataset: {name}; inputs are in [0, 1] here")
    return tuple(
        (Part(source, "x", part, shape=source.shape), Part(source, "y", part)) for part in ("train", "test")
    )


def _not_here(what: str, line: int, notes: Notes) -> Any:
    text = f"{what}: these data are not here; write dataset: one of gradus catalog datasets, or your own rows as inline"
    notes.add(line, "left out", text)
    return UNKNOWN


def _bundled(name: str, rows: int, shape: tuple[int, ...], divisor: float | None) -> Call:
    def load(given: Arguments, line: int, notes: Notes) -> Any:
        source = Source({"name": name}, line, {"all": rows}, shape, divisor)
        notes.add(line, "read", f"dataset: {name}; a fifth of the rows is the test part here")
        x, y = Part(source, "x", "all", shape=shape), Part(source, "y", "all")
        return (
            (x, y)
            if given.get(0, "return_X_y") or given.keywords.get("return_X_y")
            else {"data": x, "images": x, "target": y}
        )

    return load


def _plane(function: str) -> Call:
    def make(given: Arguments, line: int, notes: Notes) -> Any:
        samples = given.get(0, "n_samples", 100)
        document: dict[str, Any] = {
            "name": PLANES[function],
            "samples": samples if isinstance(samples, int) else 100,
        }
        noise = given.keywords.get("noise", given.keywords.get("cluster_std"))
        document["noise"] = float(noise) if number(noise) else 0.0
        if function == "make_blobs":
            centers = given.keywords.get("centers", 3)
            document["classes"] = centers if isinstance(centers, int) else 3
            document["noise"] = float(noise) if number(noise) else 0.3
            notes.add(
                line,
                "changed",
                "dataset: blobs; the clouds lie on a circle of radius 1, so cluster_std is to be chosen for that",
            )
        elif number(given.keywords.get("factor")):
            document["factor"] = float(given.keywords["factor"])
        seed = given.keywords.get("random_state")
        if isinstance(seed, int):
            document["data_seed"] = seed
        notes.add(
            line,
            "changed",
            f"dataset: {PLANES[function]}; the same formula, with points of its own and a fifth of them for testing",
        )
        source = Source(document, line, {"all": document["samples"]}, (2,))
        return Part(source, "x", "all", shape=(2,)), Part(source, "y", "all")

    return make


def _line(low_at: int, names: tuple[str, str, str], default: int) -> Call:
    """linspace and its kin: numbers spread over an interval."""

    def make(given: Arguments, line: int, notes: Notes) -> Any:
        low, high = given.get(low_at, names[0]), given.get(low_at + 1, names[1])
        count = given.get(low_at + 2, names[2], default)
        if isinstance(count, tuple | list) and count:
            count = math.prod(n for n in count if isinstance(n, int))
        if not (
            number(low) and number(high) and isinstance(count, int) and 0 < count <= 10**6 and low < high
        ):
            return UNKNOWN
        return Curve((float(low), float(high), count), (0.0, 1.0), line)

    return make


def _arange(given: Arguments, line: int, notes: Notes) -> Any:
    numbers = [value for value in given.arguments if number(value)]
    if len(numbers) != len(given.arguments) or not numbers:
        return UNKNOWN
    low, high = (0, numbers[0]) if len(numbers) == 1 else numbers[:2]
    step = numbers[2] if len(numbers) > 2 else 1
    if step <= 0 or not 0 < (high - low) / step <= 10**6:
        return UNKNOWN
    return Curve((float(low), float(high), math.ceil((high - low) / step)), (0.0, 1.0), line)


def _random(last: str, given: Arguments, line: int) -> Any:
    if last == "normal":
        mean, stddev = given.get(0, "loc", 0.0), given.get(1, "scale", 1.0)
        return Noise(float(mean), float(stddev)) if number(mean) and number(stddev) else UNKNOWN
    if last in ("randn", "standard_normal"):
        return Noise(0.0, 1.0)
    if last in ("rand", "random", "random_sample"):
        size = (
            given.arguments[0]
            if given.arguments and isinstance(given.arguments[0], tuple | list)
            else given.arguments
        )
        if (
            size
            and all(isinstance(n, int) for n in size)
            and math.prod(size[1:]) == 1
            and 0 < size[0] <= 10**6
        ):
            return Curve((0.0, 1.0, size[0]), (0.0, 1.0), line)
    return UNKNOWN


def _sine(given: Arguments, line: int, notes: Notes) -> Any:
    return _wave(given, 0.0)


def _cosine(given: Arguments, line: int, notes: Notes) -> Any:
    return _wave(given, math.pi / 2)


def _wave(given: Arguments, phase: float) -> Any:
    x = given.get(0, "x")
    if number(x):
        return math.sin(x + phase)
    if not isinstance(x, Curve) or x.sine or x.noise or len(x.coefficients) > 2:
        return UNKNOWN
    offset, slope = (*x.coefficients, 0.0)[:2]
    return replace(x, coefficients=(0.0,), sine=(1.0, slope, offset + phase))


def _power(given: Arguments, line: int, notes: Notes) -> Any:
    return binary(ast.Pow(), given.get(0, "x1"), given.get(1, "x2", 2))


def _written(given: Arguments, line: int, notes: Notes) -> Any:
    value = given.get(0, "object")
    if isinstance(value, Part | Curve | Rows):
        return value
    frozen = _frozen(value)
    return UNKNOWN if frozen is None else Rows(frozen, line)


def _frozen(value: Any) -> tuple[Any, ...] | None:
    """Lists of numbers as tuples; None for anything else."""
    if not isinstance(value, tuple | list) or not 0 < len(value) <= MAX_SEQUENCE:
        return None
    result = []
    for entry in value:
        inner = entry if number(entry) else _frozen(entry)
        if inner is None:
            return None
        result.append(inner)
    return tuple(result)


def _one_hot(given: Arguments, line: int, notes: Notes) -> Any:
    y = given.get(0, "y")
    if isinstance(y, Part | Rows):
        notes.add(line, "read", "classes as rows of 0 and 1: done by itself, as the loss needs them")
        return replace(y, one_hot=True)
    return UNKNOWN


def _split(given: Arguments, line: int, notes: Notes) -> Any:
    share = given.keywords.get("test_size", 0.25)
    parts: list[Any] = []
    for data in given.arguments:
        if not isinstance(data, Part | Curve | Rows):
            return [UNKNOWN] * (2 * len(given.arguments))
        rows = len(data.numbers) if isinstance(data, Rows) else data.rows
        if rows is None or not number(share):
            parts += [data, data]
            continue
        test = math.ceil(share * rows) if isinstance(share, float) else int(share)
        parts += [cut(data, 0, rows - test), cut(data, rows - test, rows)]
    seed = given.keywords.get("random_state")
    first = given.arguments[0] if given.arguments else None
    if isinstance(first, Part) and isinstance(seed, int):
        field = DATASETS[first.source.document["name"]].model_fields.get("split_seed")
        if field is not None and field.default is not None:  # else the data set comes with its parts
            first.source.document["split_seed"] = seed
    return parts


def _same(last: str, given: Arguments, line: int, notes: Notes) -> Any:
    data: Data = given.arguments[0]
    if last in ("normalize", "scale", "fit_transform", "transform") and isinstance(data, Part):
        data.source.scaled, data.source.exactly_scaled = True, False
    return data


def _product(given: Arguments, line: int, notes: Notes) -> Any:
    sizes = given.get(0, "a")
    return math.prod(sizes) if isinstance(sizes, tuple | list) and all(number(n) for n in sizes) else UNKNOWN


CALLS: dict[str, Call] = {
    "load_digits": _bundled("digits", 1797, (64,), 16.0),
    "load_diabetes": _bundled("diabetes", 442, (10,), None),
    **{name: _plane(name) for name in PLANES},
    "linspace": _line(0, ("start", "stop", "num"), 50),
    "uniform": _line(0, ("low", "high", "size"), 1),
    "arange": _arange,
    "sin": _sine,
    "cos": _cosine,
    "square": _power,
    "power": _power,
    "array": _written,
    "asarray": _written,
    "to_categorical": _one_hot,
    "train_test_split": _split,
    "prod": _product,
}
"""Function -> what it gives. Found by the last part of the name, wherever a program imported it from."""
