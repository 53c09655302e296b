"""The values that a program's names stand for while it is read: nothing is computed but plain numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Unknown:
    """A value that is not followed."""


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Dotted:
    """An imported name, or an attribute of one: `keras.layers.Dense`."""

    path: str

    @property
    def last(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class Made:
    """A call of a class or a function whose arguments matter: `Dense(32, activation="relu")`.

    Attributes:
        name: the last part of what was called.
        line: of the call, from 1.
        lines: name of a keyword -> the line that it is on, where that is another one.
    """

    name: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    line: int
    lines: Mapping[str, int] = field(default_factory=dict)

    def line_of(self, keyword: str) -> int:
        """The line of an argument by its name."""
        return self.lines.get(keyword, self.line)


@dataclass(frozen=True)
class Joined:
    """Rows of layers that read the same tensor, and what brings them together: `add`, `concatenate` or `average`."""

    how: str
    rows: tuple[tuple[Made | Joined, ...], ...]
    line: int


def calls(layers: Sequence[Made | Joined]) -> Iterator[Made]:
    """Every call among these layers, those in rows too."""
    for layer in layers:
        if isinstance(layer, Joined):
            for row in layer.rows:
                yield from calls(row)
        else:
            yield layer


@dataclass(frozen=True)
class Tensor:
    """What a functional program hands from layer to layer: the layers before it, the input first.

    Attributes:
        shape: of one sample at the input; None where it is not known.
    """

    layers: tuple[Made | Joined, ...] = ()
    shape: tuple[Any, ...] | None = None


@dataclass
class Net:
    """A model of the program.

    Attributes:
        line: where it was made, from 1.
        input_shape: what `Input` says of one sample.
        compiled: the call of `compile`.
        trained: the calls of `fit` or `train_on_batch`, with how often each was repeated.
    """

    line: int
    layers: list[Made | Joined] = field(default_factory=list)
    input_shape: tuple[Any, ...] | None = None
    compiled: Made | None = None
    trained: list[tuple[Made, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Function:
    """A function of the program."""

    node: ast.FunctionDef


@dataclass
class Source:
    """A data set that the program loads or makes.

    Attributes:
        document: the spec's `dataset`.
        rows: of the arrays, where known: part -> count.
        shape: of one sample.
        divisor: of the raw inputs, which gives the range that they have here; None where there is no such number.
        scaled, exactly_scaled: whether the program scales the inputs, and by that number.
    """

    document: dict[str, Any]
    line: int
    rows: dict[str, int]
    shape: tuple[int, ...]
    divisor: float | None = None
    scaled: bool = False
    exactly_scaled: bool = True


@dataclass(frozen=True)
class Part:
    """Inputs or targets of a source.

    Attributes:
        which: `x` or `y`.
        part: `train`, `test` or `all`.
        start, stop: the rows that were cut out.
        shape: of one sample; None where it is not followed.
        one_hot: whether classes are rows of 0 and 1.
    """

    source: Source
    which: str
    part: str
    start: int = 0
    stop: int | None = None
    shape: tuple[int, ...] | None = None
    one_hot: bool = False

    @property
    def rows(self) -> int | None:
        """How many rows it has; None where that is not known."""
        total = self.source.rows.get(self.part)
        end = self.stop if self.stop is not None else total
        return None if end is None else max(end - self.start, 0)


@dataclass(frozen=True)
class Noise:
    """Normally distributed numbers."""

    mean: float
    stddev: float


@dataclass(frozen=True)
class Curve:
    """Numbers that are a function of evenly or uniformly spread x: Σ c_i x^i, or c_0 + a sin(ω x + φ), and noise.

    Attributes:
        axis: (low, high, samples).
        coefficients: of the powers of x.
        sine: (a, ω, φ); None without one.
    """

    axis: tuple[float, float, int]
    coefficients: tuple[float, ...]
    line: int
    sine: tuple[float, float, float] | None = None
    noise: float = 0.0
    start: int = 0
    stop: int | None = None

    @property
    def rows(self) -> int:
        return (self.axis[2] if self.stop is None else self.stop) - self.start

    @property
    def is_axis(self) -> bool:
        return self.coefficients == (0.0, 1.0) and self.sine is None and not self.noise


@dataclass(frozen=True)
class Rows:
    """Numbers that are written in the program, one row or one number per sample."""

    numbers: tuple[Any, ...]
    line: int
    one_hot: bool = False


Data = Part | Curve | Rows


def is_plain(value: object) -> bool:
    """Whether a value can stand in a spec."""
    if isinstance(value, tuple | list):
        return all(is_plain(entry) for entry in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(entry) for key, entry in value.items())
    return value is None or isinstance(value, str | int | float)


def cut(data: Data, start: int, stop: int | None) -> Data:
    """Rows start to stop of what is there."""
    if isinstance(data, Rows):
        return replace(data, numbers=data.numbers[start:stop])
    length = data.rows
    if start < 0 or (stop is not None and stop < 0):
        if length is None:
            return data
        start = max(start + length, 0) if start < 0 else start
        stop = max(stop + length, 0) if stop is not None and stop < 0 else stop
    end = data.stop if stop is None else data.start + stop
    if end is not None and length is not None:
        end = min(end, data.start + length)
    return replace(data, start=data.start + start, stop=end)
