"""The report: one HTML page with everything in it, that opens without a network and prints well."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import jinja2
import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from experiments.comparing.effects import Estimate, lower_is_better
from experiments.comparing.statistics import Judgement
from service.analysis import gradient_flow
from service.analysis.comparison import compare_runs
from service.analysis.design import answers
from service.analysis.observations import diverged, state_of
from service.analysis.result import DIAGNOSIS, REPEATED, SEEDS, Comparison, Level, level_of, signed
from service.entities import Run
from service.html import templates
from service.report import charts
from service.report.charts import Bar, Line
from service.settings import Settings
from service.store import Store, queries
from service.tracking.urls import MlflowPages

MOST_RUNS_SHOWN = 2000
MOST_CELLS = 4  # of other factors with a picture of their own
_VERSIONS = {
    "gradus.version": "gradus (runs)",
    "gradus.python": "Python",
    "gradus.keras": "Keras",
    "gradus.tensorflow": "TensorFlow",
    "gradus.numpy": "NumPy",
    "gradus.device": "device",
    "gradus.threads": "threads",
    "gradus.tile_width": "tile width",
}
"""What a run's tags say of how it was made, and what it is called on the page."""


@cache
def _templates() -> jinja2.Environment:
    environment = templates("service.report")
    environment.filters |= {"signed": signed, "figure": figure, "interval": interval}
    return environment


def figure(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.4g}".replace("-", "−")


def interval(one: Judgement | Estimate, write: Literal["signed", "figure"]) -> str:
    """Its ends, or why there are none."""
    if one.seeds == 1:
        return "one seed: no interval"
    low, high = (signed(end) if write == "signed" else figure(end) for end in (one.low, one.high))
    return "–" if one.low is None else f"{low} to {high}"


def render(
    store: Store,
    experiment_id: str,
    settings: Settings,
    *,
    factor: str | None = None,
    metric: str | None = None,
) -> str:
    """The page of an experiment, for its question or for any other factor and metric. Raises NotFound, SpecError."""
    experiment = queries.get_experiment(store, experiment_id)
    runs = queries.all_runs(store, experiment.id)
    return whole(store, compare_runs(experiment, runs, factor=factor, metric=metric), settings)


def whole(store: Store, found: Comparison, settings: Settings) -> str:
    """The page of a comparison, with the curves that the store has of its runs."""
    keys = _curve_keys(found.metric) + gradient_flow.gradient_keys(found.runs)
    curves = queries.metric_values(store, found.used, keys)
    return page(found, curves, settings)


def page(found: Comparison, curves: Mapping[str, Mapping[str, Any]], settings: Settings) -> str:
    """The page of a comparison. curves: run id -> metric -> (step, value)."""
    style = _templates().get_template("report.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _templates()
        .get_template("report.html")
        .render(
            found=found,
            style=style,
            csp=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
            answers=answers(found.question, found.progress)
            if found.question and found.progress
            else [found.answer],
            figures=[one for one in _figures(found, curves) if one["svg"]],
            rows=[_row(run, found, settings) for run in found.runs[:MOST_RUNS_SHOWN]],
            left_out=max(0, len(found.runs) - MOST_RUNS_SHOWN),
            spec=as_yaml(found.spec.document()),
            versions=_versions(found.runs),
            sentences=_sentences(found),
            settings={level.estimate.level: _settings(level, found) for level in found.levels},
            command=_command(found),
            links=_links(found, settings),
            plan=found.to_json()["plan"],
            now=_as_of(found.runs).strftime("%Y-%m-%d %H:%M UTC"),
            lower=lower_is_better(found.metric),
            repeated=found.factor == REPEATED,
        )
    )


def _as_of(runs: Sequence[Run]) -> datetime:
    """When the last run ended; now while some have not. So the page of a finished experiment does not change by itself."""
    ended = [run.ended_at for run in runs if run.ended_at is not None]
    return max(ended) if ended and len(ended) == len(runs) else datetime.now(UTC)


def as_yaml(document: object) -> str:
    """The spec as YAML, as a person would write it."""
    writer = YAML()
    writer.default_flow_style = None
    stream = StringIO()
    writer.dump(document, stream)
    return str(stream.getvalue())


def _versions(runs: Iterable[Run]) -> dict[str, str]:
    """Our version, and the versions that the runs were tagged with."""
    found: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for tag, name in _VERSIONS.items():
            if tag in run.tags:
                found[name].add(run.tags[tag])
    known = {name: ", ".join(sorted(values)) for name, values in sorted(found.items())}
    return {"gradus": importlib.metadata.version("gradus"), **known}


