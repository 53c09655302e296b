"""How the quotient's error depends on its step, in both precisions: why h = 1e-4 and why double precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments import plots
from experiments.datasets import Source
from experiments.gradient_check.differences import Differences
from experiments.gradient_check.objective import Array, Objective
from experiments.runs import RunSpec

STEPS = 10.0 ** np.arange(-11, 0.5, 0.5)
COORDINATES = 16
"""Per tensor, those with the largest derivatives."""


def picture(spec: RunSpec, source: Source) -> bytes:
    """The error over the step, a curve per precision, as PNG.

    Args:
        spec: The run whose program is studied at its initial weights.
        source: Where its data set is read from.

    Raises:
        DataError: The data set cannot be had.
    """
    return drawn(STEPS, errors_over_step(spec, source), spec.gradient_check.step)


def errors_over_step(spec: RunSpec, source: Source) -> dict[str, Array]:
    """Precision -> median relative error of the quotient at each of STEPS, (k,). See `picture` for the arguments."""
    data = spec.dataset.load(source, spec.model.data_format)
    return {dtype: _errors(Objective(spec, data, dtype=dtype)) for dtype in ("float32", "float64")}


def _errors(objective: Objective) -> Array:
    """(k,): |a − n| / (|a| + |n|) over the coordinates with the largest derivatives, the median per step."""
    values, batch = objective.start(), objective.batch()
    gradient = [g.ravel() for g in objective.gradient("loss", values, batch)]
    chosen = [np.argsort(-np.abs(g))[:COORDINATES] for g in gradient]
    a = np.concatenate([g[i] for g, i in zip(gradient, chosen, strict=True)]).astype(np.float64)
    differences = Differences(objective, "loss")
    medians = []
    for step in STEPS:
        n = np.concatenate([q.slope for q in differences.coordinates(values, batch, chosen, float(step))])
        total = np.abs(a) + np.abs(n)
        error = np.where(np.isfinite(n) & (total > 0), np.abs(a - n) / total, 1.0)
        medians.append(float(np.nanmedian(error)))
    return np.array(medians)


def drawn(steps: Array, errors: Mapping[str, Array], used: float) -> bytes:
    """The curves as PNG.

    Right of the valley the error falls with h², since the difference is not yet the derivative. Left of it rounding
    grows as 1/h. float64 has room between the two, float32 has none.

    Args:
        steps: h, (k,).
        errors: Precision -> relative error at each step, (k,).
        used: The h of the check, marked by a line.
    """
    figure, ax = plots.axes(6.4, 4.4)
    for (precision, error), colour, marker in zip(errors.items(), plots.COLOURS, plots.MARKERS, strict=False):
        shown = np.maximum(error, 1e-17)
        ax.plot(steps, shown, color=colour, marker=marker, markersize=4, linewidth=1.8, label=precision)
    ax.axvline(used, color="k", linestyle="--", linewidth=1.2, label=f"the check's h = {used:g}")
    ax.axhspan(1e-2, max(10.0, *(float(np.nanmax(e)) for e in errors.values())), color=plots.ABOVE, zorder=0)
    ax.text(float(np.max(steps)), 2e-2, "says “wrong”", ha="right", fontsize=9)
    ax.set_xscale("log")
    ax.set_yscale("log")
    title = "A difference quotient's error: too large a step, or too much rounding"
    plots.dress(ax, "step h (in units of the weight)", "relative error, median", title)
    ax.legend(frameon=False)
    return plots.png(figure)
