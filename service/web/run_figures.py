"""The curves of one run: training, validation and test have the same colour in every figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.numbers import figure as number
from service.analysis import gradient_flow
from service.report import charts
from service.report.charts import Line
from service.report.figures import Figure

History = Mapping[str, Sequence[tuple[int, float | None]]]
PARTS = ("train", "val", "test")
SPOILT = 20
"""A range over this factor is drawn on a logarithmic axis, so that the first epoch does not flatten the rest."""


def run_figures(history: History) -> list[Figure]:
    """The figures of a run that have something to show.

    Args:
        history: metric -> (epochs completed, value); None is not a number.
    """
    quantities = dict.fromkeys(key.split("/", 1)[1] for key in history if key.split("/", 1)[0] in PARTS)
    drawn = [_quantity(name, history) for name in quantities]
    return [figure for figure in (*drawn, _gradients(history)) if figure.svg]


def _quantity(name: str, history: History) -> Figure:
    series = {part: _finite(history.get(f"{part}/{name}", ())) for part in PARTS}
    lines = [Line(part, points, colour=PARTS.index(part)) for part, points in series.items() if points]
    words = [f"{line.name} ends at {number(line.points[-1][1])}." for line in lines]
    lost = sum(value is None for part in PARTS for _, value in history.get(f"{part}/{name}", ()))
    if lost:
        words.append(f"{lost} values are not numbers and are not drawn: the run diverged.")
    values = [value for line in lines for _, value in line.points]
    text = f"{name} after each epoch. {' '.join(words)}"
    svg = charts.chart(
        lines, title=f"{name} while it trained", text=text, x_label="epochs completed", y_label=name, x_whole=True,
        y_log=name == "loss" and min(values, default=0) > 0 and max(values) > SPOILT * min(values),
    )  # fmt: skip
    legend = tuple((line.name, charts.key(line.colour)) for line in lines)
    return Figure(name, f"{name} while it trained", svg, text, legend)


def _gradients(history: History) -> Figure:
    lines = []
    for key in history:
        if match := gradient_flow.GRADIENT.match(key):
            layer = int(match.group(1))
            points = [(x, y) for x, y in _finite(history[key]) if y > 0]
            if points:
                lines.append(Line(key.split("/")[1], points, colour=layer))
    lines.sort(key=lambda line: line.colour)
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
