"""The figures of a comparison: what each one shows, and the sentence that says it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from experiments.comparing.effects import lower_is_better
from experiments.numbers import figure as number
from experiments.numbers import finite, parsed, signed, wants_log_axis
from service.analysis import gradient_flow
from service.analysis.gradient_flow import Curves
from service.analysis.levels import EVERY_SEED, level_of
from service.analysis.observations import diverged, state_of
from service.analysis.result import Comparison
from service.entities import Run
from service.report import charts
from service.report.charts import Bar, Line
from service.report.figure import Figure, titled
from service.report.rate_figures import rate_figures
from service.words import Words

ZEROS = re.compile(r"layers/(\d+)-.+/zeros$")
MOST_PAIRS = 10
"""Up to so many differences, those of five levels, are all drawn; beyond, those of the leading level."""
Points = Sequence[tuple[int, float | None]]
"""(epochs completed, value)."""
ReadCurves = Callable[[Collection[str], Sequence[str]], Curves]
"""Gives the curves of runs: (run ids, metrics) -> run id -> metric -> (epochs completed, value)."""


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
    return list(_hidden_zeros(gradient_flow.measured_by(runs)))


@lru_cache(maxsize=256)
def _hidden_zeros(names: tuple[str, ...]) -> tuple[str, ...]:
    layers = {name: int(match[1]) for name in names if (match := ZEROS.match(name))}
    return tuple(name for name, layer in layers.items() if layer < max(layers.values()))


def figures(comparison: Comparison, curves: Curves, say: Words) -> list[Figure]:
    """Every figure of a comparison, in the order of the page.

    Args:
        comparison: The comparison.
        curves: Run id to metric to (epochs completed, value), for the metrics of `curve_keys`.
        say: The texts, in the reader's language.
    """
    names = level_names(comparison, say)
    runs = {run.id: run for run in comparison.runs}
    used = [runs[id] for id in comparison.used]
    groups: dict[str, list[Run]] = {name: [] for name in names.values()}
    for run in used:
        if (level := level_of(run, comparison.factor)) in names:
            groups[names[level]].append(run)
    return [
        effects_figure(comparison, say),
        *rate_figures(comparison, names, say),
        *(training_figure(key, groups, curves, say) for key in _training_keys(comparison.metric)[:4]),
        *([zeros_figure(groups, curves, say)] if _asks_about_zeros(comparison) else []),
        gradient_figure(groups, say),
        depth_figure(used, curves, say),
    ]


def level_names(comparison: Comparison, say: Words) -> dict[str, str]:
    """Each level as figures call it: with its factor where it is a number, which says nothing by itself."""
    levels = [level.estimate.level for level in comparison.levels]
    factor = comparison.factor.rsplit(".", 1)[-1]
    named = {level: f"{factor} {level}" if _says_nothing(level) else level for level in levels}
    return named | ({EVERY_SEED: say("figure.every_seed")} if EVERY_SEED in named else {})


def _says_nothing(level: str) -> bool:
    return parsed(level.removeprefix("= ")) is not None or level in ("True", "False")


def drawn(read: ReadCurves, comparison: Comparison, say: Words) -> list[Figure]:
    """The figures of a comparison that have something to show, with the curves that they need."""
    curves = read(comparison.used, curve_keys(comparison))
    return [figure for figure in figures(comparison, curves, say) if figure.svg]


def effects_figure(comparison: Comparison, say: Words) -> Figure:
    """The differences between the levels with their intervals; nothing is drawn where no pair has one (a single seed)."""
    judged = [effect.judgement for effect in comparison.effects if effect.judgement.effect is not None]
    lead, pairs = _leading(comparison), len(judged)
    with_control = comparison.design is not None and comparison.design.control is not None
    if pairs > MOST_PAIRS and not with_control:  # against a control each pair is asked about
        judged = [judgement for judgement in judged if lead in (judgement.a, judgement.b)]
    bars, words, names = [], [], level_names(comparison, say)
    for judgement in judged:
        low, high = finite(judgement.low), finite(judgement.high)
        note = say("figure.won", a=judgement.a, won=judgement.won, seeds=judgement.seeds)
        first = names[judgement.a]
        bars.append(Bar(f"{first} − {judgement.b}", judgement.effect, low, high, note))
        between = say("figure.between", low=signed(low), high=signed(high)) if low is not None else ""
        effect_text = {"a": first, "b": judgement.b, "effect": signed(judgement.effect)}
        words.append(say("figure.effect", **effect_text, between=between, note=note))
    metric, delta = comparison.metric, comparison.design.delta if comparison.design else None
    if pairs > len(judged):
        words.insert(0, say("figure.effects_of_leading", level=lead, n=pairs))
    sides = say("figure.effects_less" if lower_is_better(metric) else "figure.effects_more", metric=metric)
    if delta:
        words.insert(0, say("figure.effects_delta", delta=f"{delta:g}"))
    text = say.paragraph([sides, *words])
    svg = ""
    if any(bar.low is not None for bar in bars):
        svg = charts.intervals(
            bars,
            title=say("figure.effects_title", metric=metric, factor=comparison.factor),
            text=text,
            x_label=say("figure.effects_axis", metric=metric),
            delta=delta,
        )
    return titled("effects", say("figure.effects"), svg, text)


def _leading(comparison: Comparison) -> str:
    """The level with the best mean; "" where none has one."""
    means = {
        level.estimate.level: level.estimate.mean
        for level in comparison.levels
        if level.estimate.mean is not None
    }
    best = min if lower_is_better(comparison.metric) else max
    return best(means, key=lambda level: means[level], default="")


def _training_keys(metric: str) -> list[str]:
    name = metric.rsplit("/", 1)[-1]
    return list(dict.fromkeys([metric, f"val/{name}", f"train/{name}", "train/loss", "val/loss"]))


def training_figure(key: str, groups: Mapping[str, Sequence[Run]], curves: Curves, say: Words) -> Figure:
    """A metric over the epochs: the mean of each level, and a band over its runs."""
    lines, words, ends = [], [], []
    for index, (level, runs) in enumerate(groups.items()):
        series, stopped = _held(runs, key, curves)
        ordered = _by_step(series)
        points = [(float(step), math.fsum(values) / len(values)) for step, values in ordered]
        band = [(float(step), min(values), max(values)) for step, values in ordered]
        lines.append(Line(level, points, band, (), index))
        if points and points[-1][0] == 0 and len(ordered[-1][1]) == len(runs):
            words.append(say("figure.training_none", level=level))
        elif points:
            end, survivors = number(points[-1][1]), _survivors(runs, len(ordered[-1][1]), stopped, say)
            ends.append(say("figure.training_end", level=level, value=end, runs=survivors))
    if ends:
        trained = all(state_of(run) != "waiting" for runs in groups.values() for run in runs)
        words.append(say("figure.ends" if trained else "figure.ends_now", ends=say.listed(ends)))
    svg = ""
    if max((len(line.points) for line in lines), default=0) > 1:
        heights = [y for line in lines for _, y in line.points]
        svg = charts.chart(
            lines,
            title=say("figure.training_title", key=key),
            text=say.paragraph(words),
            x_label=say("figure.epochs"),
            y_label=key,
            y_log=lower_is_better(key) and wants_log_axis(heights),
            x_whole=True,
        )
    text = say.paragraph([say("figure.training", key=key), *words])
    return titled(key.replace("/", "-"), say("figure.training_title", key=key), svg, text, list(groups))


def _held(runs: Sequence[Run], key: str, curves: Curves) -> tuple[list[Points], int]:
    """The points of each run, and how many runs stopped before the others and did not diverge: their network stays as it
    is, so their last value counts on. A mean of those that still train would jump wherever one stops."""
    series = [curves.get(run.id, {}).get(key, ()) for run in runs]
    longest = max(series, key=lambda points: points[-1][0] if points else -1, default=())
    stopped = 0
    for index, (run, points) in enumerate(zip(runs, series, strict=True)):
        if (
            points
            and points[-1][0] < longest[-1][0]
            and state_of(run) == "finished"
            and not diverged(run, key)
        ):
            last, value = points[-1]
            series[index] = [*points, *((step, value) for step, _ in longest if step > last)]
            stopped += 1
    return series, stopped


def _by_step(series: Sequence[Points]) -> list[tuple[int, Sequence[float]]]:
    """Step -> the values that the series have there, without those that are none. series: each in order of its steps."""
    by_step: dict[int, list[float]] = defaultdict(list)
    together, done = [points for points in series if points], 0
    for column in zip(*together, strict=False):  # of a thousand runs of as many epochs, each step at once
        steps, values = zip(*column, strict=True)
        if len(set(steps)) > 1 or None in values:
            break
        by_step[steps[0]].extend(values)
        done += 1
    for points in together:
        for step, value in points[done:]:
            if value is not None:
                by_step[step].append(value)
    return sorted(by_step.items())


def zeros_figure(groups: Mapping[str, Sequence[Run]], curves: Curves, say: Words) -> Figure:
    """How sparse the hidden layers are: the share of their activations that are exactly 0, from before training on."""
    name = say("figure.zeros_share")
    shares = {}
    for run in (run for runs in groups.values() for run in runs):
        if keys := _hidden_zeros(run.measured):
            steps = _by_step([curves.get(run.id, {}).get(key, ()) for key in keys])
            shares[run.id] = {name: [(step, float(np.mean(own))) for step, own in steps]}
    return replace(training_figure(name, groups, shares, say), id="zeros")


def _survivors(runs: Sequence[Run], measured: int, stopped: int, say: Words) -> str:
    """How many runs a mean is of, how many of them stopped earlier, and how many diverged."""
    ended = sum(state_of(run) == "finished" for run in runs)
    lost = ended - measured
    counted = (
        say("figure.survivors", measured=measured, ended=ended, n=lost)
        if lost > 0
        else say("figure.runs", n=measured)
    )
    return counted + (say("figure.stopped", n=stopped) if stopped else "")


def gradient_figure(groups: Mapping[str, Sequence[Run]], say: Words) -> Figure:
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
            for layer, key in gradient_flow.norms_of(run):
                value = run.metrics[key]
                if value is not None and value > 0:
                    norms[layer].append(value)
        points = [(float(layer), float(np.exp(np.mean(np.log(own))))) for layer, own in sorted(norms.items())]
        layers |= set(norms)
        lines.append(Line(level, points, (), (), index))
        if len(points) > 1:
            only = ""
            if len(drawn) < len(depths):
                only = say("figure.gradients_only", n=len(drawn), depth=deepest)
            ratio = f"{points[0][1] / points[-1][1]:.2g}"
            words.append(say("figure.gradients_ratio", level=level, only=only, ratio=ratio))
    text = say.paragraph([say("figure.gradients_text"), *words])
    svg = ""
    if len(layers) > 1:
        svg = charts.chart(
            lines,
            title=say("figure.gradients"),
            text=text,
            x_label=say("figure.layer"),
            y_label=say("figure.gradient_norm"),
            y_log=True,
            x_whole=True,
        )
    return titled("gradients", say("figure.gradients"), svg, text, list(groups))


def depth_figure(runs: Sequence[Run], curves: Curves, say: Words) -> Figure:
    """Of runs that differ in depth: the share of the gradient that reaches the first layer, beside 0.25^L."""
    measured = gradient_flow.ratios(runs, curves)
    depths = sorted({depth for by_depth in measured.values() for depth in by_depth})
    bound = say("figure.depth_bound", slope=f"{gradient_flow.SLOPE:g}")
    series = {**measured, bound: {depth: gradient_flow.SLOPE**depth for depth in depths}} if measured else {}
    lines = [
        Line(label, [(float(depth), value) for depth, value in by_depth.items()], (), (), index)
        for index, (label, by_depth) in enumerate(series.items())
    ]
    words = [
        say("figure.depth_ratio", label=label, value=number(by_depth[max(by_depth)]), n=max(by_depth))
        for label, by_depth in series.items()
    ]
    text = say.paragraph([say("figure.depth_text", bound=bound, slope=f"{gradient_flow.SLOPE:g}"), *words])
    svg = charts.chart(
        lines,
        title=say("figure.depth"),
        text=text,
        x_label=say("figure.depth_axis"),
        y_label=say("figure.depth_ratio_axis"),
        y_log=True,
        x_whole=True,
        height=360,
    )
    return titled("depth", say("figure.depth"), svg, text, list(series))
