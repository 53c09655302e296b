"""Sweep axes: their grammar, the fields they name, and their levels."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator
from pydantic_core import PydanticCustomError

from experiments.datasets import DATASETS
from experiments.fields import Count, NonNegative, Real, Seed, Strict
from experiments.losses import LOSSES
from experiments.networks import FORMS, ModelChoice
from experiments.optimizers import OPTIMIZERS
from experiments.sections import StopSpec, TrainingSpec

_A = TypeVar("_A")
Path = tuple[str | int, ...]
Points = Annotated[int, Field(strict=True, ge=2, le=1_000_000)]
Levels = Annotated[list[JsonValue], Field(min_length=1, max_length=100_000)]
"""Bounded by the body; the product over the axes is checked against the limit before anything is built."""
SECTIONS = ("dataset", "model", "loss", "optimizer", "training")
"""The parts of a spec that decide the result and may be swept."""
FIXED = {
    "name": "it names the whole experiment", "description": "it describes the whole experiment",
    "tags": "they belong to the whole experiment", "sweep": "a sweep cannot sweep itself",
    "compare": "the question is one for the whole experiment", "priority": "it does not change the result",
    "device": "it does not decide the result", "artifacts": "they do not change the result",
    "diagnostics": "they do not change the result", "gradient_check": "it does not change the result",
    "seed": "seeds are swept by `seeds`",
}  # fmt: skip


class LogAxis(Strict):
    """Levels evenly spaced in the logarithm, both ends included."""

    log: tuple[
        Annotated[float, Field(strict=True, gt=0, le=1e30)],
        Annotated[float, Field(strict=True, gt=0, le=1e30)],
    ]
    points: Points | None = None

    @model_validator(mode="after")
    def _rises(self) -> Self:
        return _rising(self, self.log)

    @property
    def ends(self) -> tuple[float, float]:
        return self.log

    def at(self, share: float) -> float:
        """The value at a share of the way, rounded to 12 digits so that ends are what was written."""
        low, high = (math.log(end) for end in self.log)
        return float(f"{math.exp(low + share * (high - low)):.12g}")


class LinearAxis(Strict):
    """Levels evenly spaced, both ends included."""

    linear: tuple[Real, Real]
    points: Points | None = None

    @model_validator(mode="after")
    def _rises(self) -> Self:
        return _rising(self, self.linear)

    @property
    def ends(self) -> tuple[float, float]:
        return self.linear

    def at(self, share: float) -> float:
        low, high = self.linear
        return float(f"{low + share * (high - low):.12g}")


def _rising(axis: _A, ends: tuple[float, float]) -> _A:
    if not ends[0] < ends[1]:
        raise PydanticCustomError(
            "misfit",
            "the ends {a} and {b} do not rise",
            {"a": ends[0], "b": ends[1], "allowed": "[low, high]"},
        )
    return axis


def _axis_kind(value: object) -> str | None:
    if isinstance(value, list | tuple):
        return "list"
    if isinstance(value, dict) and {"log", "linear"} <= value.keys():
        return None
    if isinstance(value, LinearAxis) or (isinstance(value, dict) and "linear" in value):
        return "linear"
    if isinstance(value, LogAxis) or (isinstance(value, dict) and "log" in value):
        return "log"
    return None


Axis = Annotated[
    Annotated[Levels, Tag("list")] | Annotated[LogAxis, Tag("log")] | Annotated[LinearAxis, Tag("linear")],
    Discriminator(
        _axis_kind,
        custom_error_type="unknown_axis",
        custom_error_message="no axis",
        custom_error_context={"allowed": "a list of levels, {log: [low, high], points: n} or {linear: …}"},
    ),
]
SeedList = Annotated[list[Seed], Field(min_length=1, max_length=100_000)]
SeedCount = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
Label = Annotated[str, Field(min_length=1, max_length=200)]


class Require(Strict):
    equal_parameters: NonNegative | None = None
    """The largest relative difference between the parameter counts of two runs."""


class Sweep(Strict):
    """Every combination of the axes, cases and seeds. Whatever is no field below is an axis."""

    model_config = ConfigDict(extra="allow")
    EXTRA: ClassVar[object] = Axis
    __pydantic_extra__: dict[str, Axis] = Field(init=False)

    cases: dict[Label, dict[str, JsonValue]] | None = None
    """Labelled sets of fields that change together."""
    seeds: SeedCount | SeedList | None = None
    """A count from the experiment's seed on, or a list."""
    require: Require | None = None
    strategy: Literal["grid", "random"] = "grid"
    runs: Count | None = None
    """How many points strategy random draws."""

    @property
    def axes(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


@dataclass(frozen=True)
class Level:
    """One level of a factor. value: what is written at the axis' path, or for a case its fields by path."""

    label: str
    value: object


_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,4}\]|[0-9]{1,4}")