def _command(found: Comparison) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", found.experiment.name.lower()).strip("-") or "spec"
    return f"gradus submit {name}.yaml --wait"


def _links(found: Comparison, settings: Settings) -> dict[str, str]:
    base, id = settings.url.rstrip("/"), found.experiment.id
    path = f"{base}/v1/experiments/{id}"
    links = {"experiment (API)": path, "comparison (JSON)": f"{path}/comparison"}
    if found.experiment.mlflow_experiment_id:
        pages, there = MlflowPages(settings.public_mlflow_url), found.experiment.mlflow_experiment_id
        links |= {"MLflow": pages.experiment(there), "compare in MLflow": pages.compare(there)}
    return links


def _row(run: Run, found: Comparison, settings: Settings) -> dict[str, Any]:
    link = f"{settings.url.rstrip('/')}/v1/runs/{run.id}"
    if run.mlflow_run_id and run.mlflow_experiment_id:
        link = MlflowPages(settings.public_mlflow_url).run(run.mlflow_experiment_id, run.mlflow_run_id)
    others = ", ".join(f"{k} = {v}" for k, v in run.levels.items() if k not in (found.factor, "seed"))
    return {
        "id": run.id,
        "link": link,
        "level": level_of(run, found.factor) or "–",
        "others": others,
        "seed": run.spec.get("seed"),
        "stage": run.stage,
        "status": run.status.value,
        "value": "diverged" if diverged(run, found.metric) else figure(run.metrics.get(found.metric)),
    }


def _settings(level: Level, found: Comparison) -> list[str]:
    """What a level is compared at: a line for each setting, led by the cells of the other factors that share it."""
    fields = found.tuning.fields if found.tuning else ()
    cells: dict[str, list[str]] = {}
    for one in level.tuned:
        setting = ", ".join(f"{name} {one[name]}" for name in fields)
        if SEEDS in one:
            setting += f" (seeds {one[SEEDS]})"
        others = (value for name, value in one.items() if name not in (*fields, SEEDS))
        cells.setdefault(setting, []).append(" ".join(others))
    return [f"{', '.join(names)}: {setting}" if any(names) else setting for setting, names in cells.items()]


def _sentences(found: Comparison) -> list[str]:
    """What was diagnosed and in how many runs, with the first sentence that a run carries for it."""
    used = set(found.used)
    seen: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for run in found.runs:
        for tag, value in run.tags.items():
            if tag.startswith(DIAGNOSIS):
                name = f"{level_of(run, found.factor)}: {tag.removeprefix(DIAGNOSIS)}"
                seen[name].append((value, run.id in used))
    return [_sentence(name, texts) for name, texts in sorted(seen.items())][:20]


def _sentence(name: str, texts: Sequence[tuple[str, bool]]) -> str:
    compared = sum(used for _, used in texts)
    where = f"{compared} of the compared runs" if compared else "none of the compared runs"
    if other := len(texts) - compared:
        where += f", {other} other{'s' if other > 1 else ''}"
    return f"{name} ({where}) — {texts[0][0]}"


def _curve_keys(metric: str) -> list[str]:
    name = metric.rsplit("/", 1)[-1]
    return list(dict.fromkeys([metric, f"val/{name}", f"train/{name}", "train/loss", "val/loss"]))


