"""From a sweep to points: factors, conflicts, counts, the grid and the random draw."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from experiments.errors import Problem, SpecError
from experiments.runs import Point, RunSpec
from experiments.spec.integer_fields import takes_whole_numbers
from experiments.spec.problems import unknown
from experiments.spec.run_builder import Builder, Write
from experiments.spec.sweeps import (
    FIXED,
    SECTIONS,
    SHORT_NAMES,
    Level,
    LinearAxis,
    LogAxis,
    Path,
    Sweep,
    clash,
    labels,
    parse_path,
    text,
    write_path,
    written,
)

CASE = "case"
MISSES = 30
"""A draw is given up after this many tries in a row, per run asked for, that gave nothing new: where there are
as many equally likely runs as asked for, the last of them is missed that often once in e^30.
"""


@dataclass(frozen=True)
class Factor:
    """One axis, or the cases. size: how many levels, known before any is made; 0 for a continuous range."""

    name: str
    source: str
    path: Path
    axis: object
    size: int

    def levels(self) -> tuple[Level, ...]:
        """All levels; a continuous range has none of its own."""
        if isinstance(self.axis, LogAxis | LinearAxis):
            values: list[object] = [self.at(i / (self.size - 1)) for i in range(self.size)]
        else:
            assert isinstance(self.axis, list)
            values = [{"name": v} if isinstance(v, str) and self.path in NAMED else v for v in self.axis]
        return tuple(Level(label, value) for label, value in zip(labels(values), values, strict=True))

    @property
    def whole(self) -> bool:
        """Whether a range is one of whole numbers: its field takes no others, and its ends are some."""
        return (
            isinstance(self.axis, LogAxis | LinearAxis)
            and all(end.is_integer() for end in self.axis.ends)
            and takes_whole_numbers(self.path)
        )

    def at(self, share: float) -> int | float:
        """The value at a share of a range, the nearest whole number where it is one of those."""
        assert isinstance(self.axis, LogAxis | LinearAxis)
        value = self.axis.at(share)
        return round(value) if self.whole else value

    def repeated(self) -> list[Problem]:
        """Levels that are given twice."""
        labels = [level.label for level in self.levels()]
        different = set(labels)
        if len(different) == len(labels):
            return []
        if isinstance(self.axis, LogAxis | LinearAxis):
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

    def writes(self, level: Level, index: int) -> list[Write]:
        if isinstance(self.axis, LogAxis | LinearAxis):
            return [Write(self.path, level.value, self.source)]
        return [Write(self.path, level.value, f"{self.source}[{index}]")]


@dataclass(frozen=True)
class Cases(Factor):
    """The labelled sets: `axis` holds label -> {path as written: value}."""

    def levels(self) -> tuple[Level, ...]:
        assert isinstance(self.axis, dict)
        return tuple(Level(label, fields) for label, fields in self.axis.items())

    def writes(self, level: Level, index: int) -> list[Write]:
        assert isinstance(level.value, dict)
        return [
            Write(path, value, f"{self.source}.{level.label}.{name}")
            for name, value in level.value.items()
            if (path := place(name)) is not None
        ]


NAMED = frozenset({("optimizer",), ("loss",), ("dataset",)})


def place(name: str) -> Path | None:
    """The field that a short name or a path names; None where there is none that may be swept."""
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    path = parse_path(name)
    return path if path is not None and path[0] in SECTIONS and len(path) > 1 else None


def factor_name(path: Path) -> str:
    """The short name of a path where it has one, else the path."""
    last = path[-1]
    return str(last) if SHORT_NAMES.get(str(last)) == path else write_path(path)


def known_as(name: str) -> str:
    """How runs name the field that a short name or a path stands for; what is no field keeps its name."""
    path = place(name)
    return name if path is None else factor_name(path)


def misplaced(name: str, source: str) -> Problem:
    """Why `name` is no axis."""
    if name in FIXED:
        return Problem(
            source,
            f"`{name}` is no factor: {FIXED[name]}",
            "a field of dataset, model, loss, optimizer or training, by its short name or its path",
        )
    return Problem(
        source,
        unknown("field", name, sorted(SHORT_NAMES)),
        "a short name as learning_rate, or a path as training.batch_size or model.layers[0].units",
    )


def factors_of(
    axes: Mapping[str, object], prefix: str, *, continuous: bool = False
) -> tuple[list[Factor], list[Problem]]:
    """The factors of a mapping of axes, and what is wrong with them."""
    found, problems = [], []
    for name, axis in axes.items():
        source, path = f"{prefix}.{name}", place(name)
        if path is None:
            problems.append(misplaced(name, source))
            continue
        size = len(axis) if isinstance(axis, list) else (getattr(axis, "points", None) or 0)
        if size == 0 and not continuous:
            problems.append(Problem(source, "the range has no number of points", "points: 2 or more"))
            continue
        found.append(Factor(factor_name(path), source, path, axis, size))
    return found, problems


def cases_of(cases: Mapping[str, Mapping[str, object]]) -> tuple[Cases | None, list[Problem]]:
    """The cases as one factor."""
    problems = []
    if not cases:
        return None, [Problem("sweep.cases", "no case is given", "at least one label with its fields")]
    for label, fields in cases.items():
        source = f"sweep.cases.{label}"
        if not fields:
            problems.append(Problem(source, "this case sets nothing", "at least one field"))
        problems += [misplaced(name, f"{source}.{name}") for name in fields if place(name) is None]
        spots = [
            (name, spot)
            for name, value in fields.items()
            if (path := place(name))
            for spot in written(path, value)
        ]
        for (a, first), (b, second) in itertools.combinations(spots[:200], 2):
            if a != b and clash(first, second):
                problems.append(Problem(f"{source}.{b}", f"{a} sets the same field", "each field once"))
    return Cases(CASE, "sweep.cases", (), {k: dict(v) for k, v in cases.items()}, len(cases)), problems


def conflicts(factors: Sequence[Factor]) -> list[Problem]:
    """Fields that two factors write."""
    spots: list[dict[Path, str]] = []
    for factor in factors:
        mine: dict[Path, str] = {}
        if isinstance(factor.axis, LogAxis | LinearAxis):
            mine[factor.path] = factor.source
        else:
            for index, level in enumerate(factor.levels()):
                for write in factor.writes(level, index):
                    for spot in written(write.path, write.value):
                        mine.setdefault(spot, write.source)
        spots.append(mine)
    problems = []
    for a, b in itertools.combinations(range(len(factors)), 2):
        pairs = ((x, y) for x in spots[a] for y in spots[b] if clash(x, y))
        found = next(pairs, None)
        if found is not None:
            problems.append(
                Problem(
                    spots[b][found[1]],
                    f"{spots[a][found[0]]} sets the same field",
                    "each field by one axis or by the cases",
                )
            )
    return problems


def count(sizes: Sequence[int]) -> int:
    return math.prod(sizes)


@dataclass
class Expansion:
    """The factors and seeds of one sweep, over a builder."""

    builder: Builder
    factors: list[Factor]
    seeds: Sequence[int]
    seeds_swept: bool
    draws: int | None
    """Points to draw under strategy random; None for the whole grid."""
    seed: int

    def size(self) -> int:
        """How many runs, without making any."""
        return (
            self.draws if self.draws is not None else count([f.size for f in self.factors]) * len(self.seeds)
        )

    def points(self) -> tuple[Point, ...]:
        """Every point. Raises SpecError with every problem of the first point that has one, and of single
        levels.
        """
        levels = [factor.levels() if factor.size else () for factor in self.factors]
        self._check_levels(levels)
        combinations = self._drawn(levels) if self.draws is not None else self._grid(levels)
        points = [self._point(chosen, seed) for chosen, seed in combinations]
        self._distinct(points)
        return tuple(points)

    def _grid(self, levels: list[tuple[Level, ...]]) -> Iterator[tuple[list[tuple[int, Level]], int]]:
        for combination in itertools.product(*(list(enumerate(one)) for one in levels)):
            for seed in self.seeds:
                yield list(combination), seed

    def _drawn(self, levels: list[tuple[Level, ...]]) -> Iterator[tuple[list[tuple[int, Level]], int]]:
        """`draws` different combinations, the same for the same spec.

        Raises:
            SpecError: a continuous range holds too few values (they are rounded to 12 digits).
        """
        draw = random.Random(f"gradus {self.seed}")  # noqa: S311  reproducible on purpose
        seen: set[tuple[object, ...]] = set()
        draws, misses = self.draws or 0, 0
        continuous = any(
            not factor.size for factor in self.factors
        )  # levels were counted before: they suffice
        while len(seen) < draws:
            chosen = []
            for factor, mine in zip(self.factors, levels, strict=True):
                if factor.size:
                    index = int(draw.random() * factor.size)
                    chosen.append((index, mine[index]))
                else:
                    value = factor.at(draw.random())
                    chosen.append((len(seen), Level(text(value), value)))
            seed = self.seeds[int(draw.random() * len(self.seeds))]
            key = (*(level.label for _, level in chosen), seed)
            if key not in seen:
                seen.add(key)
                misses = 0
                yield chosen, seed
            elif continuous and (misses := misses + 1) > MISSES * draws:
                raise self._exhausted(seen, draws)

    def _exhausted(self, seen: set[tuple[object, ...]], draws: int) -> SpecError:
        """The refusal of a draw that finds nothing new: it blames the continuous range with the fewest values."""
        held = {
            factor.source: len({key[position] for key in seen})
            for position, factor in enumerate(self.factors)
            if not factor.size
        }
        source = min(held, key=lambda name: held[name])
        values, runs = held[source], len(seen)
        return SpecError.one(
            source,
            f"the range holds only {values:,} different value{'s' * (values != 1)}, which make{'s' * (values == 1)}"
            f" {runs:,} run{'s' * (runs != 1)} of the {draws:,} to draw",
            f"a wider range, or runs: {runs}",
        )

    def _check_levels(self, levels: list[tuple[Level, ...]]) -> None:
        """Each level once, the other factors at their first: every bad level is named, not only the first."""
        problems: dict[tuple[str, str], Problem] = {}
        first = [(0, one[0]) for one in levels if one]
        sized = [factor for factor in self.factors if factor.size]
        for position, factor in enumerate(sized):
            problems.update({(one.path, one.message): one for one in factor.repeated()})
            for index, level in enumerate(factor.levels()):
                chosen = [*first[:position], (index, level), *first[position + 1 :]]
                try:
                    self._spec(sized, chosen, self.seeds[0])
                except SpecError as error:
                    problems.update({(one.path, one.message): one for one in error.problems})
            if len(problems) > 50:
                break
        if problems:
            raise SpecError(problems.values())

    def _spec(self, factors: Sequence[Factor], chosen: Sequence[tuple[int, Level]], seed: int) -> RunSpec:
        writes = [
            write
            for factor, (index, level) in zip(factors, chosen, strict=True)
            for write in factor.writes(level, index)
        ]
        return self.builder.run(writes, seed)

    def _point(self, chosen: Sequence[tuple[int, Level]], seed: int) -> Point:
        names = {factor.name: level.label for factor, (_, level) in zip(self.factors, chosen, strict=True)}
        try:
            spec = self._spec(self.factors, chosen, seed)
        except SpecError as error:
            at = ", ".join(f"{name} = {label}" for name, label in names.items())
            raise SpecError(
                Problem(one.path, f"{one.message} (in the run with {at})" if at else one.message, one.allowed)
                for one in error.problems
            ) from None
        return Point(spec, names | {"seed": str(seed)} if self.seeds_swept else names)

    def _distinct(self, points: Sequence[Point]) -> None:
        """Refuse a sweep in which two runs are the same: a factor that changes nothing is a slip."""
        seen: dict[str, Point] = {}
        for point in points:
            other = seen.setdefault(point.spec.fingerprint(), point)
            if other is not point:
                name = next((n for n in point.levels if point.levels[n] != other.levels[n]), "seed")
                source = next((f.source for f in self.factors if f.name == name), f"sweep.{name}s")
                a, b = other.levels.get(name), point.levels.get(name)
                raise SpecError.one(
                    source,
                    f"the levels {a} and {b} make the same run: {name} changes nothing here",
                    "levels that differ in a field that a layer or the training reads",
                )


def equal_parameters(points: Sequence[Point], tolerance: float) -> None:
    """Raises SpecError where parameter counts differ by more than `tolerance` of the smallest."""
    counts: dict[int, Point] = {}
    for point in points:
        counts.setdefault(point.spec.plan.parameters, point)
    low, high = min(counts), max(counts)
    if high - low > tolerance * low:
        raise SpecError.one(
            "sweep.require.equal_parameters",
            f"the parameter counts {_counted(counts[low])} and {_counted(counts[high])} differ by "
            f"{(high - low) / low:.1%}",
            f"at most {tolerance:.1%}",
        )


def _counted(point: Point) -> str:
    """`25,450 (case = wide)`."""
    levels = ", ".join(f"{name} = {label}" for name, label in point.levels.items())
    return f"{point.spec.plan.parameters:,} ({levels})"


def sweep_factors(sweep: Sweep) -> tuple[list[Factor], list[Problem]]:
    """Axes and cases of a sweep, with what is wrong with each and between them."""
    factors, problems = factors_of(sweep.axes, "sweep", continuous=sweep.strategy == "random")
    if sweep.cases is not None:
        cases, wrong = cases_of(sweep.cases)
        problems += wrong
        if cases is not None:
            factors.append(cases)
    return factors, problems
