"""Initial weights: a function of (run seed, layer, weight) alone, drawn by NumPy.

Keras' own initialisers draw from the backend's generator, so one seed would start differently on every backend. Here
Keras' formulas (experiments/initializers.py) are applied to NumPy's Philox, and a run starts equal everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from experiments.initializers import INITIALIZERS
from experiments.keras_ext.noise import Words
from experiments.randomness import noise_seed, weights

Array = npt.NDArray[Any]
BY_KERAS_NAME = {row.keras_name: (name, row) for name, row in INITIALIZERS.items() if name != "auto"}


@dataclass(frozen=True)
class Draw:
    """How one weight of a network is drawn.

    Attributes:
        variable: the weight.
        initializer: a Keras initialiser, or a function of (shape, dtype) that calls those of `part`.
        part: the layer that made the weight: an entry of the network, or the cell inside it.
        layer: index of the entry in the network.
        weight: hash of the part's number and the weight's name.
        given: the values as nested tuples, where the spec gives them; then nothing is drawn.
    """

    variable: keras.Variable
    initializer: Callable[..., Any]
    part: keras.layers.Layer | None
    layer: int
    weight: int
    given: tuple[Any, ...] | None = None

    def values(self, seed: int) -> Array:
        """The weight's values for a run's seed, in its shape and dtype."""
        shape, dtype = tuple(self.variable.shape), self.variable.dtype
        if self.given is not None:
            return np.asarray(self.given, dtype)
        if isinstance(self.initializer, Words):
            return np.asarray([noise_seed(seed, self.layer), 0], dtype)
        random = weights(seed, self.layer, self.weight)
        if isinstance(self.initializer, keras.initializers.Initializer):
            return _drawn(self.initializer, shape, random).astype(dtype)
        with _drawing_with(self.part, random):
            return np.asarray(keras.ops.convert_to_numpy(self.initializer(shape, dtype=dtype)))


def initial_weights(draws: Sequence[Draw], seed: int) -> list[Array]:
    """The values of all weights for a run's seed, in the order of `draws`.

    Layer i of two runs of one seed gets the same numbers wherever shape and initialiser agree.
    """
    return [draw.values(seed) for draw in draws]


@contextmanager
def noting_draws(layers: Sequence[keras.layers.Layer]) -> Iterator[list[Draw]]:
    """Within it, the layers create their weights as zeros, and how each is to be drawn is noted in the list."""
    draws: list[Draw] = []
    parts = [
        (part, index, number)
        for index, layer in enumerate(layers)
        for number, part in enumerate(layer._flatten_layers())
    ]
    for part, index, number in parts:
        object.__setattr__(part, "add_weight", _noting(part, index, number, draws))
    try:
        yield draws
    finally:
        for part, _, _ in parts:
            vars(part).pop("add_weight", None)


def in_order_of(variables: Sequence[keras.Variable], draws: Sequence[Draw]) -> list[Draw]:
    """The draws of these variables, in their order.

    What no initialiser draws stays 0: the state of a generator that recurrent cells keep and nothing uses.
    """
    by_variable = {id(draw.variable): draw for draw in draws}
    zeros = keras.initializers.Zeros()
    return [by_variable.get(id(v)) or Draw(v, zeros, None, 0, 0) for v in variables]


def with_given(draws: Sequence[Draw], given: Mapping[int, Sequence[tuple[Any, ...]]]) -> list[Draw]:
    """The same draws, those of some layers with the values that the spec gives.

    Args:
        draws: in the order of the network's variables.
        given: index of a layer -> the values of its weights in Keras' order.
    """
    values = {index: iter(weights) for index, weights in given.items()}
    return [
        replace(draw, given=next(values[draw.layer]))
        if draw.layer in values and draw.part is not None and not isinstance(draw.initializer, Words)
        else draw
        for draw in draws
    ]


def _noting(part: keras.layers.Layer, index: int, number: int, draws: list[Draw]) -> Callable[..., Any]:
    """`part.add_weight` that makes zeros and notes the initialiser it was given."""
    add_weight = part.add_weight

    def noting(*args: Any, **kwargs: Any) -> Any:
        initializer = keras.initializers.get(kwargs.get("initializer") or "zeros")
        variable = add_weight(*args, **{**kwargs, "initializer": _zeros})
        weight = zlib.crc32(f"{number}:{variable.name}".encode())
        draws.append(Draw(variable, initializer, part, index, weight))
        return variable

    return noting


def _zeros(shape: Sequence[int], dtype: str) -> Array:
    """Made on the host: Keras' own would be compiled for every shape."""
    return np.zeros(shape, dtype)


def _drawn(
    initializer: keras.initializers.Initializer, shape: Sequence[int], random: np.random.Generator
) -> Array:
    """By the row of the table that has the Keras initialiser's name and settings."""
    name, row = BY_KERAS_NAME[type(initializer).__name__]
    config = initializer.get_config()
    settings = {field: config[field] for field in row.model_fields if field in config}
    return row.model_validate({"name": name, **settings}).draw(shape, random)


@contextmanager
def _drawing_with(part: Any, random: np.random.Generator) -> Iterator[None]:
    """Within it, the part's own initialisers draw by NumPy."""
    originals = {
        name: value for name, value in vars(part).items() if isinstance(value, keras.initializers.Initializer)
    }
    for name, initializer in originals.items():
        drawing = lambda shape, dtype=None, i=initializer: _drawn(i, shape, random).astype(dtype)  # noqa: E731
        object.__setattr__(part, name, drawing)
    try:
        yield
    finally:
        for name, initializer in originals.items():
            object.__setattr__(part, name, initializer)
