"""The curves of one run: training, validation and test have the same colour in every figure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from experiments.numbers import figure as number
from experiments.numbers import wants_log_axis
from service.analysis import gradient_flow
from service.report import charts
from service.report.charts import Line
from service.report.figure import Figure
from service.report.figures import ZEROS
from service.words import Words

History = Mapping[str, Sequence[tuple[int, float | None]]]
PARTS = ("train", "val", "test")
"""Parts of the data; the place of each is its colour, here and in the pictures (`experiments.plots.PARTS`)."""


def run_figures(history: History, say: Words, *, running: bool = False) -> list[Figure]:
    """The figures of a run that have something to show.

    Args:
        history: metric -> (epochs completed, value); None is not a number.
        say: the texts, in the reader's language.
        running: whether more is to come.
    """
    end = "figure.ends_now" if running else "figure.ends"
    quantities = dict.fromkeys(key.split("/", 1)[1] for key in history if key.split("/", 1)[0] in PARTS)
    drawn = [_quantity(name, history, say, end) for name in quantities]
    return [
        figure for figure in (*drawn, _gradients(history, say, end), _zeros(history, say, end)) if figure.svg
    ]


def _quantity(name: str, history: History, say: Words, end: str) -> Figure:
    series = {part: _finite(history.get(f"{part}/{name}", ())) for part in PARTS}
    lines = [
        Line(say(f"part.{part}"), points, colour=colour)
        for colour, (part, points) in enumerate(series.items())
        if points
    ]
    begun = any(x == 0 for line in lines for x, _ in line.points)
    words = [say("figure.run_from_start" if begun else "figure.run_each_epoch", name=name)]
    words += _ends(lines, say, end)
    lost = sum(value is None for part in PARTS for _, value in history.get(f"{part}/{name}", ()))
    if lost:
        words.append(say("figure.run_lost", n=lost))
    values = [value for line in lines for _, value in line.points]
    heading, text = say("figure.run_title", name=name), say.paragraph(words)
    svg = charts.chart(
        lines, title=heading, text=text, x_label=say("figure.epochs"), y_label=name, x_whole=True,
        y_log=name == "loss" and wants_log_axis(values),
    )  # fmt: skip
    legend = tuple((line.name, charts.key(line.colour)) for line in lines)
    return Figure(name, heading, svg, text, legend)


def _ends(lines: Sequence[Line], say: Words, end: str) -> list[str]:
    ends = [say("figure.run_end", name=line.name, value=number(line.points[-1][1])) for line in lines]
    return [say(end, ends=say("sign.comma").join(ends))] if ends else []


def _by_layer(history: History, name: re.Pattern[str]) -> list[Line]:
    """A line for each layer that measured something, first layer first, in a colour that no part of the data has."""
    layers = {key: int(match[1]) for key in history if (match := name.match(key)) and _finite(history[key])}
    keys = sorted(layers, key=lambda key: layers[key])
    free = len(charts.COLOURS) - len(PARTS)
    colours = [
        len(PARTS) + index % free + len(charts.COLOURS) * (index // free) for index in range(len(keys))
    ]
    return [
        Line(key.split("/")[1], _finite(history[key]), colour=colour)
        for key, colour in zip(keys, colours, strict=True)
    ]


def _zeros(history: History, say: Words, end: str) -> Figure:
    """Nothing where no activation was exactly 0 once training had begun, as of a sigmoid."""
    lines = _by_layer(history, ZEROS)
    heading = say("figure.zeros")
    text = say.paragraph([say("figure.zeros_text"), *_ends(lines, say, end)])
    svg = ""
    if any(epochs > 0 and value > 0 for line in lines for epochs, value in line.points):
        svg = charts.chart(
            lines, title=heading, text=text, x_label=say("figure.epochs"), y_label=say("figure.zeros_axis"),
            x_whole=True,
        )  # fmt: skip
    legend = tuple((line.name, charts.key(line.colour)) for line in lines)
    return Figure("zeros", heading, svg, text, legend)


def _gradients(history: History, say: Words, end: str) -> Figure:
    lines = _by_layer(history, gradient_flow.GRADIENT)
    heading, words = say("figure.layers"), [say("figure.layers_text"), *_ends(lines, say, end)]
    if gone := [line.name for line in lines if any(value <= 0 for _, value in line.points)]:
        words.append(say("figure.layers_zero", names=", ".join(gone)))
    text = say.paragraph(words)
    svg = ""
    if any(len(line.points) > 1 for line in lines):
        svg = charts.chart(
            lines, title=heading, text=text, x_label=say("figure.epochs"), y_label=say("figure.gradient_norm"),
            y_log=True, x_whole=True,
        )  # fmt: skip
    legend = tuple((line.name, charts.key(line.colour)) for line in lines)
    return Figure("gradients", heading, svg, text, legend)


def _finite(points: Sequence[tuple[int, float | None]]) -> list[tuple[float, float]]:
    return [(float(step), value) for step, value in points if value is not None]
