"""Factors: the axes and cases of a sweep with their levels, and the fields that they set."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from experiments.errors import MAX_PROBLEMS, Problem
from experiments.field_paths import Path
from experiments.messages import unknown
from experiments.spec.levels import Level, level_labels
from experiments.spec.sweeps import Range, Sweep
from experiments.spec.swept_fields import (
    NAMED_SECTIONS,
    NOT_SWEPT,
    SHORT_NAMES,
    factor_name,
    field_path,
    takes_whole_numbers,
)
from experiments.spec.writes import FieldOwners, Write, fields_set

MAX_AXES = 50
MAX_FIELDS = 200
"""Fields that one case may set."""
CASE = "case"
"""Name of the factor whose levels are the cases."""


@dataclass(frozen=True)
class Factor:
    """One axis, or the cases.

    source: where it stands in the spec
    path: the field that it sets
    size: number of levels, known before any is made; 0 for a continuous range
    """

    name: str
    source: str
    path: Path
    axis: object
    size: int

    def levels(self) -> tuple[Level, ...]:
        """All levels; a continuous range has none."""
        return self._levels

    @cached_property
    def _levels(self) -> tuple[Level, ...]:
        if isinstance(self.axis, Range):
            values: list[object] = [self.at(i / (self.size - 1)) for i in range(self.size)]
        else:
            assert isinstance(self.axis, list)
            named = self.path in NAMED_SECTIONS
            values = [{"name": value} if named and isinstance(value, str) else value for value in self.axis]
        return tuple(Level(label, value) for label, value in zip(level_labels(values), values, strict=True))

    @property
    def whole(self) -> bool:
        """Whether this is a range of whole numbers: its field takes no others, and both ends are whole."""
        return (
            isinstance(self.axis, Range)
            and all(end.is_integer() for end in self.axis.ends)
            and takes_whole_numbers(self.path)
        )

    def at(self, share: float) -> int | float:
        """The value at a share (0 to 1) of a range; in a range of whole numbers the nearest of them."""
        assert isinstance(self.axis, Range)
        value = self.axis.at(share)
        return round(value) if self.whole else value

    def repeated(self) -> list[Problem]:
        """Levels that are given twice."""
        labels = [level.label for level in self.levels()]
        different = set(labels)
        if len(different) == len(labels):
            return []
        if isinstance(self.axis, Range):
            values = "whole number" if self.whole else "value"
            return [
                Problem(
                    self.source,
                    f"the {self.size:,} points of the range are only {len(different):,} different"
                    f" {values}{'s' * (len(different) != 1)}",
                    "fewer points, or a wider range",
                )
            ]
        first = {label: index for index, label in reversed(list(enumerate(labels)))}
        return [
            Problem(f"{self.source}[{index}]", f"the level {label} is given twice", "once")
            for index, label in enumerate(labels)
            if first[label] != index
        ]

    def level_source(self, level: Level, index: int) -> str:
        """Where a level stands in the spec. index: its position on the axis."""
        return self.source if isinstance(self.axis, Range) else f"{self.source}[{index}]"

    def writes(self, level: Level, index: int) -> list[Write]:
        """What a level writes into the spec."""
        return [Write(self.path, level.value, self.level_source(level, index))]


@dataclass(frozen=True)
class Cases(Factor):
    """The labelled sets of fields. axis: label -> {name or path of a field: value}"""

    @cached_property
    def _levels(self) -> tuple[Level, ...]:
        assert isinstance(self.axis, dict)
        return tuple(Level(label, fields) for label, fields in self.axis.items())

    def level_source(self, level: Level, index: int) -> str:
        return f"{self.source}.{level.label}"

    def writes(self, level: Level, index: int) -> list[Write]:
        assert isinstance(level.value, dict)
        return [
            Write(path, value, f"{self.level_source(level, index)}.{name}")
            for name, value in level.value.items()
            if (path := field_path(name)) is not None
        ]


def sweep_factors(sweep: Sweep) -> tuple[list[Factor], list[Problem]]:
    """Axes and cases of a sweep, with what is wrong with each and between them."""
    factors, problems = factors_of(sweep.axes, "sweep", continuous=sweep.draws)
    if sweep.cases is not None:
        cases, wrong = _cases(sweep.cases)
        problems += wrong
        if cases is not None:
            factors.append(cases)
    return factors, problems


def factors_of(
    axes: Mapping[str, object], prefix: str, *, continuous: bool = False
) -> tuple[list[Factor], list[Problem]]:
    """The factors of a mapping of axes that stands at `prefix`, and what is wrong with them.

    continuous: whether a range may have no number of points
    """
    if len(axes) > MAX_AXES:
        return [], [Problem(prefix, f"{len(axes):,} axes", f"at most {MAX_AXES}")]
    factors, problems = [], []
    for name, axis in axes.items():
        source, path = f"{prefix}.{name}", field_path(name)
        if path is None:
            problems.append(_no_field(name, source))
            continue
        size = len(axis) if isinstance(axis, list) else (getattr(axis, "points", None) or 0)
        if size == 0 and not continuous:
            problems.append(Problem(source, "the range has no number of points", "points: 2 or more"))
            continue
        factors.append(Factor(factor_name(path), source, path, axis, size))
    return factors, problems


def _cases(cases: Mapping[str, Mapping[str, object]]) -> tuple[Cases | None, list[Problem]]:
    """The cases as one factor, and what is wrong with them."""
    if not cases:
        return None, [Problem("sweep.cases", "no case is given", "at least one label with its fields")]
    problems: list[Problem] = []
    for label, fields in cases.items():
        if len(problems) >= MAX_PROBLEMS:
            break
        source, owners = f"sweep.cases.{label}", FieldOwners()
        if not fields:
            problems.append(Problem(source, "this case sets nothing", "at least one field"))
        if len(fields) > MAX_FIELDS:
            problems.append(Problem(source, f"{len(fields):,} fields", f"at most {MAX_FIELDS}"))
            continue
        for name, value in fields.items():
            path = field_path(name)
            if path is None:
                problems.append(_no_field(name, f"{source}.{name}"))
                continue
            fields_here = list(fields_set(path, value))
            other = next((other for field in fields_here if (other := owners.clash(field))), None)
            if other is not None:
                problems.append(
                    Problem(f"{source}.{name}", f"{other} sets the same field", "each field once")
                )
            for field in fields_here:
                owners.add(field, name)
    axis = {label: dict(fields) for label, fields in cases.items()}
    return Cases(CASE, "sweep.cases", (), axis, len(cases)), problems


def _no_field(name: str, source: str) -> Problem:
    """Why `name` cannot be an axis."""
    if name in NOT_SWEPT:
        return Problem(
            source,
            f"`{name}` is no factor: {NOT_SWEPT[name]}",
            "a field of dataset, model, loss, optimizer or training, by its short name or its path",
        )
    return Problem(
        source,
        unknown("field", name, sorted(SHORT_NAMES)),
        "a short name as learning_rate, or a path as training.batch_size or model.layers[0].units",
    )


def conflicts(factors: Sequence[Factor]) -> list[Problem]:
    """Fields that two factors set; the first such field of each factor is named."""
    owners, problems = FieldOwners(), []
    for factor in factors:
        fields: dict[Path, str] = {}
        for write in _writes(factor):
            for field in fields_set(write.path, write.value):
                fields.setdefault(field, write.source)
        shared = next((field for field in fields if owners.clash(field)), None)
        if shared is not None:
            problems.append(
                Problem(
                    fields[shared],
                    f"{owners.clash(shared)} sets the same field",
                    "each field by one axis or by the cases",
                )
            )
        for field, source in fields.items():
            owners.add(field, source)
    return problems


def _writes(factor: Factor) -> Iterable[Write]:
    if isinstance(factor.axis, Range):
        return [Write(factor.path, 0.0, factor.source)]
    writes = (factor.writes(level, index) for index, level in enumerate(factor.levels()))
    return itertools.chain.from_iterable(writes)


def combinations(factors: Iterable[Factor]) -> int:
    """How many combinations of levels there are; a continuous range counts once."""
    return math.prod(factor.size or 1 for factor in factors)
