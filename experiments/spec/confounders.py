"""Confounders: fields of a RunSpec that decide its result and differ along with the factor of a comparison.

A comparison over one factor may only claim what the factor did. So the runs of its levels are compared field by
field, without the fields that the factor itself sets, the seed, and the fields that were tuned per level.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from experiments.field_paths import Path, write_path
from experiments.networks import FORMS, PATTERN_FIELDS
from experiments.spec.factors import CASE
from experiments.spec.swept_fields import field_path

IMPLIED = frozenset({"flatten", "reshape"})
"""Types of the layers that `resolve` adds where shapes ask for them."""
UNDECISIVE = frozenset({"seed", "gradient_check", "diagnostics", "artifacts", "device"})
_FOLLOWS_LOSS = ("activation", "units")
"""Fields of the output layer that follow the loss and the data set."""


def flatten(value: object, path: Path = ()) -> Iterable[tuple[Path, str]]:
    """Every leaf of plain data with its path; leaves as JSON text without quotes."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, (*path, str(key)))
    elif isinstance(value, list | tuple) and value:
        for index, inner in enumerate(value):
            yield from flatten(inner, (*path, index))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def possible_confounders(
    run_spec: Mapping[str, Any], owned: Callable[[Path], bool], written: Sequence[str] = ()
) -> dict[str, str]:
    """The fields that decide a run's result, by path, without those that the factor owns.

    Layers are numbered as the person wrote them. A sweep names them so, and a resolved network also has the layers
    that its data and shapes imply.

    Args:
        run_spec: a RunSpec as JSON
        owned: whether a field is set by the factor (see `owner`)
        written: the types of the layers that the spec writes; empty where it gives the network in another form
    """
    decisive = {key: value for key, value in run_spec.items() if key not in UNDECISIVE}
    numbers = written_numbers([layer["type"] for layer in run_spec["model"]["layers"]], written)
    fields = {}
    for path, text in flatten(decisive):
        place: Path | None = path
        if path[:2] == ("model", "layers") and len(path) > 2:
            number = numbers[int(path[2])]
            place = None if number is None else (*path[:2], number, *path[3:])
        if place is not None and not owned(place):
            fields[write_path(place)] = text
    return fields


def written_numbers(resolved: Sequence[str], written: Sequence[str]) -> list[int | None]:
    """The number that each layer of a resolved network has in the spec; None for a layer that is implied.

    Args:
        resolved: the types of the network's layers
        written: the types of the layers that the spec writes; empty where it gives the network in another form, whose
            flatten and reshape layers are all implied
    """
    numbers: list[int | None] = []
    number = 0
    for kind in resolved:
        implied = kind in IMPLIED and (not written or number >= len(written) or written[number] != kind)
        numbers.append(None if implied else number)
        number += not implied
    return numbers


def criterion(run_spec: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """What a `loss` metric of a RunSpec (as JSON) measures, as (field, value) pairs.

    That is the loss with its settings, and the penalties of all layers, which Keras' `evaluate` adds on any data.
    """
    fields = set()
    for path, value in flatten(run_spec):
        starts = (i for i, step in enumerate(path) if str(step).endswith("_regularizer"))
        start = 0 if path[0] == "loss" else next(starts, None)
        if start is not None and value != "null":
            fields.add((write_path(path[start:]), value))
    return frozenset(fields)


def other_measure(metric: str, run_specs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Why the metric is not the same measure for all of these runs, in words; empty where it is.

    A lower loss is not better where the loss is another one, or where another penalty is added to it.
    """
    every = {criterion(run_spec) for run_spec in run_specs} if metric.endswith("/loss") else set()
    if not every:
        return ()
    fields = {path.partition(".")[0] for path, _ in frozenset.union(*every) - frozenset.intersection(*every)}
    return (f"what {metric} measures ({', '.join(sorted(fields))})",) if fields else ()


def owner(
    factors: Collection[str], cases: Mapping[str, Mapping[str, object]] | None = None
) -> Callable[[Path], bool]:
    """A test of whether these factors set a field of a resolved RunSpec. `case` owns what the cases set."""
    paths: set[Path] = set()
    for factor in factors:
        if factor == CASE:
            written = (name for fields in (cases or {}).values() for name in fields)
            paths.update(field_path(name) or (name,) for name in written)
        else:
            own = field_path(factor)
            if own is not None:
                paths.add(own)
    whole_model = any(path[:1] == ("model",) and _shapes_model(path) for path in paths)
    defaults = {
        str(path[1]) for path in paths if len(path) >= 2 and path[0] == "model" and not _shapes_model(path)
    }
    decides_output = any(path[0] in ("loss", "dataset") for path in paths)

    def owns(path: Path) -> bool:
        if any(path[: len(own)] == own or (path[-1:] == ("name",) and own == path[:-1]) for own in paths):
            return True
        if path[0] == "model":
            field = path[3] if len(path) > 3 else path[-1]
            return whole_model or field in defaults or (decides_output and field in _FOLLOWS_LOSS)
        return decides_output and path[0] == "loss"

    return owns


def _shapes_model(path: Path) -> bool:
    """Whether setting this path of the model decides which layers there are."""
    if len(path) == 1:
        return True
    return path[1] in (*FORMS, *PATTERN_FIELDS) and not (path[1] == "layers" and len(path) > 3)


_SHORT = re.compile(r"^(?:model\.layers\[\d+\]|model|training|optimizer)\.")


def display(paths: Iterable[str]) -> list[str]:
    """Names a person reads: `optimizer` for `optimizer.name` and the settings that follow it, layers without number."""
    paths = list(paths)
    entries = {path.removesuffix(".name") for path in paths if path.endswith(".name")}
    names: dict[str, None] = {}
    for path in paths:
        text = next((entry for entry in entries if path.startswith(f"{entry}.")), path)
        names[_SHORT.sub("", text) or text] = None
    return list(names)
