"""Writing a sweep's values into a spec, and finding the fields that a value sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.errors import Problem
from experiments.field_paths import Path, write_path
from experiments.networks import FORMS
from experiments.spec.swept_fields import NAMED_SECTIONS


@dataclass(frozen=True)
class Write:
    """One value that a sweep writes.

    path: the field that is written
    source: where the value stands in the spec, as text: `sweep.learning_rate[2]`
    """

    path: Path
    value: object
    source: str


def patch(document: dict[str, Any], path: Path, value: object) -> str | None:
    """Write `value` at `path` into plain data, in place. Returns why it cannot be written, or None.

    A named entry (optimizer, loss, data set) is replaced as a whole. One form of a model displaces the others.
    A mapping on the way that is missing or null is made.
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
    holder[last] = value
    return None


def _copied(value: object) -> object:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list | tuple) else value


def attributed(problem: Problem, writes: Iterable[Write]) -> Problem:
    """The problem with the path of the sweep's value that wrote the field, where one did."""
    for write in sorted(writes, key=lambda candidate: -len(candidate.path)):
        where = write_path(write.path)
        rest = problem.path[len(where) :]
        if problem.path.startswith(where) and (not rest or rest[0] in ".["):
            return Problem(write.source + rest, problem.message, problem.allowed)
    return problem


def fields_set(path: Path, value: object) -> Iterator[Path]:
    """The fields that writing `value` at `path` sets: those of a mapping, else the path itself.

    The forms of a model count as one field, and a bare name as the entry's `name`.
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from fields_set((*path, str(key)), inner)
    elif path in NAMED_SECTIONS:
        yield (*path, "name")
    elif len(path) >= 2 and path[0] == "model" and path[1] in FORMS:
        yield ("model", "layers", *path[2:]) if path[1] == "layers" else ("model", "layers")
    else:
        yield path


class FieldOwners:
    """Which value of the spec sets each field. Two values clash where one field lies within the other."""

    def __init__(self) -> None:
        self._sources: dict[Path, str] = {}
        self._within: dict[Path, str] = {}
        """A field that is set below a path, for every path on the way to one."""

    def clash(self, path: Path) -> str | None:
        """The source of a value that sets this field, a part of it, or a field around it."""
        if path in self._within:
            return self._within[path]
        above = (path[:length] for length in range(len(path), 0, -1))
        return next((self._sources[prefix] for prefix in above if prefix in self._sources), None)

    def add(self, path: Path, source: str) -> None:
        self._sources.setdefault(path, source)
        for length in range(1, len(path)):
            self._within.setdefault(path[:length], source)
