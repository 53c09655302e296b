"""The fields that a sweep may set: their short names, their paths and their types."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from experiments.datasets import DATASETS, DatasetSpec
from experiments.field_paths import Path, parse_path, write_path
from experiments.losses import LOSSES, LossSpec
from experiments.networks import ModelChoice
from experiments.optimizers import OPTIMIZERS, OptimizerSpec
from experiments.sections import Backend, StopSpec, TrainingSpec

ANNOTATIONS: dict[str, Any] = {
    "dataset": DatasetSpec, "model": ModelChoice, "loss": LossSpec, "optimizer": OptimizerSpec,
    "training": TrainingSpec, "backend": Backend,
}  # fmt: skip
SECTIONS = tuple(ANNOTATIONS)
"""The parts of a spec that decide the result and may be swept."""
NAMED_SECTIONS = frozenset({("optimizer",), ("loss",), ("dataset",)})
"""Sections that may be given by a bare name."""
NOT_SWEPT = {
    "name": "it names the whole experiment", "description": "it describes the whole experiment",
    "tags": "they belong to the whole experiment", "sweep": "a sweep cannot sweep itself",
    "compare": "the question is one for the whole experiment", "priority": "it does not change the result",
    "reuse": "it does not change the result",
    "device": "it does not decide the result", "artifacts": "they do not change the result",
    "diagnostics": "they do not change the result", "gradient_check": "it does not change the result",
    "seed": "seeds are swept by `seeds`", "metrics": "they do not change the result",
}  # fmt: skip
"""Fields of a spec that cannot be an axis, and why."""


def _short_names() -> dict[str, Path]:
    """Field name -> path, for names that mean one field. Sections come first, then the model's own fields."""
    names: dict[str, Path] = {section: (section,) for section in SECTIONS}
    groups: list[tuple[str, set[str]]] = [
        ("model", set(ModelChoice.model_fields)),
        ("training", set(TrainingSpec.model_fields)),
        ("optimizer", {field for entry in OPTIMIZERS.values() for field in entry.model_fields} - {"name"}),
        ("loss", {field for entry in LOSSES.values() for field in entry.model_fields} - {"name"}),
        ("dataset", {field for entry in DATASETS.values() for field in entry.model_fields} - {"name"}),
    ]
    for section, fields in groups:
        for field in sorted(fields):
            names.setdefault(field, (section, field))
    for field in StopSpec.model_fields:
        names.setdefault(field, ("training", "stop", field))
    return names


SHORT_NAMES: dict[str, Path] = _short_names()


def field_path(name: str) -> Path | None:
    """The field that a short name or a path stands for. None where no field of that name may be swept."""
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    path = parse_path(name)
    return path if path is not None and path[0] in SECTIONS and len(path) > 1 else None


def factor_name(path: Path) -> str:
    """The short name of a field where it has one, else its path as text."""
    last = str(path[-1])
    return last if SHORT_NAMES.get(last) == path else write_path(path)


def canonical_factor_name(name: str) -> str:
    """The name by which runs know a field, from its short name or its path. Any other name stays as it is."""
    path = field_path(name)
    return name if path is None else factor_name(path)


@functools.cache
def takes_whole_numbers(path: Path) -> bool:
    """Whether the field at a path takes whole numbers but no other numbers."""
    annotations: list[Any] = [ANNOTATIONS[str(path[0])]]
    for step in path[1:]:
        annotations = [inner for annotation in annotations for inner in _inside(annotation, step)]
    kinds = {kind for annotation in annotations for kind in _options(annotation)}
    return int in kinds and float not in kinds


def _inside(annotation: Any, step: str | int) -> Iterator[Any]:
    """The annotations of what may stand at a field or an index of a value."""
    for option in _options(annotation):
        if isinstance(step, int):
            if get_origin(option) in (list, tuple):
                yield get_args(option)[0]
        elif isinstance(option, type) and issubclass(option, BaseModel) and step in option.model_fields:
            yield option.model_fields[step].annotation


def _options(annotation: Any) -> Iterator[Any]:
    """The members of a union, without the metadata of `Annotated`."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    else:
        yield annotation
