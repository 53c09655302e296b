"""How much each swept factor matters, and where over two numeric ones the winning level turns, from all runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.comparing.effects import chance_level, lower_is_better
from experiments.comparing.forest import estimated_importance
from experiments.comparing.importance import Combination, FlipMap, Importance, flip_map, importance
from experiments.numbers import parsed
from service.analysis.observations import diverged, state_of
from service.entities import Run


@dataclass(frozen=True)
class Sensitivity:
    """Shares of the variance between combinations of levels, and the flip map where there are two numeric factors."""

    shares: tuple[Importance, ...] = ()
    flips: FlipMap | None = None


def sensitivity(runs: Sequence[Run], factor: str, metric: str) -> Sensitivity:
    """The sensitivity of a metric to the swept factors.

    Args:
        runs: All runs of an experiment. Those that have not finished, or lack a factor, are left out.
        factor: The compared factor.
        metric: The metric.

    Returns:
        Empty where fewer than two factors vary. Where the runs fill no grid, the shares are estimated.
    """
    names = tuple(dict.fromkeys(name for run in runs for name in run.levels if name != "seed"))
    if len(names) < 2 or factor not in names:
        return Sensitivity()
    values: dict[Combination, list[float]] = {}
    for run in runs:
        value = _value(run, metric)
        if value is not None and all(name in run.levels for name in names):
            values.setdefault(tuple(run.levels[name] for name in names), []).append(value)
    shares = importance(names, values)
    if not shares:
        return Sensitivity(tuple(estimated_importance(names, values)))
    numeric = [
        name
        for at, name in enumerate(names)
        if name != factor
        and len({combination[at] for combination in values}) > 1
        and all(parsed(combination[at]) is not None for combination in values)
    ]
    if len(numeric) < 2:
        return Sensitivity(tuple(shares))
    flips = flip_map(names, factor, (numeric[0], numeric[1]), values, lower=lower_is_better(metric))
    return Sensitivity(tuple(shares), flips)


def _value(run: Run, metric: str) -> float | None:
    """The metric of a finished run; chance where an accuracy diverged."""
    if state_of(run) != "finished":
        return None
    if diverged(run, metric):
        return chance_level(metric, run.run_spec().data_shape.classes)
    return run.metrics.get(metric)
