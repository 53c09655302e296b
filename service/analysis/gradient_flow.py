"""How much of the gradient reaches the first layer, over the number of hidden layers: the price of depth.

Of experiments whose runs differ in depth. The measured ratio ‖g first‖ / ‖g last‖ stands beside 0.25^L: a sigmoid's
slope is at most ¼, and the gradient of the first layer passes L of them.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from experiments.activations import ACTIVATIONS
from service.entities import Run

GRADIENT = re.compile(r"layers/(\d+)-(.+)/grad_norm$")
SLOPE = ACTIVATIONS["sigmoid"].derivative_bound
LEAST = 3
"""Depths from which on a line over depth says something."""
Curves = Mapping[str, Mapping[str, Sequence[tuple[int, float | None]]]]
"""Run id -> metric -> (epochs completed, value), in their order."""


def gradient_keys(runs: Iterable[Run]) -> list[str]:
    """The names of the gradient norms that the runs have, the first layer's first."""
    found = {key: int(match[1]) for run in runs for key in run.metrics if (match := GRADIENT.match(key))}
    return sorted(found, key=lambda key: found[key])


def hidden_layers(run: Run) -> int:
    """Layers with a gradient before the last one; −1 where none was measured."""
    return len(gradient_keys([run])) - 1


def several(runs: Iterable[Run]) -> bool:
    """Whether the runs are of enough depths."""
    return len({depth for run in runs if (depth := hidden_layers(run)) > 0}) >= LEAST


def ratios(runs: Sequence[Run], curves: Curves) -> dict[str, dict[int, float]]:
    """What else the runs differ in (`relu`) -> hidden layers -> ‖g first‖ / ‖g last‖ before training.

    Geometric mean over the runs; of the earliest measurement where there is none from before training. Empty where
    the runs are of less than three depths.
    """
    if not several(runs):
        return {}
    deciding = _deciding(runs)
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        depth, measured = hidden_layers(run), curves.get(run.id, {})
        norms = [_first(measured.get(key, ())) for key in gradient_keys([run])]
        if depth > 0 and all(norm is not None and 0 < norm < math.inf for norm in (norms[0], norms[-1])):
            label = ", ".join(value for name, value in run.levels.items() if name not in deciding)
            found[label or "all runs"][depth].append(math.log(float(norms[0] or 0) / float(norms[-1] or 1)))
    return {
        label: {depth: math.exp(fmean(logs)) for depth, logs in sorted(of.items())}
        for label, of in found.items()
    }


def _deciding(runs: Sequence[Run]) -> set[str]:
    """The factors whose level says how deep a run is, and the seed."""
    depths: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for run in runs:
        for factor, level in run.levels.items():
            depths[factor][level].add(hidden_layers(run))
    return {"seed"} | {
        factor
        for factor, levels in depths.items()
        if all(len(one) == 1 for one in levels.values()) and len(set.union(*levels.values())) > 1
    }


def _first(points: Iterable[Any]) -> float | None:
    return min(points, key=lambda point: int(point[0]), default=(0, None))[1]
