"""The figures of a comparison: what each one shows, and the sentence that says it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.comparing.effects import lower_is_better
from experiments.numbers import figure as number
from experiments.numbers import finite, parsed, signed, wants_log_axis
from service.analysis import gradient_flow
from service.analysis.gradient_flow import Curves
from service.analysis.levels import SEED, level_of
from service.analysis.observations import diverged, seed_of, state_of
from service.analysis.result import Comparison
from service.entities import Run
from service.report import charts
from service.report.charts import Bar, Line
from service.store import Store, queries

ZEROS = re.compile(r"layers/(\d+)-.+/zeros$")
MOST_CELLS = 4
"""Up to so many cells of the other factors have a figure of their own."""
RATE = "learning_rate"


@dataclass(frozen=True)
class Figure:
    """A drawing with its heading, its text, and the legend as (name, drawn key)."""

    id: str
    heading: str
    svg: str
    """Empty where there is nothing to draw."""
    text: str
    legend: tuple[tuple[str, str], ...] = ()


def _figure(id: str, heading: str, svg: str, text: str, legend: Sequence[str] = ()) -> Figure:
    keys = tuple((name, charts.key(index)) for index, name in enumerate(legend)) if len(legend) > 1 else ()
    return Figure(id, heading, svg, text, keys)


def curve_keys(comparison: Comparison) -> list[str]:
    """The metrics of whose history figures are drawn."""
    keys = [*_training_keys(comparison.metric), *gradient_flow.gradient_keys(comparison.runs)]
    return [*keys, *_zeros_keys(comparison.runs)] if _asks_about_zeros(comparison) else keys


def _asks_about_zeros(comparison: Comparison) -> bool:
    """Whether it is the question how many units are silent: by the metric, or where activations are looked at and
    nothing else was asked."""
    exploring = comparison.design is None and comparison.factor == "activation"
    return exploring or comparison.metric.endswith("/zeros")


def _zeros_keys(runs: Sequence[Run]) -> list[str]:
    """The shares of zeros that the hidden layers of the runs have."""
    layers = {key: int(match[1]) for run in runs for key in run.metrics if (match := ZEROS.match(key))}
    return [key for key, layer in layers.items() if layer < max(layers.values())]


def figures(comparison: Comparison, curves: Curves) -> list[Figure]:
    """Every figure of a comparison, in the order of the page.

    Args:
        comparison: The comparison.
        curves: Run id to metric to (epochs completed, value), for the metrics of `curve_keys`.
    """
    levels = [level.estimate.level for level in comparison.levels]
    runs = {run.id: run for run in comparison.runs}
    used = [runs[id] for id in comparison.used]
    groups = {level: [run for run in used if level_of(run, comparison.factor) == level] for level in levels}
    return [
        effects_figure(comparison),
        *rate_figures(comparison, levels),
        *(training_figure(key, groups, curves) for key in _training_keys(comparison.metric)[:4]),
        *([zeros_figure(groups, curves)] if _asks_about_zeros(comparison) else []),
        gradient_figure(groups),
        depth_figure(used, curves),
    ]


def drawn(store: Store, comparison: Comparison) -> list[Figure]:
    """The figures of a comparison that have something to show, with the curves that they need."""
    curves = queries.metric_values(store, comparison.used, curve_keys(comparison))
    return [figure for figure in figures(comparison, curves) if figure.svg]


def effects_figure(comparison: Comparison) -> Figure:
    """The differences between the levels with their intervals."""
    bars, words = [], []
    for effect in comparison.effects:
        judgement = effect.judgement
        if judgement.effect is None:
            continue
        low, high = finite(judgement.low), finite(judgement.high)
        note = f"{judgement.a} won {judgement.won} of {judgement.seeds} seeds"
        bars.append(Bar(f"{judgement.a} − {judgement.b}", judgement.effect, low, high, note))
        between = f", interval {signed(low)} to {signed(high)}" if low is not None else ""
        words.append(f"{judgement.a} − {judgement.b}: {signed(judgement.effect)}{between}, {note}.")
    lower = lower_is_better(comparison.metric)
    delta = comparison.design.delta if comparison.design else None
    lead = (
        f"The difference in {comparison.metric}, of which {'less' if lower else 'more'} is better: to the "
        f"{'left' if lower else 'right'} of 0 the first level is ahead."
    )
    if delta:
        lead += f" The shaded zone is ±δ = {delta:g}: differences in it do not count."
    text = " ".join([lead, *words])
    svg = charts.intervals(
        bars,
        title=f"Differences in {comparison.metric} between levels of {comparison.factor}",
        text=text,
        x_label=f"difference in {comparison.metric}",
        delta=delta,
    )
    return _figure("effects", "Differences with their intervals", svg, text)


def rate_figures(comparison: Comparison, levels: Sequence[str]) -> list[Figure]:
    """The tuned metric over the learning rate, from the tuning or from a grid with rates.

    A figure for each cell of the other factors, or one over all of them where there are many.
    """
    design = comparison.design
    seeds = set(design.tune_seeds) if design and design.axes else None
    cells: dict[str, list[Run]] = defaultdict(list)
    for run in comparison.runs:
        if RATE in run.levels and (seeds is None or seed_of(run) in seeds):
            own = (comparison.factor, RATE, SEED)
            cell = ", ".join(f"{name} {label}" for name, label in run.levels.items() if name not in own)
            cells[cell].append(run)
    if comparison.factor == RATE:
        return []
    if len(cells) > MOST_CELLS:
        cells = {"": [run for runs in cells.values() for run in runs]}
    return [_rate_figure(comparison, levels, runs, cell) for cell, runs in cells.items()]


def _rate_figure(comparison: Comparison, levels: Sequence[str], runs: Sequence[Run], cell: str) -> Figure:
    """A line per level through its mean at each rate; every run is a dot."""
    metric = comparison.tuning.metric if comparison.tuning else comparison.metric
    values: dict[str, dict[float, list[float]]] = {level: defaultdict(list) for level in levels}
    without_dot = 0
    for run in runs:
        level, rate = level_of(run, comparison.factor), parsed(run.levels[RATE])
        if rate is None or level not in values:
            continue
        value = run.metrics.get(metric)
        if diverged(run, metric):
            without_dot += 1
        elif value is not None and state_of(run) == "finished":
            values[level][rate].append(value)
    lines, words = [], []
    for index, level in enumerate(levels):
        by_rate = sorted(values[level].items())
        points = [(rate, float(np.mean(own))) for rate, own in by_rate]
        dots = [(rate, value) for rate, own in by_rate for value in own]
        lines.append(Line(level, points, (), dots, index))
        if points:
            best = (min if lower_is_better(metric) else max)(points, key=lambda point: point[1])
            words.append(f"{level} is best at {best[0]:g} with {number(best[1])}.")
    rates = sorted({rate for by_rate in values.values() for rate in by_rate})
    tuned = comparison.design is not None and comparison.design.axes
    which = "on the tuning seeds" if tuned else "over all runs with that rate"
    end = f" {without_dot} diverged runs have no dot." if without_dot else ""
    text = f"Mean {metric} {which}; every dot is one run. " + " ".join(words) + end
    svg = ""
    if len(rates) > 1:
        svg = charts.chart(
            lines,
            title=f"{metric} over the learning rate",
            text=text,
            x_label="learning rate (log scale)",
            y_label=metric,
            x_log=rates[0] > 0,
            x_ticks=rates if len(rates) < 10 else (),
        )
    heading = "Learning rate, level by level" + (f": {cell}" if cell else "")
    return _figure("-".join(["rates", *cell.split()]), heading, svg, text, levels)


def _training_keys(metric: str) -> list[str]:
    name = metric.rsplit("/", 1)[-1]
    return list(dict.fromkeys([metric, f"val/{name}", f"train/{name}", "train/loss", "val/loss"]))


def training_figure(key: str, groups: Mapping[str, Sequence[Run]], curves: Curves) -> Figure:
    """A metric over the epochs: the mean of each level, and a band over its runs."""
    lines, words = [], []
    for index, (level, runs) in enumerate(groups.items()):
        steps: dict[int, list[float]] = defaultdict(list)
        for run in runs:
            for step, value in curves.get(run.id, {}).get(key, ()):
                if value is not None:
                    steps[step].append(value)
        ordered = sorted(steps.items())
        points = [(float(step), float(np.mean(values))) for step, values in ordered]
        band = [(float(step), float(np.min(values)), float(np.max(values))) for step, values in ordered]
        lines.append(Line(level, points, band, (), index))
        if points and points[-1][0] == 0 and len(ordered[-1][1]) == len(runs):
            words.append(f"{level} has no value after training has begun.")
        elif points:
            measured, ended = len(ordered[-1][1]), sum(state_of(run) == "finished" for run in runs)
            words.append(f"{level} ends at {number(points[-1][1])} ({_survivors(measured, ended)}).")
    svg = ""
    if max((len(line.points) for line in lines), default=0) > 1:
        heights = [y for line in lines for _, y in line.points]
        svg = charts.chart(
            lines,
            title=f"{key} during training",
            text=" ".join(words),
            x_label="epochs completed",
            y_label=key,
            y_log=lower_is_better(key) and wants_log_axis(heights),
            x_whole=True,
        )
    text = f"Mean {key} over the compared runs; the band spans the lowest to the highest. " + " ".join(words)
    return _figure(key.replace("/", "-"), f"{key} during training", svg, text, list(groups))


def zeros_figure(groups: Mapping[str, Sequence[Run]], curves: Curves) -> Figure:
    """How sparse the hidden layers are: the share of their activations that are exactly 0, from before training on."""
    name = "share of zeros in the hidden layers"
    shares = {}
    for runs in groups.values():
        for run in runs:
            steps: dict[int, list[float]] = defaultdict(list)
            for key in _zeros_keys([run]):
                for step, value in curves.get(run.id, {}).get(key, ()):
                    if value is not None:
                        steps[step].append(value)
            shares[run.id] = {name: [(step, float(np.mean(own))) for step, own in sorted(steps.items())]}
    return replace(training_figure(name, groups, shares), id="zeros")


def _survivors(measured: int, ended: int) -> str:
    """How many runs a mean is of, and what became of the others."""
    lost = ended - measured
    if lost <= 0:
        return f"{measured} run{'s' if measured > 1 else ''}"
    return f"{measured} of {ended} runs; {lost} had stopped or diverged"


def gradient_figure(groups: Mapping[str, Sequence[Run]]) -> Figure:
    """The gradient norm of each layer at the end, first layer to last, geometric mean over the runs.

    Only the deepest networks of a level count: layer 3 of three is another thing than layer 3 of ten.
    """
    lines, words, layers = [], [], set()
    for index, (level, runs) in enumerate(groups.items()):
        depths = {run.id: depth for run in runs if (depth := gradient_flow.hidden_layers(run)) >= 0}
        deepest = max(depths.values(), default=0)
        drawn = [run for run in runs if depths.get(run.id) == deepest]
        norms: dict[int, list[float]] = defaultdict(list)
        for run in drawn:
            for key, value in run.metrics.items():
                match = gradient_flow.GRADIENT.match(key)
                if match and value is not None and value > 0:
                    norms[int(match.group(1))].append(value)
        points = [(float(layer), float(np.exp(np.mean(np.log(own))))) for layer, own in sorted(norms.items())]
        layers |= set(norms)
        lines.append(Line(level, points, (), (), index))
        if len(points) > 1:
            only = (
                f" (its {len(drawn)} runs with {deepest} hidden layers)" if len(drawn) < len(depths) else ""
            )
            words.append(f"{level}{only}: first layer over last {points[0][1] / points[-1][1]:.2g}.")
    text = "Norm of the loss's gradient in each layer at the last measurement, geometric mean over the runs. "
    text += " ".join(words)
    svg = ""
    if len(layers) > 1:
        svg = charts.chart(
            lines,
            title="Gradient norm over depth",
            text=text,
            x_label="layer, from the input on",
            y_label="gradient norm (log scale)",
            y_log=True,
            x_whole=True,
        )
    return _figure("gradients", "Gradient norm over depth", svg, text, list(groups))


def depth_figure(runs: Sequence[Run], curves: Curves) -> Figure:
    """Of runs that differ in depth: the share of the gradient that reaches the first layer, beside 0.25^L."""
    measured = gradient_flow.ratios(runs, curves)
    depths = sorted({depth for by_depth in measured.values() for depth in by_depth})
    bound = f"{gradient_flow.SLOPE:g} to the power L"
    series = {**measured, bound: {depth: gradient_flow.SLOPE**depth for depth in depths}} if measured else {}
    lines = [
        Line(label, [(float(depth), value) for depth, value in by_depth.items()], (), (), index)
        for index, (label, by_depth) in enumerate(series.items())
    ]
    words = [
        f"{label}: {number(by_depth[max(by_depth)])} at {max(by_depth)} hidden layers."
        for label, by_depth in series.items()
    ]
    text = (
        "Gradient norm of the first layer over that of the last before training, geometric mean over the runs, "
        f"beside {bound}: a sigmoid's slope is at most {gradient_flow.SLOPE:g}, and the first layer's gradient passes L "
        f"of them. {' '.join(words)}"
    )
    svg = charts.chart(
        lines,
        title="Vanishing gradient: the price of depth",
        text=text,
        x_label="hidden layers L",
        y_label="gradient norm, first / last layer (log scale)",
        y_log=True,
        x_whole=True,
        height=360,
    )
    return _figure("depth", "Vanishing gradient: the price of depth", svg, text, list(series))
