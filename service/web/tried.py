"""How a person tries a run's network: an image is drawn, a number is set by a slider, a text is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.datasets.upload import Upload
from experiments.runs import RunSpec
from service.words import Words

MOST_INPUTS = 12


@dataclass(frozen=True)
class Entry:
    """One input that is set: a slider from `low` to `high`, or a choice among texts."""

    name: str
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    start: float = 0.5
    choices: Sequence[str] = ()


@dataclass(frozen=True)
class Tried:
    """What the page offers.

    Attributes:
        kind: `image`, `numbers`, or empty: neither.
        shape: of one sample.
        entries: the inputs that are set, in the units that a prediction takes.
        labels: the names of the classes, where they are no numbers from 0.
        low, high: black and white of an image.
    """

    kind: str
    shape: tuple[int, ...]
    entries: Sequence[Entry] = ()
    labels: Sequence[str] = ()
    low: float = 0.0
    high: float = 1.0


def tried(spec: RunSpec, say: Words) -> Tried:
    """How the network of a run is tried. Of a person's own file each column is an entry, in its own unit."""
    shape, data = spec.data_shape.input, spec.dataset
    kind = tried_by(shape)
    if isinstance(data, Upload):
        columns = data.input_columns
        labels = data.labels if spec.data_shape.kind != "regression" else ()
        if kind == "image":
            return Tried(kind, shape, labels=labels, low=columns[0].low, high=columns[0].high)
        plain = (
            len(columns) <= MOST_INPUTS
            and len(shape) == 1
            and all(column.shape is None for column in columns)
        )
        entries = [
            Entry(column.name, choices=[str(value) for value in column.values or ()])
            if column.text
            else _slider(column.name, column.low, column.high)
            for column in columns
        ]
        return Tried("numbers", shape, entries, labels) if plain else Tried("", shape)
    if kind != "numbers":
        return Tried(kind, shape)
    names = [say("run.input", n=number + 1) for number in range(shape[0])]
    if spec.model.rows:
        last = spec.model.rows - 1
        return Tried(kind, shape, [Entry(name, 0, last, 1, int(spec.data_shape.high) // 2) for name in names])
    return Tried(kind, shape, [_slider(name, spec.data_shape.low, spec.data_shape.high) for name in names])


def _slider(name: str, low: float, high: float) -> Entry:
    """A slider of a hundred steps that stands in the middle."""
    return Entry(name, low, high, (high - low) / 100 or 1, (low + high) / 2)


def tried_by(shape: tuple[int, ...]) -> str:
    """How a person gives inputs of this shape: an `image` is drawn, `numbers` are set; empty: neither."""
    if len(shape) == 3 and shape[2] == 1:
        return "image"
    return "numbers" if len(shape) == 1 and shape[0] <= MOST_INPUTS else ""
