"""How much of the gradient reaches the first layer, over the number of hidden layers.

For experiments whose runs differ in depth. The measured ratio ‖g first‖ / ‖g last‖ stands beside 0.25^L: a sigmoid's
slope is at most ¼, and the gradient of the first layer passes L of them.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any

from experiments.activations import ACTIVATIONS
from service.entities import Run

GRADIENT = re.compile(r"layers/(\d+)-(.+)/grad_norm$")
SLOPE = ACTIVATIONS["sigmoid"].derivative_bound
FEWEST_DEPTHS = 3
"""Fewer depths than this make no line."""
Curves = Mapping[str, Mapping[str, Sequence[tuple[int, float | None]]]]
"""Run id to metric to (epochs completed, value), in their order."""


def gradient_keys(runs: Iterable[Run]) -> list[str]:
    """The names of the gradient norms that the runs have, the first layer's first."""
    return [key for _, key in _norms(measured_by(runs))]


def measured_by(runs: Iterable[Run]) -> tuple[str, ...]:
    """The names of all metrics that the runs have."""
    different = {id(run.measured): run.measured for run in runs}
    return tuple(dict.fromkeys(itertools.chain(*different.values())))


@lru_cache(maxsize=256)
def _norms(keys: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    layers = ((match, key) for key in keys if (match := GRADIENT.match(key)))
    return tuple(sorted((int(match[1]), key) for match, key in layers))


def norms_of(run: Run) -> tuple[tuple[int, str], ...]:
    """The gradient norms that a run measured, as (number of the layer, name of the metric), the first layer first."""
    norms: tuple[tuple[int, str], ...] | None = run.kept.get("norms")
    if norms is None:
        norms = run.kept["norms"] = _norms(run.measured)
    return norms


def hidden_layers(run: Run) -> int:
    """Layers with a gradient before the last one; −1 where none was measured."""
    return len(norms_of(run)) - 1


def ratios(runs: Sequence[Run], curves: Curves) -> dict[str, dict[int, float]]:
    """‖g first‖ / ‖g last‖ before training, over the number of hidden layers.

    Args:
        runs: The runs.
        curves: Their gradient norms (`gradient_keys`).

    Returns:
        Everything else in which the runs differ (`relu`) to hidden layers to the geometric mean over the runs. Where
        nothing was measured before training, the earliest measurement counts. Empty where the runs have fewer than
        `FEWEST_DEPTHS` depths, or no factor sets the depth.
    """
    depths = {depth for run in runs if (depth := hidden_layers(run)) > 0}
    if len(depths) < FEWEST_DEPTHS or (set_depth := _factors_of_depth(runs)) == {"seed"}:
        return {}
    logs: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        depth, measured = hidden_layers(run), curves.get(run.id, {})
        if depth <= 0:
            continue
        first, *_, last = (_earliest(measured.get(key, ())) for _, key in norms_of(run))
        if first is not None and last is not None and 0 < first < math.inf and 0 < last < math.inf:
            label = ", ".join(value for name, value in run.levels.items() if name not in set_depth)
            logs[label or "all runs"][depth].append(math.log(first / last))
    return {
        label: {depth: math.exp(fmean(own)) for depth, own in sorted(by_depth.items())}
        for label, by_depth in logs.items()
    }


def _factors_of_depth(runs: Sequence[Run]) -> set[str]:
    """The factors whose level says how deep a run is, and the seed. Runs that measured no gradient say nothing."""
    depths: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for run in runs:
        if (depth := hidden_layers(run)) >= 0:
            for factor, level in run.levels.items():
                depths[factor][level].add(depth)
    return {"seed"} | {
        factor
        for factor, levels in depths.items()
        if all(len(own) == 1 for own in levels.values()) and len(set.union(*levels.values())) > 1
    }


def _earliest(points: Iterable[Any]) -> float | None:
    return min(points, key=lambda point: int(point[0]), default=(0, None))[1]
