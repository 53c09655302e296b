"""A question on top of a spec: its factor, its levels, and what is tuned for each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradus.errors import UsageError

PER_DECADE = 2
"""Points of a tuned range in every factor of ten, where nobody says how many."""


def with_question(
    document: Mapping[str, Any],
    *,
    factor: str,
    levels: Sequence[object],
    tune: Mapping[str, object],
    points: int | None,
    tune_seeds: int,
    options: Mapping[str, object],
) -> dict[str, Any]:
    """The spec with `factor` as its only axis and a `compare:` on it.

    Args:
        document: the spec; its own `sweep` and `compare` are left out.
        levels: at least two.
        tune: field to what is tried for every level: a tuple (low, high) for a range on a log scale, a list of values,
            or an axis as a spec has it.
        points: points of every range; None for two per decade and one.
        tune_seeds: seeds per point.
        options: metric, delta, looks, budget; None for the default.

    Raises:
        UsageError: there are fewer than two levels, or a range does not rise from above 0.
    """
    if len(levels) < 2:
        raise UsageError(f"levels {list(levels)!r}: a comparison needs two levels or more")
    kept = {name: value for name, value in document.items() if name not in ("sweep", "compare")}
    compare: dict[str, Any] = {"factor": factor}
    compare |= {name: value for name, value in options.items() if value is not None}
    if tune:
        axes = {name: _axis(name, values, points) for name, values in tune.items()}
        compare["tune"] = {**axes, "seeds": tune_seeds}
    return {**kept, "sweep": {factor: list(levels)}, "compare": compare}


def points_of(low: float, high: float) -> int:
    """Points of a range on a log scale: two per decade and one, so that 1e-4..1 has nine."""
    decades = math.log10(high) - math.log10(low)  # high / low could be infinite
    return math.ceil(PER_DECADE * decades - 1e-9) + 1


def _axis(name: str, values: object, points: int | None) -> object:
    if not isinstance(values, tuple):
        return values
    low, high = values if len(values) == 2 else (0, 0)
    if not 0 < low < high < math.inf:
        raise UsageError(f"tune {name}={values!r}: a range on a log scale is (LOW, HIGH) with 0 < LOW < HIGH")
    return {"log": [low, high], "points": points or points_of(low, high)}
