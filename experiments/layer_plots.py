"""Pictures of what happens inside the layers: first-layer weights, gradient by layer and depth, activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, sqrt

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from experiments import plots
from experiments.plots import Array


def first_layer_weights(images: Array, *, most: int = 64) -> bytes:
    """images (k, height, width): one picture per unit or filter, blue negative, red positive, white 0."""
    shown = images[:most]
    columns = ceil(sqrt(len(shown)))
    rows = ceil(len(shown) / columns)
    limit = float(np.max(np.abs(shown))) or 1.0
    figure, ax = plots.axes(max(4.6, 0.75 * columns + 1.2), max(1.8, 0.75 * rows + 0.5))
    height, width = shown.shape[1:]
    drawn = None
    for index, picture in enumerate(
        shown
    ):  # all in one frame: *measured*, a frame each takes ten times as long
        left, top = (
            1.1 * length * place for length, place in ((width, index % columns), (height, index // columns))
        )
        extent = (left, left + width, top + height, top)
        drawn = ax.imshow(
            picture,
            cmap="RdBu_r",
            norm=TwoSlopeNorm(0.0, -limit, limit),
            interpolation="nearest",
            extent=extent,
        )
    ax.set(xlim=(0, (1.1 * columns - 0.1) * width), ylim=((1.1 * rows - 0.1) * height, 0))
    ax.set_axis_off()
    rest = f" (first {most} of {len(images)})" if len(images) > most else ""
    figure.suptitle(f"First layer: the weights of each of {len(images)} units{rest}", fontsize=10)
    if drawn is not None:
        figure.colorbar(drawn, ax=ax, label="weight", shrink=0.9)
    return plots.png(figure)


def gradient_by_layer(
    norms: Mapping[str, Sequence[float]], layers: Sequence[str], bound: float | None
) -> bytes:
    """Gradient norm of each layer.

    Args:
        norms: A label (`before training`, …) -> one norm per layer, first to last.
        layers: Names of the layers.
        bound: The largest share of the gradient that one layer's activation lets through, ¼ for the sigmoid. The
            dashed line falls by it from the last layer to the first. None: no line.
    """
    figure, ax = plots.axes(max(5.5, 0.8 * len(layers) + 2.0), 4.0)
    position = np.arange(1, len(layers) + 1)
    shown = {  # a logarithmic axis has no place for 0
        name if any(values) else f"{name} (0: not on this axis)": [float(v) if v else np.nan for v in values]
        for name, values in norms.items()
    }
    plots.lines(
        ax, {name: dict(zip(position.tolist(), values, strict=True)) for name, values in shown.items()}
    )
    first = next(iter(norms.values()))
    if bound is not None and bound < 1 and len(layers) > 1 and first[-1] > 0:
        falling = first[-1] * bound ** (len(layers) - position)
        label = f"falling by {bound:g} a layer, as the activation's slope can"
        ax.plot(position, falling, "k--", linewidth=1.2, label=label)
    ax.set_yscale("log")
    ax.set_xticks(position, [f"{i}\n{name}" for i, name in zip(position, layers, strict=True)], fontsize=8)
    plots.dress(
        ax,
        "layer, from the input to the output",
        "gradient norm ‖∂E/∂W‖ (loss per weight)",
        "How much gradient each layer gets",
    )
    ax.legend(frameon=False)
    return plots.png(figure)


def activation_histograms(layers: Mapping[str, Mapping[str, tuple[Array, Array]]]) -> bytes:
    """Per layer, the distribution of its activations at several times on the same probe points.

    Args:
        layers: Layer name -> (`before training`, …) -> (counts (k,), edges (k + 1,)).
    """
    columns = min(4, len(layers))
    rows = ceil(len(layers) / columns)
    figure = Figure(figsize=(3.0 * columns + 0.6, 2.5 * rows + 0.7), layout="constrained")
    grid = np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel()
    for ax, (name, times) in zip(grid, layers.items(), strict=False):
        for index, (label, (counts, edges)) in enumerate(times.items()):
            total = max(1.0, float(np.sum(counts)))
            style = {
                "color": plots.COLOURS[index % 8],
                "linewidth": 1.5,
                "linestyle": ("-", "--", ":")[index % 3],
            }
            ax.stairs(100 * counts / total, edges, fill=False, label=label, **style)
        plots.dress(ax, "activation a (no unit)", "share of values (%)", name)
    for ax in grid[len(layers) :]:
        ax.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return plots.png(figure)
