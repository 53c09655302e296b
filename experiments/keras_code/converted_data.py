"""What a program trains on as the spec's `dataset`."""

from __future__ import annotations

import math
from typing import Any

from experiments.datasets import DATASETS
from experiments.datasets.gates import CORNERS, Gate
from experiments.keras_code.notes import Notes
from experiments.keras_code.values import Curve, Part, Rows
from experiments.messages import short


def dataset_of(
    x: Any, y: Any, output: tuple[int | None, str], line: int, notes: Notes
) -> dict[str, Any] | None:
    """The data set of a training.

    Args:
        x, y: what `fit` is given.
        output: units of the last layer and its activation.
        line: of the call.

    Returns:
        plain data, or None where it cannot be read; a note says what to write.
    """
    if isinstance(x, Part):
        return _of_source(x, y, notes)
    if isinstance(x, Curve) and isinstance(y, Curve) and x.is_axis and x.axis == y.axis:
        return _of_curve(x, y, notes)
    if isinstance(x, Rows) and isinstance(y, Rows) and len(x.numbers) == len(y.numbers):
        return _of_rows(x, y, output, notes)
    text = "the data that it trains on are not known before the program runs; write dataset: one of gradus catalog datasets, or inline"
    notes.add(line, "left out", text)
    return None


def training_rows(x: Any) -> int | None:
    """How many rows `fit` is given."""
    if isinstance(x, Rows):
        return len(x.numbers)
    return x.rows if isinstance(x, Part | Curve) else None


def _of_source(x: Part, y: Any, notes: Notes) -> dict[str, Any]:
    source = x.source
    document = dict(source.document)
    if source.divisor is not None and not source.scaled:
        text = f"inputs stay between 0 and {source.divisor:g} in the program; here they are divided by {source.divisor:g}"
        notes.add(source.line, "changed", text)
    elif not source.exactly_scaled:
        notes.add(
            source.line,
            "changed",
            "the program scales the inputs in its own way; here they are as gradus catalog datasets says",
        )
    rows = x.rows
    total = source.rows.get(x.part)
    if x.part == "train" and rows is not None and total is not None and rows < total:
        if x.start:
            document["validation_split"] = round(1 - rows / total, 6)
            notes.add(
                source.line,
                "changed",
                f"{total - rows:,} rows are set aside for validation: here the last ones",
            )
        else:
            document["train_samples"] = rows
            notes.add(source.line, "read", f"dataset: train_samples {rows}")
    if isinstance(y, Part) and y.which == "x":
        notes.add(
            source.line,
            "left out",
            "an autoencoder: the targets here are the classes; write a network with a class as its output",
        )
    return document


def _of_curve(x: Curve, y: Curve, notes: Notes) -> dict[str, Any] | None:
    low, high, samples = y.axis
    document: dict[str, Any] = {"samples": samples, "low": low, "high": high, "noise": _rounded(y.noise)}
    if y.sine is not None:
        if any(y.coefficients):
            notes.add(
                y.line,
                "left out",
                "a sine on top of a line is no data set here; write dataset: sine, or inline",
            )
            return None
        amplitude, omega, phase = y.sine
        document |= {
            "name": "sine",
            "amplitude": _rounded(amplitude),
            "frequency": _rounded(omega / (2 * math.pi)),
            "phase": _rounded(phase),
        }
    elif len(y.coefficients) <= 2:
        intercept, slope = (*y.coefficients, 0.0)[:2]
        document |= {"name": "linear", "slope": _rounded(slope), "intercept": _rounded(intercept)}
    else:
        document |= {"name": "polynomial", "coefficients": [_rounded(c) for c in y.coefficients]}
    document = {"name": document.pop("name"), **document}
    _note_test_part(x.rows, samples, y.line, notes)
    notes.add(
        y.line, "read", f"dataset: {document['name']}; the same formula, x drawn uniformly by data_seed"
    )
    return document


def _note_test_part(trained: int, samples: int, line: int, notes: Notes) -> None:
    kept = samples - samples // 5
    if trained != kept:
        notes.add(
            line,
            "changed",
            f"{trained} of {samples} rows are trained on in the program; here a fifth is the test part, {kept} are trained on",
        )


def _of_rows(x: Rows, y: Rows, output: tuple[int | None, str], notes: Notes) -> dict[str, Any]:
    inputs = [list(row) if isinstance(row, tuple) else [row] for row in x.numbers]
    shape: list[int] = []
    while inputs and isinstance(inputs[0][0], tuple):
        shape = shape or [len(inputs[0])]
        shape.append(len(inputs[0][0]))
        inputs = [[number for part in row for number in part] for row in inputs]
    targets: list[Any] = [list(row) if isinstance(row, tuple) and len(row) > 1 else row for row in y.numbers]
    targets = [row[0] if isinstance(row, tuple) else row for row in targets]
    gate = _gate(inputs, targets)
    if gate is not None:
        notes.add(x.line, "read", f"dataset: {gate}")
        return {"name": gate}
    kind = "regression"
    one_hot = all(isinstance(row, list) and sorted(row) == [0] * (len(row) - 1) + [1] for row in targets)
    whole = all(not isinstance(row, list) and row == int(row) and row >= 0 for row in targets)
    if one_hot:
        kind, targets = "classification", [row.index(1) for row in targets]
    elif whole and output[1] == "softmax":
        kind = "classification"
    elif whole and set(targets) <= {0, 1} and output == (1, "sigmoid"):
        kind = "binary"
    notes.add(
        x.line,
        "read",
        f"dataset: inline, {len(inputs)} rows, {kind}; the first is {short(inputs[0])} → {short(targets[0])}",
    )
    document: dict[str, Any] = {"name": "inline", "kind": kind, "x": inputs, "y": targets, "test_split": 0}
    return document | ({"input_shape": shape} if len(shape) > 1 else {})


def _gate(inputs: list[list[Any]], targets: list[Any]) -> str | None:
    """The logic gate that four rows are."""
    try:
        table = {
            tuple(row): int(target) for row, target in zip(inputs, targets, strict=True) if target in (0, 1)
        }
    except TypeError:
        return None
    if len(inputs) != 4 or set(table) != set(CORNERS):
        return None
    outputs = tuple(table[corner] for corner in CORNERS)
    return next(
        (n for n, entry in DATASETS.items() if issubclass(entry, Gate) and entry.outputs == outputs), None
    )


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")
