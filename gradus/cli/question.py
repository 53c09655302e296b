"""A question on top of a spec, as `gradus ask` writes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.spec.documents import parse_yaml
from gradus.errors import USAGE, CommandError

RANGE = ".."
PER_DECADE = 2
"""Points of a tuned range in every factor of ten, where nobody says how many."""


def with_question(
    document: Mapping[str, Any],
    *,
    factor: str,
    levels: str,
    tune: Sequence[str],
    points: int | None,
    tune_seeds: int,
    question: Mapping[str, Any],
) -> dict[str, Any]:
    """The spec with `factor` as its only axis and a `compare:` on it. What `question` leaves None has its default.

    Raises:
        CommandError: levels or a tuned range cannot be read.
    """
    values = [level(part) for part in split(levels)]
    if len(values) < 2:
        raise CommandError(f"--levels {levels!r}: a comparison needs two levels or more", USAGE)
    kept = {name: value for name, value in document.items() if name not in ("sweep", "compare")}
    compare: dict[str, Any] = {"factor": factor}
    compare |= {name: value for name, value in question.items() if value is not None}
    if tune:
        compare["tune"] = {**dict(tuned(text, points) for text in tune), "seeds": tune_seeds}
    return {**kept, "sweep": {factor: values}, "compare": compare}


def level(text: str) -> object:
    """`relu`, `0.1`, or a mapping such as `{name: sgd, momentum: 0.9}`."""
    return parse_yaml(text)


def split(text: str) -> list[str]:
    """Parts between commas that are not inside brackets."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(text):
        depth += (char in "{[") - (char in "}]")
        if char == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]


def points_of(low: float, high: float) -> int:
    """Points of a range on a log scale: two per decade and one, so that 1e-4..1 has nine."""
    decades = math.log10(high) - math.log10(low)  # high / low could be infinite
    return math.ceil(PER_DECADE * decades - 1e-9) + 1


def tuned(text: str, points: int | None = None) -> tuple[str, object]:
    """`learning_rate=1e-4..1` as an axis on a log scale; `momentum=0,0.9` as a list.

    Raises:
        CommandError: it is neither.
    """
    name, equals, values = text.partition("=")
    if not equals or not name.strip() or not values.strip():
        raise CommandError(f"--tune {text!r}: expected NAME=LOW..HIGH or NAME=V1,V2", USAGE)
    if RANGE not in values:
        return name.strip(), [level(part) for part in split(values)]
    try:
        low, high = (float(end) for end in values.split(RANGE))
    except ValueError as error:
        raise CommandError(f"--tune {text!r}: {values!r} is no range such as 1e-4..1", USAGE) from error
    if not 0 < low < high < math.inf:
        raise CommandError(f"--tune {text!r}: a range on a log scale rises from above 0 to a number", USAGE)
    return name.strip(), {"log": [low, high], "points": points or points_of(low, high)}
