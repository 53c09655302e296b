"""Pictures of what a run learned and the kit all pictures are drawn with: from numbers to the bytes of a PNG.

Drawn through matplotlib's object interface: no pyplot, no global state, safe in any thread and without a
display. Colours are Okabe and Ito's eight, which people with any colour vision can tell apart; lines differ
in their markers too. `layer_plots` draws what happens inside the layers;
`workers.requests.draw` decides which pictures a run gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from math import isfinite

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from experiments.numbers import wants_log_axis

Array = NDArray[np.floating]
Series = Mapping[int, float]
"""A value per number of completed epochs (or per depth)."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
PARTS = {
    "train": ("training", "#0072B2", "o"),
    "val": ("validation", "#D55E00", "s"),
    "test": ("test", "#009E73", "^"),
}
"""Part of the data -> its name, colour and marker: the same in every picture and on every page."""
BELOW, ABOVE = "#cfe5f5", "#fbe3c0"  # the two sides of a decision line: pale blue, pale orange


def png(figure: Figure) -> bytes:
    """A figure as PNG, 110 dots an inch, without a timestamp: the same numbers give the same bytes."""
    buffer = BytesIO()
    figure.set_dpi(110)
    # `savefig` draws everything twice for the layout; *measured*, one drawing gives the same bytes in half the time.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def axes(width: float = 6.0, height: float = 4.0) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes; width and height in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def dress(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Axis labels, title, grid and frame, the same in every picture."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_title(title, fontsize=11, loc="left")
    ax.grid(True, alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def lines(ax: Axes, series: Mapping[str, Series]) -> None:
    """One line per name, with colour and marker by its order."""
    for index, (name, points) in enumerate(series.items()):
        line(ax, name, points, COLOURS[index % 8], MARKERS[index % 8])


def line(ax: Axes, name: str, points: Series, colour: str, marker: str) -> None:
    """One line. A value that is not finite leaves a gap."""
    steps = sorted(points)
    values = [points[step] if isfinite(points[step]) else np.nan for step in steps]
    size = 5 if len(steps) <= 40 else 0
    ax.plot(steps, values, label=name, color=colour, marker=marker, markersize=size, linewidth=1.6)


def loss_curves(history: Mapping[str, Series], loss: str = "loss") -> bytes:
    """Loss over epochs, and beside it the accuracy where there is one.

    Args:
        history: `train/loss`, `val/loss`, `test/accuracy`, …, each a value per number of epochs completed.
        loss: The loss function's name, for the axis.
    """
    kinds = [kind for kind in ("loss", "accuracy") if any(key.endswith("/" + kind) for key in history)]
    figure = Figure(figsize=(5.2 * max(1, len(kinds)), 4.0), layout="constrained")
    for position, kind in enumerate(kinds or ["loss"]):
        ax = figure.add_subplot(1, max(1, len(kinds)), position + 1)
        shown = {part: history[f"{part}/{kind}"] for part in PARTS if f"{part}/{kind}" in history}
        for part, points in shown.items():
            name, colour, marker = PARTS[part]
            line(ax, name, points, colour, marker)
        values = [value for points in shown.values() for value in points.values() if isfinite(value)]
        if kind == "loss" and wants_log_axis(values):
            ax.set_yscale("log")
        y = loss.replace("_", " ") if kind == "loss" else "accuracy (share of points)"
        dress(ax, "epochs completed (0: before training)", y, "Loss" if kind == "loss" else "Accuracy")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if ax.lines:
            ax.legend(frameon=False)
    return png(figure)


def regression_fit(
    points: Mapping[str, tuple[Array, Array]],
    grid: Array,
    fitted: Array,
    truth: Array | None = None,
    units: tuple[str, str] = ("x", "y"),
) -> bytes:
    """The data and the curve that the network learned: the training points show what it was fitted to.

    Args:
        points: part of the data (`train`, `val`, `test`) -> inputs and targets, (n,) each.
        grid: Inputs in rising order, (m,).
        fitted: The network's output over `grid`, (m,).
        truth: The function behind the data over `grid`, (m,), where it is known.
        units: Names of the two axes.
    """
    figure, ax = axes()
    for part, (x, y) in points.items():
        name, colour, marker = PARTS[part]
        label = f"{name} ({len(x)} points)"
        ax.scatter(x, y, s=16, color=colour, marker=marker, alpha=0.65, linewidths=0, label=label)
    if truth is not None:
        ax.plot(
            grid, truth, color="#000000", linestyle="--", linewidth=1.5, label="the function behind the data"
        )
    ax.plot(grid, fitted, color=COLOURS[3], linewidth=2.2, label="the network")
    dress(ax, units[0], units[1], "What the network learned")
    ax.legend(frameon=False)
    return png(figure)


def scatter(target: Array, predicted: Array, unit: str = "y") -> bytes:
    """Predicted against true value, (n,) each: a perfect network puts every point on the diagonal."""
    figure, ax = axes(4.6, 4.4)
    low = float(min(np.min(target), np.min(predicted)))
    high = float(max(np.max(target), np.max(predicted)))
    ax.plot(
        [low, high], [low, high], color="#000000", linestyle="--", linewidth=1.2, label="predicted = true"
    )
    ax.scatter(target, predicted, s=14, color=COLOURS[0], alpha=0.6, linewidths=0)
    error = float(np.sqrt(np.mean((np.asarray(predicted) - np.asarray(target)) ** 2)))
    dress(
        ax, f"true {unit}", f"predicted {unit}", f"{len(target):,} points; root mean square error {error:.3g}"
    )
    ax.set_aspect("equal", adjustable="datalim")
    ax.legend(frameon=False)
    return png(figure)


def confusion_matrix(counts: NDArray[np.integer], labels: Sequence[str]) -> bytes:
    """counts (C, C): row = true class, column = predicted class. Shade: share of the row."""
    size = max(4.2, 0.5 * len(labels) + 1.8)
    figure, ax = axes(size + 0.8, size)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    ax.set_xticks(range(len(labels)), labels)
    ax.set_yticks(range(len(labels)), labels)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if share[row, column] > 0.5 else "black"
            ax.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=colour)
    right = float(np.trace(counts)) / max(1, int(counts.sum()))
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.set_title(f"{right:.2%} of {int(counts.sum()):,} points on the diagonal", fontsize=11, loc="left")
    figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    return png(figure)


