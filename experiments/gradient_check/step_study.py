"""How the quotient's error depends on its step, in both precisions: why h = 1e-4 and why double precision."""

from __future__ import annotations

import numpy as np

from experiments import plots
from experiments.datasets import Source
from experiments.gradient_check.differences import Differences
from experiments.gradient_check.objective import Array, Objective
from experiments.runs import RunSpec

STEPS = 10.0 ** np.arange(-11, 0.5, 0.5)
COORDINATES = 16
"""Per tensor, those with the largest derivatives."""


def errors_over_step(spec: RunSpec, source: Source) -> dict[str, Array]:
    """Precision -> median relative error at each of STEPS (k,), at the initial weights."""
    data = spec.dataset.load(source, spec.model.data_format)
    curves = {}
    for dtype in ("float32", "float64"):
        objective = Objective(spec, data, dtype=dtype)
        values = objective.start()
        gradient = [g.ravel() for g in Objective.gradient(objective, "loss", values)]
        chosen = [np.argsort(-np.abs(g))[:COORDINATES] for g in gradient]
        a = np.concatenate([g[i] for g, i in zip(gradient, chosen, strict=True)]).astype(np.float64)
        differences = Differences(objective, "loss")
        curve = []
        for step in STEPS:
            found = differences.coordinates(values, chosen, float(step))
            n = np.concatenate([q.slope for q in found])
            total = np.abs(a) + np.abs(n)
            curve.append(
                float(np.nanmedian(np.where(np.isfinite(n) & (total > 0), np.abs(a - n) / total, 1.0)))
            )
        curves[dtype] = np.array(curve)
    return curves


def picture(spec: RunSpec, source: Source) -> bytes:
    """The curves as PNG."""
    return plots.error_over_step(STEPS, errors_over_step(spec, source), spec.gradient_check.step)
