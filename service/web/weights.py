"""The learned weights of a small network: its tensors as tables, and the network drawn with a line for every weight."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from experiments.numbers import figure
from experiments.recording import SMALL_WEIGHTS
from service.entities import Run
from service.errors import NoPicture
from service.settings import Settings
from service.tracking.pictures import artifact
from service.words import Words

POSITIVE, NEGATIVE = "#D55E00", "#0072B2"
WIDTH, STEP, TOP, RADIUS = 640, 44, 34, 13
MOST_UNITS = 24
"""Of a layer that is drawn."""
Tensors = Mapping[str, Any]
"""Name of a tensor, first layer to last -> its values, nested."""


def learned_weights(settings: Settings, run: Run) -> Tensors:
    """The tensors of a run's network; none where it is large, did not finish, or MLflow does not have it."""
    try:
        return dict(json.loads(artifact(settings, run.mlflow_run_id, SMALL_WEIGHTS)))
    except (NoPicture, json.JSONDecodeError):
        return {}


def tables(tensors: Tensors) -> list[tuple[str, list[list[str]]]]:
    """(name, rows of numbers) of each tensor with one or two axes."""
    shown = []
    for name, values in tensors.items():
        rows = values if values and isinstance(values[0], list) else [values]
        if rows and not isinstance(rows[0][0], list):
            shown.append((name, [[figure(value) for value in row] for row in rows]))
    return shown


def drawing(tensors: Tensors, say: Words) -> str:
    """Layers of dense units from left to right as SVG, thick lines for large weights; empty for other networks."""
    kernels = [values for name, values in tensors.items() if name.endswith("/kernel")]
    biases = [values for name, values in tensors.items() if name.endswith("/bias")]
    others = [name for name in tensors if not name.endswith(("/kernel", "/bias"))]
    if not kernels or others or not all(_is_matrix(kernel) for kernel in kernels):
        return ""
    sizes = [len(kernels[0]), *(len(kernel[0]) for kernel in kernels)]
    chained = all(len(kernel) == size for kernel, size in zip(kernels, sizes, strict=False))
    if not chained or max(sizes) > MOST_UNITS:
        return ""
    height = TOP + STEP * max(sizes)
    places = [_column(index, len(sizes), size, height) for index, size in enumerate(sizes)]
    largest = max((abs(weight) for kernel in kernels for row in kernel for weight in row), default=0.0) or 1.0
    parts = []
    for index, kernel in enumerate(kernels):
        for (x1, y1), row in zip(places[index], kernel, strict=True):
            for (x2, y2), weight in zip(places[index + 1], row, strict=True):
                parts.append(_line(x1, y1, x2, y2, weight, weight / largest))
    for index, column in enumerate(places):
        own = biases[index - 1] if index > 0 and len(biases) == len(kernels) else None
        for unit, (x, y) in enumerate(column):
            label = f"x{unit + 1}" if index == 0 else ""
            parts.append(_unit(x, y, label, None if own is None else own[unit]))
    text = say("run.weights_said", n=len(kernels))
    return (
        f'<svg class="chart net" viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(say('run.weights'))}</title><desc>{escape(text)}</desc>{''.join(parts)}</svg>"
    )


def _is_matrix(values: Any) -> bool:
    return bool(values) and isinstance(values[0], list) and not isinstance(values[0][0], list)


def _column(index: int, columns: int, units: int, height: float) -> list[tuple[float, float]]:
    x = 60 + index * (WIDTH - 120) / max(1, columns - 1)
    first = TOP / 2 + (height - TOP / 2 - STEP * units) / 2 + STEP / 2
    return [(x, first + unit * STEP) for unit in range(units)]


def _line(x1: float, y1: float, x2: float, y2: float, weight: float, share: float) -> str:
    colour, width = (POSITIVE if weight > 0 else NEGATIVE), 0.6 + 5.4 * abs(share)
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:.2f}" '
        f'stroke-opacity="0.8"><title>{figure(weight)}</title></line>'
    )


def _unit(x: float, y: float, label: str, bias: float | None) -> str:
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}" class="unit" fill="#ffffff" stroke="currentColor" stroke-width="1.5"/>'
    text = f'<text x="{x - RADIUS - 4:.1f}" y="{y + 5:.1f}" text-anchor="end" font-size="14" fill="currentColor">{escape(label)}</text>'
    if bias is None:
        return circle + text
    above = f'<text x="{x:.1f}" y="{y - 18:.1f}" text-anchor="middle" font-size="14" fill="currentColor">b {figure(bias)}</text>'
    return circle + text + above
