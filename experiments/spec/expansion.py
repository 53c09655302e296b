"""From factors and seeds to points: every combination, or a random draw."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from experiments.errors import SpecError
from experiments.runs import Point, RunSpec
from experiments.spec.drawing import Choice, drawn
from experiments.spec.factors import Factor
from experiments.spec.impossible import Key, combination_problems, level_problems
from experiments.spec.levels import Level, column_texts
from experiments.spec.run_builder import Builder, TooLarge


@dataclass
class Expansion:
    """The factors and seeds of one sweep, over a builder.

    draws: number of points to draw; None for every combination
    seed: seed of the draw
    repeats: whether every drawn combination is a point with every seed
    """

    builder: Builder
    factors: list[Factor]
    seeds: Sequence[int]
    seeds_swept: bool
    draws: int | None
    seed: int
    repeats: bool = False
    _built: dict[Key, RunSpec] = field(default_factory=dict)
    """Runs with the first seed that were built already, to see whether each level is possible."""

    def points(self) -> tuple[Point, ...]:
        """Every point.

        Raises:
            SpecError: levels that no run can have, alone or together.
        """
        problems = level_problems(self.builder, self.factors, self.seeds[0], self._built)
        if problems:
            raise SpecError(problems)
        levels = [factor.levels() if factor.size else () for factor in self.factors]
        points: list[Point] = []
        impossible: dict[tuple[int, ...], SpecError] = {}
        for choice, seed in self._choices(levels):
            try:
                points.append(self._point(choice, seed))
            except TooLarge:
                raise
            except SpecError as error:
                impossible.setdefault(tuple(index for index, _ in choice), error)
        if impossible:
            raise self._refused(impossible, len(points) // len(self.seeds) + len(impossible))
        self._check_distinct(points)
        return tuple(points)

    def _choices(self, levels: Sequence[Sequence[Level]]) -> Iterator[Choice]:
        if self.draws is not None and self.repeats:
            settings = self.draws // len(self.seeds)
            for choice, _ in drawn(self.factors, levels, self.seeds[:1], settings, self.seed):
                for seed in self.seeds:
                    yield choice, seed
            return
        if self.draws is not None:
            yield from drawn(self.factors, levels, self.seeds, self.draws, self.seed)
            return
        for combination in itertools.product(*(list(enumerate(own)) for own in levels)):
            for seed in self.seeds:
                yield list(combination), seed

    def _point(self, choice: Sequence[tuple[int, Level]], seed: int) -> Point:
        labels = {factor.name: level.label for factor, (_, level) in zip(self.factors, choice, strict=True)}
        spec = self._built.get(tuple((at, index) for at, (index, _) in enumerate(choice)))
        if spec is None or seed != self.seeds[0] or not all(factor.size for factor in self.factors):
            writes = [
                write
                for factor, (index, level) in zip(self.factors, choice, strict=True)
                for write in factor.writes(level, index)
            ]
            spec = self.builder.run(writes, seed)
        columns = {name: self._columns[name].get(label, label) for name, label in labels.items()}
        return Point(spec, labels | {"seed": str(seed)} if self.seeds_swept else labels, columns)

    @cached_property
    def _columns(self) -> dict[str, dict[str, str]]:
        return {factor.name: column_texts(factor.levels()) if factor.size else {} for factor in self.factors}

    def _refused(self, impossible: Mapping[tuple[int, ...], SpecError], total: int) -> SpecError:
        """The refusal of combinations that cannot be built. Drawn values of a range have no index: theirs is told as it
        was found.
        """
        if all(factor.size for factor in self.factors):
            return SpecError(
                combination_problems(self.builder, self.factors, self.seeds[0], list(impossible), total)
            )
        return next(iter(impossible.values()))

    def _check_distinct(self, points: Sequence[Point]) -> None:
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


def check_equal_parameters(points: Sequence[Point], tolerance: float) -> None:
    """Raises SpecError where parameter counts differ by more than `tolerance` of the smallest."""
    by_count: dict[int, Point] = {}
    for point in points:
        by_count.setdefault(point.spec.forecast.parameters, point)
    low, high = min(by_count), max(by_count)
    if high - low > tolerance * low:
        raise SpecError.one(
            "sweep.require.equal_parameters",
            f"the parameter counts {_counted(by_count[low])} and {_counted(by_count[high])} differ by "
            f"{(high - low) / low:.1%}",
            f"at most {tolerance:.1%}",
        )


def _counted(point: Point) -> str:
    """`25,450 (case = wide)`."""
    levels = ", ".join(f"{name} = {label}" for name, label in point.levels.items())
    return f"{point.spec.forecast.parameters:,} ({levels})"
