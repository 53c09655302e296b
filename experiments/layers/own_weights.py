"""Initial weights that a person gives: nested lists of numbers, one list for each weight, in Keras' order and shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from experiments.errors import SpecError
from experiments.fields import LARGEST

MOST_NUMBERS = 10_000
"""In one layer: they are stored with every run."""


def _numbers(value: object) -> object:
    """The lists as tuples. What is in them is numbers of bounded size; their shape is checked with the layer's input."""
    if not isinstance(value, list | tuple):
        raise _refused("no list", "a list with the values of every weight: [kernel, bias]")
    left = MOST_NUMBERS

    def nested(item: object, depth: int) -> object:
        nonlocal left
        if isinstance(item, list | tuple):
            if depth > 3:
                raise _refused("lists nested more than four deep", "the shape of the weight")
            return tuple(nested(inner, depth + 1) for inner in item)
        if isinstance(item, bool) or not isinstance(item, int | float) or not abs(item) <= LARGEST:
            raise _refused(f"{str(item)[:40]!r} among the values", f"numbers within ±{LARGEST:g}")
        left -= 1
        if left < 0:
            raise _refused(f"more than {MOST_NUMBERS:,} numbers", "an initializer for so large a layer")
        return float(item)

    return tuple(nested(item, 0) for item in value)


def _refused(found: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("misfit", "{found}", {"found": found, "allowed": allowed})


OwnWeights = Annotated[
    tuple[Any, ...],
    BeforeValidator(_numbers),
    WithJsonSchema({"type": "array", "items": {}, "description": "[kernel, bias], each as nested lists"}),
]
"""The values of all weights of a layer, as `keras.layers.Layer.set_weights` takes them."""


def check_weights(weights: tuple[Any, ...], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Whether a layer can begin with these values.

    Args:
        weights: of `OwnWeights`.
        shapes: name -> shape of every weight of the layer, in Keras' order.

    Raises:
        SpecError: with the path from the layer to the first list that does not fit: `weights[0][2]`.
    """
    wanted = ", ".join(f"{name} {_text(shape)}" for name, shape in shapes.items())
    if len(weights) != len(shapes):
        raise SpecError.one(
            "weights", f"{len(weights)} lists, and the layer has {len(shapes)} weights", wanted
        )
    for index, (values, (name, shape)) in enumerate(zip(weights, shapes.items(), strict=True)):
        _check(values, shape, f"weights[{index}]", f"{name} of shape {_text(shape)}")


def _check(values: object, shape: tuple[int, ...], path: str, allowed: str) -> None:
    if not isinstance(values, tuple):
        if shape:
            raise SpecError.one(path, f"a number where a list of {shape[0]} is needed", allowed)
        return
    if not shape:
        raise SpecError.one(path, f"a list of {len(values)} where a number is needed", allowed)
    if len(values) != shape[0]:
        raise SpecError.one(path, f"a list of {len(values)} where a list of {shape[0]} is needed", allowed)
    for index, inner in enumerate(values):
        _check(inner, shape[1:], f"{path}[{index}]", allowed)


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
