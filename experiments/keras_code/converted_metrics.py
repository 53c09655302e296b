"""The metrics of `compile` as `metrics` of a spec. Loss and, for classes, accuracy are measured by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.keras_code.notes import Notes
from experiments.keras_code.values import Dotted, Made
from experiments.losses import ALIASES, LOSSES
from experiments.messages import meant, spelling
from experiments.metrics import METRICS

KNOWN = {
    "auc": "auc", "precision": "precision", "recall": "recall", "f1score": "f1", "f1": "f1",
    "meanabsoluteerror": "mae", "mae": "mae", "rootmeansquarederror": "rmse", "rmse": "rmse", "r2score": "r2", "r2": "r2",
    "meansquarederror": "rmse", "mse": "rmse",
}  # fmt: skip
"""Spelling of a metric of Keras -> the metric here."""
ROOTS = ("meansquarederror", "mse")
PER_CLASS = ("precision", "recall", "f1")
"""Metrics that are a mean over the classes here, and of class 1 alone in Keras."""


def metrics_of(compiled: Made, kind: str, loss: Any, notes: Notes) -> list[str]:
    """The metrics that a spec names.

    Args:
        compiled: the call of `compile`.
        kind: of the data: `classification`, `binary` or `regression`.
        loss: of the spec, which needs no second name.
        notes: say of each what became of it.
    """
    chosen: list[str] = []
    for metric in _listed(compiled.keywords.get("metrics")):
        name = (
            metric.name if isinstance(metric, Made) else metric.last if isinstance(metric, Dotted) else metric
        )
        if not isinstance(name, str) or "acc" in name.lower():
            continue
        if meant(name, [*LOSSES, *ALIASES]) is not None and _loss(name) == _loss(loss):
            notes.add(
                compiled.line, "read", f"the metric {name}: it is the loss, which is measured by itself"
            )
            continue
        known = _known(name, metric, kind)
        if known is None:
            notes.add(compiled.line, "left out", f"the metric {name}: {_instead(kind)}")
            continue
        chosen.append(known)
        notes.add(compiled.line, *_remark(name, known))
    return list(dict.fromkeys(chosen))


def _listed(metrics: Any) -> Iterator[Any]:
    """The metrics one by one: a single one, a list, or a list or mapping for each output."""
    if isinstance(metrics, dict):
        metrics = list(metrics.values())
    for metric in metrics if isinstance(metrics, list | tuple) else [metrics]:
        if isinstance(metric, list | tuple | dict):
            yield from _listed(metric)
        elif metric is not None:
            yield metric


def _loss(name: Any) -> Any:
    """A loss by its name here."""
    name = name["name"] if isinstance(name, dict) else name
    known = meant(name, [*LOSSES, *ALIASES]) if isinstance(name, str) else None
    return ALIASES.get(known, known) if known is not None else None


def _known(name: str, metric: Any, kind: str) -> str | None:
    """The metric here; None where there is none, or none for this kind of data."""
    known = KNOWN.get(spelling(name))
    settings = metric.keywords if isinstance(metric, Made) else {}
    if known is None or settings.get("curve", "ROC") != "ROC":
        return None
    of = {"classification": ("classes",), "binary": ("classes", "scores"), "regression": ("numbers",)}[kind]
    if METRICS[known].of not in of:
        return None
    if known in PER_CLASS and settings.get("average") not in ("macro", "weighted", "micro"):
        return f"{known}_per_class"
    return known


def _remark(name: str, known: str) -> tuple[Any, str]:
    """The kind of a note and its text."""
    base = known.removesuffix("_per_class")
    if base != known:
        return "changed", f"the metric {name}: metrics: [{known}], of which {base}_1 is that of class 1"
    if spelling(name) in ROOTS:
        return "changed", f"the metric {name}: metrics: [rmse], its square root"
    return "read", f"metrics: {known}"


def _instead(kind: str) -> str:
    fitting = {
        "classification": "precision, recall, f1, balanced_accuracy and mcc",
        "binary": "precision, recall, f1, balanced_accuracy, mcc and auc",
        "regression": "mae, rmse and r2",
    }
    return f"loss and, for classes, accuracy are measured by themselves, {fitting[kind]} by metrics:"
