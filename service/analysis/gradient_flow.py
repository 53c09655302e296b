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
    return list(_gradient_keys(measured_by(runs)))


def measured_by(runs: Iterable[Run]) -> tuple[str, ...]:
    """The names of all metrics that the runs have."""
    different = dict.fromkeys(run.measured for run in runs)
    return tuple(dict.fromkeys(itertools.chain(*different)))


@lru_cache(maxsize=256)
def _gradient_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Those of gradient norms, in order. Runs of one network have the same keys."""
    layers = {key: layer for key in keys if (layer := layer_of(key)) is not None}
    return tuple(sorted(layers, key=lambda key: layers[key]))


@lru_cache(maxsize=4096)
def layer_of(key: str) -> int | None:
    """The number of the layer whose gradient norm the metric is; None for every other metric."""
    match = GRADIENT.match(key)
    return int(match[1]) if match else None


def hidden_layers(run: Run) -> int:
    """Layers with a gradient before the last one; −1 where none was measured."""
    return len(_gradient_keys(run.measured)) - 1


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
    set_depth = _factors_of_depth(runs)
    depths = {depth for run in runs if (depth := hidden_layers(run)) > 0}
    if len(depths) < FEWEST_DEPTHS or set_depth == {"seed"}:
        return {}
    logs: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        depth, measured = hidden_layers(run), curves.get(run.id, {})
        if depth <= 0:
            continue
        first, *_, last = (_earliest(measured.get(key, ())) for key in _gradient_keys(run.measured))
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
