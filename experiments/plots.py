"""The pictures a run leaves behind: pure functions from numbers to the bytes of a PNG.

Drawn through matplotlib's object interface: no pyplot, no global state, safe in any thread and without a
display. Colours are Okabe and Ito's eight, which people with any colour vision can tell apart; lines differ
in their markers too. Which pictures a run gets is decided in `pictures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from math import ceil, isfinite, sqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

Array = NDArray[np.floating]
Series = Mapping[int, float]
"""A value per number of completed epochs (or per depth)."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
BELOW, ABOVE = "#cfe5f5", "#fbe3c0"  # the two sides of a decision line: pale blue, pale orange


def png(figure: Figure) -> bytes:
    """A figure as PNG, 110 dots an inch, without a timestamp: the same numbers give the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def axes(width: float = 6.0, height: float = 4.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _dress(ax: Axes, x: str, y: str, title: str = "") -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_title(title, fontsize=11, loc="left")
    ax.grid(True, alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def _lines(ax: Axes, series: Mapping[str, Series]) -> None:
    """One line per name, colour and marker by its place; what is not finite leaves a gap."""
    for index, (name, points) in enumerate(series.items()):
        steps = sorted(points)
        values = [points[step] if isfinite(points[step]) else np.nan for step in steps]
        colour, marker, size = COLOURS[index % 8], MARKERS[index % 8], 5 if len(steps) <= 40 else 0
        ax.plot(steps, values, label=name, color=colour, marker=marker, markersize=size, linewidth=1.6)


def loss_curves(history: Mapping[str, Series], loss: str = "loss") -> bytes:
    """Loss over epochs, and beside it the accuracy where there is one.

    history: `train/loss`, `val/loss`, `test/accuracy`, …, each a value per number of epochs completed.
    loss: the loss function's name, for the axis.
    """
    kinds = [kind for kind in ("loss", "accuracy") if any(key.endswith("/" + kind) for key in history)]
    figure = Figure(figsize=(5.2 * max(1, len(kinds)), 4.0), layout="constrained")
    for place, kind in enumerate(kinds or ["loss"]):
        ax = figure.add_subplot(1, max(1, len(kinds)), place + 1)
        names = {"train": "training", "val": "validation", "test": "test"}
        _lines(
            ax,
            {
                names.get(key.split("/")[0], key): points
                for key, points in history.items()
                if key.endswith("/" + kind)
            },
        )
        y = loss.replace("_", " ") if kind == "loss" else "accuracy (share of points)"
        _dress(ax, "epochs completed (0: before training)", y, "Loss" if kind == "loss" else "Accuracy")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if ax.lines:
            ax.legend(frameon=False)
    return png(figure)


def regression_fit(
    x: Array,
    y: Array,
    grid: Array,
    fitted: Array,
    truth: Array | None = None,
    units: tuple[str, str] = ("x", "y"),
) -> bytes:
    """Points (n,), the network's curve over `grid` (m,), and the true curve where it is known."""
    figure, ax = axes()
    ax.scatter(x, y, s=14, color="#888888", alpha=0.6, linewidths=0, label=f"data ({len(x)} points)")
    if truth is not None:
        ax.plot(
            grid, truth, color="#000000", linestyle="--", linewidth=1.5, label="the function behind the data"
        )
    ax.plot(grid, fitted, color=COLOURS[4], linewidth=2.2, label="the network")
    _dress(ax, units[0], units[1], "What the network learned")
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
    _dress(ax, f"true {unit}", f"predicted {unit}", f"Test points; root mean square error {error:.3g}")
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
    ax.set_title(f"{right:.2%} of {int(counts.sum()):,} test points on the diagonal", fontsize=11, loc="left")
    figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    return png(figure)


def first_layer_weights(images: Array, *, most: int = 64) -> bytes:
    """images (k, height, width): one picture per unit or filter, blue negative, red positive, white 0."""
    shown = images[:most]
    columns = ceil(sqrt(len(shown)))
    rows = ceil(len(shown) / columns)
    limit = float(np.max(np.abs(shown))) or 1.0
    figure = Figure(
        figsize=(max(4.6, 0.75 * columns + 1.2), max(1.8, 0.75 * rows + 0.5)), layout="constrained"
    )
    grid = np.atleast_1d(np.asarray(figure.subplots(rows, columns, squeeze=False))).ravel()
    norm = TwoSlopeNorm(0.0, -limit, limit)
    drawn = None
    for ax, picture in zip(grid, shown, strict=False):
        drawn = ax.imshow(picture, cmap="RdBu_r", norm=norm, interpolation="nearest")
    for ax in grid:
        ax.set_axis_off()
    rest = f" (first {most} of {len(images)})" if len(images) > most else ""
    figure.suptitle(f"First layer: the weights of each of {len(images)} units{rest}", fontsize=10)
    if drawn is not None:
        figure.colorbar(drawn, ax=list(grid), label="weight", shrink=0.9)
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
    """Points x (n, 2) with targets t (n,) of 0 or 1 over the plane, coloured by the network's answer.

    output (rows, columns): the network's output where `vertical` (rows,) and `horizontal` (columns,) cross;
    it answers 1 where the output exceeds `bound`. For a single neuron the border is a straight line.
    """
    figure, ax = axes(5.2, 4.4)
    answers = (output > bound).astype(float)
    ax.contourf(horizontal, vertical, answers, levels=[-0.5, 0.5, 1.5], colors=[BELOW, ABOVE])
    if 0 < answers.mean() < 1:
        ax.contour(horizontal, vertical, output, levels=[bound], colors="k", linewidths=2)
    _two_classes(ax, x, t)
    _dress(ax, "input x₁", "input x₂", title)
    ax.legend(frameon=True, loc="upper right")
    return png(figure)


