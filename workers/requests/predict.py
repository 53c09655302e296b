"""Predictions of a trained run. Loads TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.datasets.base import Rows
from experiments.datasets.upload import Upload
from experiments.engine import backend
from experiments.engine.evaluation import measures_accuracy, named
from experiments.runs import RunSpec
from experiments.samples import samples
from service.entities import Run
from workers.process.child import WorkerContext
from workers.requests.model import network_of, outputs
from workers.training.sources import source

Json = dict[str, Any]


def predict(context: WorkerContext, run: Run, payload: Mapping[str, Any]) -> Json:
    """The outputs of a run's network.

    Args:
        payload: `inputs`, n samples of the data set's shape, scaled as they were for training.

    Returns:
        `outputs` on the scale of the data set's targets; `classes` where it has any; `warnings` where inputs lie
        outside the range that the network was trained on.

    Raises:
        SpecError: an input is no finite number, or has another shape.
        Unanswerable: the run's weights are not in MLflow yet.
    """
    spec = run.run_spec()
    shape = spec.data_shape.input
    rows = spec.dataset.read_rows(payload["inputs"])
    if rows is not None and isinstance(spec.dataset, Upload):
        return _predict_rows(context, run, spec, spec.dataset, rows)
    x = samples(payload["inputs"], shape, spec.model.rows)
    if len(shape) == 3 and spec.model.data_format == "channels_first":
        x = np.moveaxis(x, -1, 1)
    y = outputs(network_of(context, run), x)
    result: Json = {"outputs": y.astype(float).tolist()}
    if measures_accuracy(spec):
        result["classes"] = backend.array(named(spec, y)).tolist()
    if warning := _out_of_range(spec, x):
        result["warnings"] = [warning]
    return result


def _predict_rows(context: WorkerContext, run: Run, spec: RunSpec, dataset: Upload, rows: Rows) -> Json:
    """The same for rows of a person's own file: inputs and outputs are in its own units, classes have its labels."""
    inputs, targets = dataset.fitted_scales(source(context.settings))
    x = inputs.applied(rows).astype(np.float32).reshape(len(rows), *spec.data_shape.input)
    if len(spec.data_shape.input) == 3 and spec.model.data_format == "channels_first":
        x = np.moveaxis(x, -1, 1)
    y = outputs(network_of(context, run), x).astype(float)
    result: Json = {"outputs": (targets.undone(y) if spec.data_shape.kind == "regression" else y).tolist()}
    if measures_accuracy(spec):
        result["classes"] = backend.array(named(spec, y.astype(np.float32))).tolist()
        result["labels"] = [dataset.labels[number] for number in result["classes"]]
    if warnings := beyond(dataset, rows):
        result["warnings"] = warnings
    return result


def beyond(dataset: Upload, rows: Rows) -> list[str]:
    """Columns whose values lie outside of what the file holds, a sentence each."""
    warnings, at = [], 0
    for column in dataset.input_columns:
        own = rows[:, at : at + column.width]
        at += column.width
        outside = 0 if column.text else int(((own < column.low) | (own > column.high)).any(axis=1).sum())
        if outside:
            warnings.append(
                f"{column.name} lies outside [{column.low:g}, {column.high:g}], which the file holds, in {outside:,} of"
                f" {len(rows):,} rows: the network never saw such values"
            )
    return warnings


def _out_of_range(spec: RunSpec, x: npt.NDArray[np.float32]) -> str:
    """A warning about inputs outside the range that the data set states; "" where there are none."""
    low, high = np.float32(spec.data_shape.low), np.float32(spec.data_shape.high)
    outside = int(np.sum((x < low) | (x > high)))
    if not outside:
        return ""
    return (
        f"{outside:,} of {x.size:,} input numbers lie outside [{low:g}, {high:g}], the range that {spec.dataset.name} "
        f"was trained on ({spec.dataset.formula}): scale them as there, or the outputs mean little"
    )
