"""The curves of one run: training, validation and test have the same colour in every figure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from experiments.numbers import figure as number
from experiments.numbers import wants_log_axis
from service.analysis import gradient_flow
from service.report import charts
from service.report.charts import Line
from service.report.figures import ZEROS, Figure

History = Mapping[str, Sequence[tuple[int, float | None]]]
PARTS = {"train": "training", "val": "validation", "test": "test"}
"""Part of the data -> its name; its place is its colour, here and in the pictures (`experiments.plots.PARTS`)."""


def run_figures(history: History) -> list[Figure]:
    """The figures of a run that have something to show.

    Args:
        history: metric -> (epochs completed, value); None is not a number.
    """
    quantities = dict.fromkeys(key.split("/", 1)[1] for key in history if key.split("/", 1)[0] in PARTS)
    drawn = [_quantity(name, history) for name in quantities]
    return [figure for figure in (*drawn, _gradients(history), _zeros(history)) if figure.svg]


def _quantity(name: str, history: History) -> Figure:
    series = {part: _finite(history.get(f"{part}/{name}", ())) for part in PARTS}
    lines = [
        Line(PARTS[part], points, colour=colour)
        for colour, (part, points) in enumerate(series.items())
        if points
    ]
    words = [f"{line.name} ends at {number(line.points[-1][1])}." for line in lines]
    lost = sum(value is None for part in PARTS for _, value in history.get(f"{part}/{name}", ()))
    if lost:
        words.append(f"{lost} values are not numbers and are not drawn: the run diverged.")
    values = [value for line in lines for _, value in line.points]
    start = (
        "before training (0) and after each epoch"
        if any(x == 0 for line in lines for x, _ in line.points)
        else "after each epoch"
    )
    text = f"{name} {start}. {' '.join(words)}"
    svg = charts.chart(
        lines, title=f"{name} while it trained", text=text, x_label="epochs completed", y_label=name, x_whole=True,
        y_log=name == "loss" and wants_log_axis(values),
    )  # fmt: skip
    legend = tuple((line.name, charts.key(line.colour)) for line in lines)
    return Figure(name, f"{name} while it trained", svg, text, legend)


def _by_layer(history: History, name: re.Pattern[str]) -> list[Line]:
    """A line for each layer that measured something, first layer first."""
    layers = {key: int(match[1]) for key in history if (match := name.match(key))}
    lines = [Line(key.split("/")[1], _finite(history[key]), colour=layer) for key, layer in layers.items()]
    return sorted((line for line in lines if line.points), key=lambda line: line.colour)


def _zeros(history: History) -> Figure:
    """Nothing where no activation was exactly 0 once training had begun, as of a sigmoid."""
    lines = _by_layer(history, ZEROS)
    text = (
        "Share of each layer's activations that are exactly 0 on the same points, before training and after each epoch. "
        + " ".join(f"{line.name} ends at {number(line.points[-1][1])}." for line in lines)
    )
    svg = ""
    if any(epochs > 0 and value > 0 for line in lines for epochs, value in line.points):
        svg = charts.chart(
            lines, title="Silent units by layer", text=text, x_label="epochs completed",
            y_label="share of activations that are 0", x_whole=True,
        )  # fmt: skip
    legend = tuple((line.name, charts.key(line.colour)) for line in lines)
    return Figure("zeros", "Silent units by layer", svg, text, legend)


def _gradients(history: History) -> Figure:
    lines = _by_layer(history, gradient_flow.GRADIENT)
    text = "Norm of the loss's gradient in each layer, after each epoch."
    svg = ""
    if any(len(line.points) > 1 for line in lines):
        svg = charts.chart(
            lines, title="Gradient by layer", text=text, x_label="epochs completed",
            y_label="gradient norm (log scale)", y_log=True, x_whole=True,
        )  # fmt: skip
    legend = tuple((line.name, charts.key(line.colour)) for line in lines)
    return Figure("gradients", "Gradient by layer", svg, text, legend)


def _finite(points: Sequence[tuple[int, float | None]]) -> list[tuple[float, float]]:
    return [(float(step), value) for step, value in points if value is not None]
