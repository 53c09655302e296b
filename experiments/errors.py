"""The error tree of the whole product: one root, a docstring and typed fields per kind.

GradusError
├── SpecError       a spec that cannot be run, with every problem found in it
└── DataError       data that a spec names and this machine cannot give
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from experiments.field_paths import join


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a spec.

    path: where, as a person would write it: `model.layers[0].units`; empty for the whole document
    message: what was found and what is wrong with it
    allowed: what would be right: a sentence, the list of names, or None where the message says it
    """

    path: str
    message: str
    allowed: str | list[str] | None = None

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        if self.allowed is None:
            return where + self.message
        allowed = self.allowed if isinstance(self.allowed, str) else ", ".join(self.allowed)
        return f"{where}{self.message} (allowed: {allowed})"


class GradusError(Exception):
    """Anything that Gradus itself refuses or fails at."""


MAX_PROBLEMS = 50
"""Problems that one refusal lists, so that an answer stays short whatever was sent."""


class SpecError(GradusError):
    """A spec that cannot be run. `problems` holds what was found, up to 50, and not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(itertools.islice(problems, MAX_PROBLEMS))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)

    @classmethod
    def one(cls, path: str, message: str, allowed: str | list[str] | None = None) -> SpecError:
        return cls([Problem(path, message, allowed)])

    def under(self, prefix: str) -> SpecError:
        """The same problems, seen from a document that holds this one at `prefix`."""
        return SpecError(
            Problem(join(prefix, problem.path), problem.message, problem.allowed) for problem in self.problems
        )


@contextmanager
def found_in(source: str) -> Iterator[None]:
    """Gives the problems that the block finds the path of the document they are in: `body`, `query`."""
    try:
        yield
    except SpecError as error:
        raise error.under(source) from error


class DataError(GradusError):
    """A data set that cannot be had here. The message names the places that were tried and the remedy."""