def _figures(found: Comparison, curves: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = [level.estimate.level for level in found.levels]
    runs = {run.id: run for run in found.runs}
    groups: dict[str, list[Run]] = {name: [] for name in names}
    for id in found.used:
        label = level_of(runs[id], found.factor)
        if label in groups:
            groups[label].append(runs[id])
    return [
        _effects_figure(found),
        *_rates_figures(found, names),
        *(_training_figure(key, groups, curves) for key in _curve_keys(found.metric)[:4]),
        _gradient_figure(groups),
        _depth_figure([runs[id] for id in found.used], curves),
    ]


def _figure(id: str, heading: str, svg: str, text: str, legend: Sequence[str] = ()) -> dict[str, Any]:
    entries = [{"name": name, "key": charts.key(index)} for index, name in enumerate(legend)]
    return {
        "id": id,
        "heading": heading,
        "svg": svg,
        "text": text,
        "legend": entries if len(entries) > 1 else [],
    }


def _effects_figure(found: Comparison) -> dict[str, Any]:
    bars, words = [], []
    for effect in found.effects:
        one = effect.judgement
        low, high = (v if v is not None and math.isfinite(v) else None for v in (one.low, one.high))
        if one.effect is None:
            continue
        note = f"won {one.won} of {one.seeds} seeds"
        bars.append(Bar(f"{one.a} − {one.b}", one.effect, low, high, note))
        between = f", interval {signed(one.low)} to {signed(one.high)}" if low is not None else ""
        words.append(f"{one.a} over {one.b}: {signed(one.effect)}{between}, {note}.")
    better = "a lower value" if lower_is_better(found.metric) else "a higher value"
    delta = found.question.delta if found.question else None
    lead = f"To the right, the first level is ahead ({better} of {found.metric} is better)."
    if delta:
        lead += f" The shaded zone is ±δ = {delta:g}: differences in it do not count."
    text = " ".join([lead, *words])
    label = f"difference in {found.metric}, in favour of the first level"
    title = f"Differences in {found.metric} between levels of {found.factor}"
    return _figure("effects", "Differences with their intervals",
                   charts.intervals(bars, title=title, text=text, x_label=label, delta=delta), text)  # fmt: skip


def _rates_figures(found: Comparison, names: Sequence[str]) -> list[dict[str, Any]]:
    """The tuned metric over the learning rate, of the tuning or of a grid with rates: a picture for each cell of
    the other factors, or one over all of them where they are many.
    """
    seeds = set(found.question.tune_seeds) if found.question and found.question.axes else None
    cells: dict[str, list[Run]] = defaultdict(list)
    for run in found.runs:
        if "learning_rate" in run.levels and (seeds is None or run.spec.get("seed") in seeds):
            own = (found.factor, "learning_rate", "seed")
            cells[", ".join(f"{k} {v}" for k, v in run.levels.items() if k not in own)].append(run)
    if found.factor == "learning_rate" or not cells:
        return []
    if len(cells) > MOST_CELLS:
        cells = {"": [run for runs in cells.values() for run in runs]}
    return [_rates_figure(found, names, runs, cell) for cell, runs in cells.items()]


def _rates_figure(found: Comparison, names: Sequence[str], runs: Sequence[Run], cell: str) -> dict[str, Any]:
    """One line a level through the mean at each rate, every run a dot."""
    question = found.question
    metric = found.tuning.metric if found.tuning else found.metric
    values: dict[str, dict[float, list[float]]] = {name: defaultdict(list) for name in names}
    lost = 0
    for run in runs:
        label, rate = level_of(run, found.factor), _number(run.levels["learning_rate"])
        if rate is None or label not in values:
            continue
        value = run.metrics.get(metric)
        if diverged(run, metric):
            lost += 1
        elif value is not None and state_of(run) == "finished":
            values[label][rate].append(value)
    lines, words = [], []
    for index, name in enumerate(names):
        by_rate = sorted(values[name].items())
        points = [(rate, float(np.mean(v))) for rate, v in by_rate]
        dots = [(rate, one) for rate, v in by_rate for one in v]
        lines.append(Line(name, points, (), dots, index))
        if points:
            top = (min if lower_is_better(metric) else max)(points, key=lambda p: p[1])
            words.append(f"{name} is best at {top[0]:g} with {figure(top[1])}.")
    rates = sorted({rate for by in values.values() for rate in by})
    whose = "on the tuning seeds" if question and question.axes else "over all runs with that rate"
    end = f" {lost} diverged runs have no dot." if lost else ""
    text = f"Mean {metric} {whose}; every dot is one run. " + " ".join(words) + end
    svg = ""
    if len(rates) > 1:
        svg = charts.chart(
            lines, title=f"{metric} over the learning rate", text=text, x_label="learning rate (log scale)",
            y_label=metric, x_log=rates[0] > 0, x_ticks=rates if len(rates) < 10 else (),
        )  # fmt: skip
    heading = "Learning rate, level by level" + (f": {cell}" if cell else "")
    return _figure("-".join(["rates", *cell.split()]), heading, svg, text, names)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _training_figure(
    key: str, groups: Mapping[str, Sequence[Run]], curves: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    lines, words = [], []
    for index, (name, runs) in enumerate(groups.items()):
        steps: dict[int, list[float]] = defaultdict(list)
        for run in runs:
            for step, value in curves.get(run.id, {}).get(key, ()):
                if value is not None:
                    steps[step].append(value)
        ordered = sorted(steps.items())
        points = [(float(step), float(np.mean(values))) for step, values in ordered]
        band = [(float(step), float(np.min(values)), float(np.max(values))) for step, values in ordered]
        lines.append(Line(name, points, band, (), index))
        if points:
            there, ended = len(ordered[-1][1]), sum(state_of(run) == "finished" for run in runs)
            words.append(f"{name} ends at {figure(points[-1][1])} ({_survivors(there, ended)}).")
    svg = ""
    if max((len(line.points) for line in lines), default=0) > 1:
        positive = all(y > 0 for line in lines for _, y in line.points) and lower_is_better(key)
        spread = [y for line in lines for _, y in line.points]
        svg = charts.chart(
            lines, title=f"{key} during training", text=" ".join(words), x_label="epochs completed", y_label=key,
            y_log=positive and max(spread) > 20 * min(spread), x_whole=True,
        )  # fmt: skip
    text = f"Mean {key} over the compared runs; the band spans the lowest to the highest. " + " ".join(words)
    return _figure(key.replace("/", "-"), f"{key} during training", svg, text, list(groups))


def _survivors(there: int, ended: int) -> str:
    """How many runs a mean is of, and what became of the others."""
    lost = ended - there
    if lost <= 0:
        return f"{there} run{'s' if there > 1 else ''}"
    return f"{there} of {ended} runs; {lost} had stopped or diverged"


def _gradient_figure(groups: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Gradient norm of each layer at the end, first layer to last, geometric mean over runs. Of a level's networks the
    deepest alone: layer 3 of three is another thing than layer 3 of ten.
    """
    lines, words, layers = [], [], set()
    for index, (name, every) in enumerate(groups.items()):
        measured = {run.id: depth for run in every if (depth := gradient_flow.hidden_layers(run)) >= 0}
        deepest = max(measured.values(), default=0)
        runs = [run for run in every if measured.get(run.id) == deepest]
        norms: dict[int, list[float]] = defaultdict(list)
        for run in runs:
            for key, value in run.metrics.items():
                match = gradient_flow.GRADIENT.match(key)
                if match and value is not None and value > 0:
                    norms[int(match.group(1))].append(value)
        points = [(float(i), float(np.exp(np.mean(np.log(v))))) for i, v in sorted(norms.items())]
        layers |= set(norms)
        lines.append(Line(name, points, (), (), index))
        if len(points) > 1:
            only = (
                f" (its {len(runs)} runs with {deepest} hidden layers)" if len(runs) < len(measured) else ""
            )
            words.append(f"{name}{only}: first layer over last {points[0][1] / points[-1][1]:.2g}.")
    text = "Norm of the loss's gradient in each layer at the last measurement, geometric mean over the runs. "
    text += " ".join(words)
    svg = ""
    if len(layers) > 1:
        svg = charts.chart(lines, title="Gradient norm over depth", text=text, x_label="layer, from the input on",
                             y_label="gradient norm (log scale)", y_log=True, x_whole=True)  # fmt: skip
    return _figure("gradients", "Gradient norm over depth", svg, text, list(groups))


def _depth_figure(runs: Sequence[Run], curves: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Of runs that differ in depth: what reaches the first layer, beside the sigmoid's bound to the power L."""
    measured = gradient_flow.ratios(runs, curves)
    every = sorted({depth for of in measured.values() for depth in of})
    bound = {depth: gradient_flow.SLOPE**depth for depth in every}
    name = f"{gradient_flow.SLOPE:g} to the power L"
    series = {**measured, name: bound} if measured else {}
    lines = [
        Line(label, [(float(depth), value) for depth, value in of.items()], (), (), index)
        for index, (label, of) in enumerate(series.items())
    ]
    words = [
        f"{label}: {figure(of[max(of)])} at {max(of)} hidden layers." for label, of in series.items() if of
    ]
    text = (
        "Gradient norm of the first layer over that of the last before training, geometric mean over the runs, "
        f"beside {name}: a sigmoid's slope is at most {gradient_flow.SLOPE:g}, and the first layer's gradient passes L of "
        f"them. {' '.join(words)}"
    )
    svg = charts.chart(
        lines, title="Vanishing gradient: the price of depth", text=text, x_label="hidden layers L",
        y_label="gradient norm, first / last layer (log scale)", y_log=True, x_whole=True, height=360,
    )  # fmt: skip
    return _figure("depth", "Vanishing gradient: the price of depth", svg, text, list(series))
