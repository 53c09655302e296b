"""Whether the runs of an experiment can measure the metrics that a spec asks for."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.errors import Problem
from experiments.metrics import METRICS, measures
from experiments.runs import Point


def metric_problems(names: Sequence[str], points: Sequence[Point]) -> list[Problem]:
    """The metrics that some run has no classes or no numbers for, those that there is no data to measure on, and a metric
    to stop by that is not measured.
    """
    if not names:
        return _monitor_problems(points)
    shape = points[0].spec.data_shape
    if not shape.n_validation and not shape.n_test:
        return [
            Problem(
                "metrics", "there are neither validation nor test data to measure them on", "validation_split"
            )
        ]
    unnamed = next((run.spec for run in points if not run.spec.measures_accuracy), None)
    classes = next((run.spec for run in points if run.spec.data_shape.kind != "regression"), None)
    other = next((run.spec for run in points if run.spec.data_shape.classes != 2), None)
    problems = []
    for index, name in enumerate(names):
        of = METRICS[name].of
        wrong = {"classes": unnamed, "scores": unnamed or other, "numbers": classes}[of]
        if wrong is not None:
            if of == "numbers":
                what = "its targets are classes"
            elif wrong.data_shape.kind == "regression":
                what = "its targets are numbers"
            elif not wrong.measures_accuracy:
                what = f"the loss {wrong.loss.name} names no class"
            else:
                what = f"it has {wrong.data_shape.classes} classes, and the scores are those of two"
            fitting = [other for other, row in METRICS.items() if row.of != of]
            problems.append(
                Problem(
                    f"metrics[{index}]", f"{name} is a metric of {of}; {wrong.dataset.name}: {what}", fitting
                )
            )
    return problems or _monitor_problems(points)


def _monitor_problems(points: Sequence[Point]) -> list[Problem]:
    for run in (point.spec for point in points):
        stop, shape = run.training.stop, run.data_shape
        if stop.monitor is None:
            continue
        usual = ["loss", *(["accuracy"] if run.measures_accuracy else [])]
        known = [f"train/{name}" for name in usual]
        if shape.n_validation:
            known += [f"val/{name}" for name in (*usual, *measures(run.metrics))]
        if stop.monitor not in known:
            message = f"{stop.monitor} is not measured"
            return [Problem("training.stop.monitor", message, known)]
        if stop.patience is None:
            return [
                Problem(
                    "training.stop.monitor", "without patience nothing watches it", "patience: 3 beside it"
                )
            ]
    return []
