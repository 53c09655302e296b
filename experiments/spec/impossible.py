"""Which levels of a sweep no run can have: alone, or together with levels of other factors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence

from experiments.errors import MAX_PROBLEMS, Problem, SpecError
from experiments.runs import RunSpec
from experiments.spec.factors import Factor
from experiments.spec.run_builder import Builder, TooLarge

EXAMINED = 200
"""Impossible combinations whose guilty levels are looked for; the others are only counted."""
Chosen = Mapping[int, int]
"""Position of a factor -> index of its level. Factors that are left out stay at the spec's own value."""
Key = tuple[tuple[int, int], ...]
"""The same, in the order of the positions."""


class _Problems:
    """Problems in the order in which they were found, each path and message once."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Problem] = {}

    def add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.known.setdefault((problem.path, problem.message), problem)

    def list(self) -> list[Problem]:
        return list(self.known.values())[:MAX_PROBLEMS]


class _Levels:
    """The levels of several factors, and what is wrong with a run that has some of them."""

    def __init__(
        self, builder: Builder, factors: Sequence[Factor], seed: int, built: MutableMapping[Key, RunSpec]
    ) -> None:
        self.builder, self.seed, self.built = builder, seed, built
        self.factors = [factor for factor in factors if factor.size]
        self.levels = [factor.levels() for factor in self.factors]
        self._known: dict[Key, tuple[Problem, ...]] = {}

    def problems(self, chosen: Chosen) -> tuple[Problem, ...]:
        key = tuple(sorted(chosen.items()))
        if key not in self._known:
            writes = [
                write
                for position, index in key
                for write in self.factors[position].writes(self.levels[position][index], index)
            ]
            try:
                self.built[key] = self.builder.run(writes, self.seed)
                self._known[key] = ()
            except TooLarge:
                raise
            except SpecError as error:
                self._known[key] = error.problems
        return self._known[key]

    def has(self, chosen: Chosen, problem: Problem) -> bool:
        """Whether the run with these levels has the same problem, wherever it is found there."""
        return any(other.message == problem.message for other in self.problems(chosen))

    def blamed(self, problem: Problem, chosen: Chosen, guilty: Chosen) -> Problem:
        """The problem of a run, with the path of a level that causes it and the names of all that do."""
        named = ", ".join(
            f"{self.factors[position].name} = {self.levels[position][index].label}"
            for position, index in sorted(guilty.items())
        )
        for position, index in chosen.items():
            source = self._source(position, index)
            if problem.path == source or problem.path.startswith((f"{source}.", f"{source}[")):
                return Problem(
                    self._at_axis(problem, chosen, position, source),
                    problem.message if list(guilty) == [position] else f"{problem.message} (with {named})",
                    problem.allowed,
                )
        position = max(guilty)
        source = self._source(position, guilty[position])
        return Problem(source, f"{problem.message} (with {named})", problem.allowed)

    def _at_axis(self, problem: Problem, chosen: Chosen, position: int, source: str) -> str:
        """The path at the axis where the first and the last level have the same problem, else at the level."""
        factor = self.factors[position]
        ends = {0, factor.size - 1}
        if len(ends) > 1 and all(self.has({**chosen, position: end}, problem) for end in ends):
            return factor.source + problem.path.removeprefix(source)
        return problem.path

    def _source(self, position: int, index: int) -> str:
        return self.factors[position].level_source(self.levels[position][index], index)


def level_problems(
    builder: Builder, factors: Sequence[Factor], seed: int, built: MutableMapping[Key, RunSpec] | None = None
) -> list[Problem]:
    """What is wrong with each level while the other factors have their first.

    A problem that goes away where a factor is left out is that factor's; the path says which level has it.

    Args:
        built: gets the runs that could be built, by their levels.
    """
    levels = _Levels(builder, factors, seed, {} if built is None else built)
    first = dict.fromkeys(range(len(levels.factors)), 0)
    problems = _Problems()
    explained: set[str] = set()
    for position, factor in enumerate(levels.factors):
        problems.add(factor.repeated())
        without = {other: 0 for other in first if other != position}
        for index in range(factor.size):
            chosen = {**first, position: index}
            for problem in levels.problems(chosen):
                if not levels.has(without, problem):
                    explained.add(problem.message)
                    problems.add([levels.blamed(problem, chosen, {position: index})])
            if len(problems.known) >= MAX_PROBLEMS:
                return problems.list()
    problems.add(problem for problem in levels.problems(first) if problem.message not in explained)
    return problems.list()


def combination_problems(
    builder: Builder, factors: Sequence[Factor], seed: int, impossible: Sequence[Sequence[int]], total: int
) -> list[Problem]:
    """What is wrong with combinations of levels that are each possible alone.

    Args:
        impossible: the index of the level of every factor, for each combination that cannot be built
        total: number of combinations
    """
    levels = _Levels(builder, factors, seed, {})
    problems = _Problems()
    for combination in impossible[:EXAMINED]:
        chosen = dict(enumerate(combination))
        for problem in levels.problems(chosen):
            guilty = {
                position: index
                for position, index in chosen.items()
                if index and not levels.has({**chosen, position: 0}, problem)
            }
            problems.add([levels.blamed(problem, chosen, guilty or chosen)])
    message = f"{len(impossible):,} of {total:,} combinations of levels cannot be built"
    remedy = "levels that all fit together, or `cases` that list the combinations that do"
    return [*problems.list()[: MAX_PROBLEMS - 1], Problem("sweep", message, remedy)]