def parse_path(text: str) -> Path | None:
    """`model.layers[0].units` and `model.layers.0.units` give ("model", "layers", 0, "units"); None where
    it is none.
    """
    steps: list[str | int] = []
    for part in text.replace("[", ".[").split("."):
        if not _STEP.fullmatch(part):
            return None
        steps.append(int(part.strip("[]")) if part.strip("[]").isdigit() else part)
    return tuple(steps) if steps and isinstance(steps[0], str) else None


def _short_names() -> dict[str, Path]:
    """Field name -> path, for names that mean one place. Sections come first, then the model's own fields."""
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


def write_path(path: Path) -> str:
    """The inverse of parse_path."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else step)
    return text


def touched(path: Path, value: object) -> Iterator[Path]:
    """The fields that writing `value` at `path` sets: a mapping sets its own, anything else the path
    itself.
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from touched((*path, str(key)), inner)
    else:
        yield path


def clash(a: Path, b: Path) -> bool:
    """True where one of the two lies on the way to the other."""
    return all(x == y for x, y in zip(a, b, strict=False))


def written(path: Path, value: object) -> list[Path]:
    """`touched`, with the forms of a model counted as one place and a bare name as the entry's name."""
    found: list[Path] = []
    for one in touched(path, value):
        if one in (("optimizer",), ("loss",), ("dataset",)):
            found.append((*one, "name"))
        elif len(one) >= 2 and one[0] == "model" and one[1] in FORMS:
            found.append(("model", "layers", *one[2:]) if one[1] == "layers" else ("model", "layers"))
        else:
            found.append(one)
    return found


def patch(document: dict[str, Any], path: Path, value: object) -> str | None:
    """Write `value` at `path` into plain data, in place. Returns why it cannot be, or None.

    A named entry (optimizer, loss, data set) is replaced as a whole, one form of a model displaces the
    others, and
    a mapping on the way that is missing or null is made.
    """
    holder: Any = document
    for position, step in enumerate(path[:-1]):
        following = path[position + 1]
        if isinstance(step, int):
            if not isinstance(holder, list) or step >= len(holder):
                return f"there is no {write_path(path[: position + 1])}"
            holder[step] = inner = _copied(holder[step])
        else:
            if not isinstance(holder, dict):
                return f"{write_path(path[:position])} is no mapping"
            if isinstance(following, int) and not isinstance(holder.get(step), list | tuple):
                return f"{write_path(path[: position + 1])} is no list"
            holder[step] = inner = _copied(holder.get(step))
        holder = inner
    last = path[-1]
    if isinstance(last, int):
        if not isinstance(holder, list) or last >= len(holder):
            return f"there is no {write_path(path)}"
        holder[last] = value
        return None
    if not isinstance(holder, dict):
        return f"{write_path(path[:-1])} is no mapping"
    if path[0] == "model" and len(path) == 2 and last in FORMS:
        for form in FORMS:
            holder.pop(form, None)
    holder[str(last)] = value
    return None


def _copied(value: object) -> object:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list | tuple) else value


def labels(values: list[object]) -> list[str]:
    """A short text for each level; a named entry by its name alone where that tells the levels apart."""
    names = [value.get("name") if isinstance(value, dict) else None for value in values]

    def label(value: object) -> str:
        if isinstance(value, dict) and "name" in value and names.count(value["name"]) == 1:
            return str(value["name"])
        return text(value)

    return [label(value) for value in values]


def text(value: object) -> str:
    """One level's value as a label of at most 200 characters."""
    if isinstance(value, bool) or value is None:
        result = json.dumps(value)
    elif isinstance(value, float):
        result = f"{value:.12g}"
    elif isinstance(value, dict) and "name" in value:
        rest = ",".join(f"{key}={text(inner)}" for key, inner in value.items() if key != "name")
        result = f"{value['name']}({rest})" if rest else str(value["name"])
    elif (
        isinstance(value, list)
        and value
        and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
    ):
        result = "-".join(map(str, value))
    elif isinstance(value, dict | list):
        result = json.dumps(value, separators=(",", ":"))
    else:
        result = str(value)
    return result if len(result) <= 200 else result[:199] + "…"
