"""The figures of a tuned or swept learning rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.comparing.effects import lower_is_better
from experiments.numbers import figure as number
from experiments.numbers import parsed
from service.analysis.levels import SEED, level_of
from service.analysis.observations import diverged, state_of
from service.analysis.result import Comparison
from service.entities import Run
from service.report import charts
from service.report.charts import Line
from service.report.figure import Figure, titled
from service.words import Words

MOST_CELLS = 4
"""Up to so many cells of the other factors have a figure of their own."""
RATE = "learning_rate"


def rate_figures(comparison: Comparison, names: Mapping[str, str], say: Words) -> list[Figure]:
    """The tuned metric over the learning rate, from the tuning or from a grid with rates.

    A figure for each cell of the other factors, or one over all of them where there are many.
    """
    design = comparison.design
    seeds = set(design.tune_seeds) if design and design.axes else None
    if comparison.factor == RATE:
        return []
    metric = comparison.tuning.metric if comparison.tuning else comparison.metric
    cells: dict[str, list[_AtRate]] = defaultdict(list)
    for run in comparison.runs:
        if RATE in run.levels and (seeds is None or run.seed in seeds):
            at = _at_rate(run, comparison.factor, metric)
            cells[at.cell].append(at)
    if len(cells) > MOST_CELLS:
        cells = {"": [at for runs in cells.values() for at in runs]}
    return [_rate_figure(comparison, names, runs, metric, cell, say) for cell, runs in cells.items()]


class _AtRate(NamedTuple):
    """A run in the figure of rates: its cell of the other factors, level and rate, and its value where it has one."""

    cell: str
    level: str | None
    rate: float | None
    value: float | None
    diverged: bool


def _at_rate(run: Run, factor: str, metric: str) -> _AtRate:
    kept: tuple[tuple[str, str], _AtRate] | None = run.kept.get("at rate")
    if kept is not None and kept[0] == (factor, metric):
        return kept[1]
    own = (factor, RATE, SEED)
    cell = ", ".join([f"{name} {run.levels[name]}" for name in run.levels if name not in own])
    value = run.metrics.get(metric) if state_of(run) == "finished" else None
    at = _AtRate(cell, level_of(run, factor), parsed(run.levels[RATE]), value, diverged(run, metric))
    run.kept["at rate"] = (factor, metric), at
    return at


def _rate_figure(
    comparison: Comparison,
    names: Mapping[str, str],
    runs: Sequence[_AtRate],
    metric: str,
    cell: str,
    say: Words,
) -> Figure:
    """A line per level through its mean at each rate; every run is a dot."""
    values: dict[str, dict[float, list[float]]] = {level: defaultdict(list) for level in names}
    without_dot = 0
    for _, level, rate, value, lost in runs:
        if rate is None or level not in values:
            continue
        if lost:
            without_dot += 1
        elif value is not None:
            values[level][rate].append(value)
    lines, words = [], []
    for index, (level, name) in enumerate(names.items()):
        by_rate = sorted(values[level].items())
        points = [(rate, float(np.mean(own))) for rate, own in by_rate]
        dots = [(rate, value) for rate, own in by_rate for value in own]
        lines.append(Line(name, points, (), dots, index))
        if points:
            best = (min if lower_is_better(metric) else max)(points, key=lambda point: point[1])
            words.append(say("figure.rate_best", level=name, rate=f"{best[0]:g}", value=number(best[1])))
    rates = sorted({rate for by_rate in values.values() for rate in by_rate})
    tuned = comparison.design is not None and comparison.design.axes
    words.insert(0, say("figure.rates_tuning" if tuned else "figure.rates_all", metric=metric))
    if without_dot:
        words.append(say("figure.rates_diverged", n=without_dot))
    text = say.paragraph(words)
    svg = ""
    if len(rates) > 1:
        svg = charts.chart(
            lines,
            title=say("figure.rates_title", metric=metric),
            text=text,
            x_label=say("figure.rates_axis"),
            y_label=metric,
            x_log=rates[0] > 0,
            x_ticks=rates if len(rates) < 10 else (),
        )
    heading = say("figure.rates") + (f": {cell}" if cell else "")
    return titled("-".join(["rates", *cell.split()]), heading, svg, text, list(names.values()))
