"""From factors and seeds to points: every combination, or a random draw."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from experiments.errors import Problem, SpecError
from experiments.runs import Point, RunSpec
from experiments.spec.drawing import Choice, drawn
from experiments.spec.factors import Factor
from experiments.spec.levels import Level
from experiments.spec.run_builder import Builder

MAX_PROBLEMS = 50
"""Problems that one refusal lists."""


@dataclass
class Expansion:
    """The factors and seeds of one sweep, over a builder.

    draws: number of points to draw; None for every combination
    seed: seed of the draw
    """

    builder: Builder
    factors: list[Factor]
    seeds: Sequence[int]
    seeds_swept: bool
    draws: int | None
    seed: int

    def points(self) -> tuple[Point, ...]:
        """Every point.

        Raises:
            SpecError: every bad level; else every problem of the first point that has one.
        """
        levels = [factor.levels() if factor.size else () for factor in self.factors]
        self._check_levels(levels)
        if self.draws is None:
            choices = self._grid(levels)
        else:
            choices = drawn(self.factors, levels, self.seeds, self.draws, self.seed)
        points = [self._point(levels_chosen, seed) for levels_chosen, seed in choices]
        self._check_distinct(points)
        return tuple(points)

    def _grid(self, levels: Sequence[Sequence[Level]]) -> Iterator[Choice]:
        for combination in itertools.product(*(list(enumerate(own)) for own in levels)):
            for seed in self.seeds:
                yield list(combination), seed

    def _check_levels(self, levels: Sequence[Sequence[Level]]) -> None:
        """Build each level once, the other factors at their first, so that every bad level is named."""
        problems: dict[tuple[str, str], Problem] = {}
        sized = [(factor, own) for factor, own in zip(self.factors, levels, strict=True) if own]
        factors = [factor for factor, _ in sized]
        first = [(0, own[0]) for _, own in sized]
        for position, (factor, own) in enumerate(sized):
            problems.update({(problem.path, problem.message): problem for problem in factor.repeated()})
            for index, level in enumerate(own):
                choice = [*first[:position], (index, level), *first[position + 1 :]]
                try:
                    self._spec(factors, choice, self.seeds[0])
                except SpecError as error:
                    problems.update({(problem.path, problem.message): problem for problem in error.problems})
                if len(problems) > MAX_PROBLEMS:
                    raise SpecError(list(problems.values())[:MAX_PROBLEMS])
        if problems:
            raise SpecError(problems.values())

    def _spec(self, factors: Sequence[Factor], choice: Sequence[tuple[int, Level]], seed: int) -> RunSpec:
        writes = [
            write
            for factor, (index, level) in zip(factors, choice, strict=True)
            for write in factor.writes(level, index)
        ]
        return self.builder.run(writes, seed)

    def _point(self, choice: Sequence[tuple[int, Level]], seed: int) -> Point:
        labels = {factor.name: level.label for factor, (_, level) in zip(self.factors, choice, strict=True)}
        try:
            spec = self._spec(self.factors, choice, seed)
        except SpecError as error:
            run = ", ".join(f"{name} = {label}" for name, label in labels.items())
            where = f" (in the run with {run})" if run else ""
            raise SpecError(
                Problem(problem.path, f"{problem.message}{where}", problem.allowed)
                for problem in error.problems
            ) from None
        return Point(spec, labels | {"seed": str(seed)} if self.seeds_swept else labels)

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
