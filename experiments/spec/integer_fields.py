"""Which fields take whole numbers and no others, read from their annotations."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from experiments.spec.run_builder import ANNOTATIONS
from experiments.spec.sweeps import Path


@functools.cache
def takes_whole_numbers(path: Path) -> bool:
    """Whether the field at a path takes whole numbers, but no other numbers."""
    found: list[Any] = [ANNOTATIONS[str(path[0])]]
    for step in path[1:]:
        found = [inner for annotation in found for inner in _inside(annotation, step)]
    kinds = {kind for annotation in found for kind in _options(annotation)}
    return int in kinds and float not in kinds


def _inside(annotation: Any, step: str | int) -> Iterator[Any]:
    """What may stand at a field or an index of a value."""
    for option in _options(annotation):
        if isinstance(step, int):
            if get_origin(option) in (list, tuple):
                yield get_args(option)[0]
        elif isinstance(option, type) and issubclass(option, BaseModel) and step in option.model_fields:
            yield option.model_fields[step].annotation


def _options(annotation: Any) -> Iterator[Any]:
    """The members of a union, without what is annotated to them."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    else:
        yield annotation