def decision_line(x: Array, t: Array, said: NDArray[np.integer], kernel: Array, bias: float) -> bytes:
    """A neuron with two inputs: the line w₁x₁ + w₂x₂ + b = 0. x (n, 2), t (n,) in {0, 1}, kernel (2,).

    said (n,) in {0, 1}: the neuron's answers; a point on the line itself belongs to the side that they say.
    """
    w = np.asarray(kernel, dtype=np.float64).ravel()
    low, high = np.min(x, axis=0) - 0.5, np.max(x, axis=0) + 0.5
    horizontal, vertical = np.linspace(low[0], high[0], 301), np.linspace(low[1], high[1], 301)
    output = w[0] * horizontal[None, :] + w[1] * vertical[:, None] + bias  # (rows, columns)
    wrong = int(np.sum(said != np.asarray(t).ravel()))
    verdict = "every point on its side" if wrong == 0 else f"{wrong} of {len(x)} points on the wrong side"
    title = f"{w[0]:.3g} x₁ {w[1]:+.3g} x₂ {bias:+.3g} = 0\n{verdict}"
    return decision(x, t, horizontal, vertical, output, 0.0, title)


def gradient_by_layer(
    norms: Mapping[str, Sequence[float]], layers: Sequence[str], bound: float | None
) -> bytes:
    """Gradient norm of each layer, first to last. norms: a label (`before training`, …) -> one per layer.

    bound: the largest share of the gradient that one layer's activation lets through, e.g. ¼ for the sigmoid;
    the dashed line falls by it from the last layer to the first.
    """
    figure, ax = axes(max(5.5, 0.8 * len(layers) + 2.0), 4.0)
    place = np.arange(1, len(layers) + 1)
    shown = {  # a logarithmic axis has no place for 0
        name if any(values) else f"{name} (0: not on this axis)": [float(v) if v else np.nan for v in values]
        for name, values in norms.items()
    }
    _lines(ax, {name: dict(zip(place.tolist(), values, strict=True)) for name, values in shown.items()})
    first = next(iter(norms.values()))
    if bound is not None and bound < 1 and len(layers) > 1 and first[-1] > 0:
        falling = first[-1] * bound ** (len(layers) - place)
        label = f"falling by {bound:g} a layer, as the activation's slope can"
        ax.plot(place, falling, "k--", linewidth=1.2, label=label)
    ax.set_yscale("log")
    ax.set_xticks(place, [f"{i}\n{name}" for i, name in zip(place, layers, strict=True)], fontsize=8)
    _dress(
        ax,
        "layer, from the input to the output",
        "gradient norm ‖∂E/∂W‖ (loss per weight)",
        "How much gradient each layer gets",
    )
    ax.legend(frameon=False)
    return png(figure)


def gradient_over_depth(ratios: Mapping[str, Series], slope: float = 0.25) -> bytes:
    """‖g first‖/‖g last‖ over the number of hidden layers, a line per activation, beside slope^L."""
    figure, ax = axes(6.4, 4.4)
    _lines(ax, ratios)
    depths = sorted({depth for points in ratios.values() for depth in points})
    ax.plot(
        depths, [slope**depth for depth in depths], "k--", linewidth=1.4, label=f"{slope:g} to the power L"
    )
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _dress(
        ax,
        "hidden layers L",
        "gradient norm: first layer / last layer",
        "Vanishing gradient: the price of depth",
    )
    ax.legend(frameon=False)
    return png(figure)


def activation_histograms(layers: Mapping[str, Mapping[str, tuple[Array, Array]]]) -> bytes:
    """Per layer, the distribution of its activations at several times on the same probe points.

    layers: layer name -> (`before training`, …) -> (counts (k,), edges (k + 1,)).
    """
    columns = min(4, len(layers))
    rows = ceil(len(layers) / columns)
    figure = Figure(figsize=(3.0 * columns + 0.6, 2.5 * rows + 0.7), layout="constrained")
    grid = np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel()
    for ax, (name, times) in zip(grid, layers.items(), strict=False):
        for index, (label, (counts, edges)) in enumerate(times.items()):
            total = max(1.0, float(np.sum(counts)))
            style = {"color": COLOURS[index % 8], "linewidth": 1.5, "linestyle": ("-", "--", ":")[index % 3]}
            ax.stairs(100 * counts / total, edges, fill=False, label=label, **style)
        _dress(ax, "activation a (no unit)", "share of values (%)", name)
    for ax in grid[len(layers) :]:
        ax.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return png(figure)


def error_over_step(steps: Array, errors: Mapping[str, Array], used: float) -> bytes:
    """The relative error of the difference quotient over its step h, a curve per precision.

    steps (k,), errors: precision -> (k,). Right of the valley the error falls with h² (the difference is not yet
    the derivative), left of it rounding grows as 1/h: float64 has room between the two, float32 has not.
    """
    figure, ax = axes(6.4, 4.4)
    for index, (precision, error) in enumerate(errors.items()):
        ax.plot(
            steps,
            np.maximum(error, 1e-17),
            color=COLOURS[index],
            marker=MARKERS[index],
            markersize=4,
            linewidth=1.8,
            label=precision,
        )
    ax.axvline(used, color="k", linestyle="--", linewidth=1.2, label=f"the check's h = {used:g}")
    ax.axhspan(1e-2, max(10.0, *(float(np.nanmax(e)) for e in errors.values())), color=ABOVE, zorder=0)
    ax.text(float(np.max(steps)), 2e-2, "says “wrong”", ha="right", fontsize=9)
    ax.set_xscale("log")
    ax.set_yscale("log")
    title = "A difference quotient's error: too large a step, or too much rounding"
    _dress(ax, "step h (in units of the weight)", "relative error, median", title)
    ax.legend(frameon=False)
    return png(figure)
