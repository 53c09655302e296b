"""Pictures of Hopfield networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from experiments import plots

STEPS = ("stored", "disturbed", "recalled")
CAPACITY = 0.138
"""Amit, Gutfreund & Sompolinsky 1985, of infinitely many units."""


def recalled(images: Sequence[npt.NDArray[np.float64]]) -> bytes:
    """A row per pattern: stored, disturbed, recalled. images: three per pattern, (height, width) of −1 and 1"""
    rows = len(images) // len(STEPS)
    figure = Figure(figsize=(5.0, 1.7 * rows + 0.4), layout="constrained")
    for index, image in enumerate(images):
        ax = figure.add_subplot(rows, len(STEPS), index + 1)
        ax.imshow(image, cmap="gray_r", vmin=-1, vmax=1)
        ax.set_xticks([])
        ax.set_yticks([])
        if index < len(STEPS):
            ax.set_title(STEPS[index], fontsize=11)
    return plots.png(figure)


def held(shares: Mapping[float, float], units: int) -> bytes:
    """The share of patterns that stay, over the load P/N."""
    figure, ax = plots.axes()
    ax.plot(list(shares), list(shares.values()), color=plots.COLOURS[0], marker="o")
    ax.axvline(CAPACITY, color=plots.COLOURS[6], linestyle="--", linewidth=1)
    ax.annotate(f"{CAPACITY} N", (CAPACITY, 1.0), xytext=(4, -4), textcoords="offset points", va="top")
    ax.set_ylim(-0.05, 1.05)
    plots.dress(ax, "patterns per unit, P/N", "share of patterns that stay", f"Capacity of {units} units")
    return plots.png(figure)