def _two_classes(ax: Axes, x: Array, t: Array) -> None:
    for value, name, marker, colour in ((0, "target 0", "o", COLOURS[0]), (1, "target 1", "s", COLOURS[4])):
        chosen = np.asarray(t).ravel() == value
        ax.scatter(
            x[chosen, 0],
            x[chosen, 1],
            s=110,
            marker=marker,
            color=colour,
            edgecolors="k",
            label=name,
            zorder=3,
        )


def decision(
    x: Array, t: Array, horizontal: Array, vertical: Array, output: Array, bound: float, title: str
) -> bytes:
    """The plane of two inputs, coloured by the network's answer, and the points on it.

    Args:
        x: Points, (n, 2).
        t: Their targets, 0 or 1, (n,).
        horizontal: Values of the first input, (columns,).
        vertical: Values of the second input, (rows,).
        output: The network's output where these cross, (rows, columns).
        bound: The network answers 1 where its output exceeds this.
        title: Of the picture.
    """
    figure, ax = axes(5.2, 4.4)
    answers = (output > bound).astype(float)
    ax.contourf(horizontal, vertical, answers, levels=[-0.5, 0.5, 1.5], colors=[BELOW, ABOVE])
    if 0 < answers.mean() < 1:
        ax.contour(horizontal, vertical, output, levels=[bound], colors="k", linewidths=2)
    _two_classes(ax, x, t)
    dress(ax, "input x₁", "input x₂", title)
    ax.legend(frameon=True, loc="upper right")
    return png(figure)


def decision_line(x: Array, t: Array, answers: NDArray[np.integer], kernel: Array, bias: float) -> bytes:
    """The line w₁x₁ + w₂x₂ + b = 0 of a neuron with two inputs, and the points on its sides.

    Args:
        x: Points, (n, 2).
        t: Their targets, 0 or 1, (n,).
        answers: The neuron's answers, 0 or 1, (n,); they say to which side a point on the line itself belongs.
        kernel: w, (2,) or (2, 1).
        bias: b.
    """
    w = np.asarray(kernel, dtype=np.float64).ravel()
    low, high = np.min(x, axis=0) - 0.5, np.max(x, axis=0) + 0.5
    horizontal, vertical = np.linspace(low[0], high[0], 301), np.linspace(low[1], high[1], 301)
    output = w[0] * horizontal[None, :] + w[1] * vertical[:, None] + bias  # (rows, columns)
    wrong = int(np.sum(answers != np.asarray(t).ravel()))
    verdict = "every point on its side" if wrong == 0 else f"{wrong} of {len(x)} points on the wrong side"
    title = f"{w[0]:.3g} x₁ {w[1]:+.3g} x₂ {bias:+.3g} = 0\n{verdict}"
    return decision(x, t, horizontal, vertical, output, 0.0, title)
