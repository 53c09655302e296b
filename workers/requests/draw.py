"""The pictures of a run, and the line that a linear neuron has learned. Loads TensorFlow and matplotlib."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from experiments import diagnostics, layer_plots, plots
from experiments.activations import activation
from experiments.datasets import Data, Source
from experiments.engine import activity, backend, models
from experiments.engine.evaluation import height, measures_accuracy, named
from experiments.layers import Dense
from experiments.runs import RunSpec
from service.analysis.final_artifacts import PLOTS_UP_TO
from service.entities import Run
from service.lifecycle import RunStatus
from service.store import Store, queries
from workers.process.child import WorkerContext
from workers.requests.model import in_mlflow, outputs, stored_weights, trained
from workers.training.sources import source

Pictures = dict[str, bytes]
"""Path inside the run's artifacts -> PNG."""
History = Mapping[str, Mapping[int, float]]
"""Name of a metric -> epochs completed -> value."""


def plot(context: WorkerContext, run: Run, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Draw a run from what is stored; the pictures go into its artifacts in MLflow and into the answer.

    Raises:
        Unanswerable: the run is not in MLflow yet.
        TrackingError: MLflow does not answer, or refused.
    """
    return _stored(context, run, pictures(context, run))


def pictures(context: WorkerContext, run: Run) -> Pictures:
    """The pictures of a run; of one that FAILED or was KILLED, those that its metrics show."""
    weights = stored_weights(context, run) if run.status == RunStatus.FINISHED else None
    return draw(run.run_spec(), source(context.settings), recorded(context.store, run.id), weights)


def _stored(context: WorkerContext, run: Run, drawn: Pictures) -> dict[str, Any]:
    """Upload pictures to the run's artifacts in MLflow; `plots`: path -> PNG in base64."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        files = []
        for path, content in drawn.items():
            local = Path(folder) / path
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(content)
            files.append((local, path))
        tracking, ref = in_mlflow(context, run)
        tracking.upload(ref, files, pool)
    return {"plots": {path: base64.b64encode(content).decode() for path, content in drawn.items()}}


def due(spec: RunSpec, runs: int) -> bool:
    """Whether a run's pictures are drawn right after its training; others are drawn when asked for.

    runs: of its experiment.
    """
    return runs <= PLOTS_UP_TO if spec.artifacts.plots == "auto" else spec.artifacts.plots == "all"


def draw(spec: RunSpec, source: Source, history: History, weights: bytes | None) -> Pictures:
    """The pictures of a run; without weights (a run that stored none) those that its metrics show."""
    drawn = {"plots/loss_curves.png": plots.loss_curves(_curves(history), spec.loss.name)}
    drawn |= _gradients(spec, history)
    if weights is not None:
        model = trained(spec, weights)
        data = spec.dataset.load(source, spec.model.data_format)
        if all(np.isfinite(np.asarray(value)).all() for value in model.get_weights()):
            drawn |= _BY_KIND[spec.data_shape.kind](spec, model, data)
            drawn |= _first_layer(spec, model)
            drawn |= _activations(spec, model, data)
    return drawn


def recorded(store: Store, run_id: str) -> dict[str, dict[int, float]]:
    """A run's stored metrics, of all its attempts: name -> epochs completed -> value."""
    history: dict[str, dict[int, float]] = {}
    for point in queries.metric_history(store, run_id, limit=1_000_000)[0]:
        history.setdefault(point.key, {})[point.step] = float("nan") if point.value is None else point.value
    return history


def learned(spec: RunSpec, source: Source, weights: bytes) -> dict[str, float]:
    """Slope and intercept of a network that is one linear neuron over one input, and the true ones where the data
    set knows them; empty for every other network.
    """
    linear = len(spec.model.layers) == 1 and spec.data_shape.input == (1,) == spec.data_shape.target
    if not linear:
        return {}
    at = outputs(trained(spec, weights), np.asarray([[0.0], [1.0]], np.float32))[:, 0]
    line = {"slope": float(at[1] - at[0]), "intercept": float(at[0])}
    truth = spec.dataset.load(source).truth
    return {f"learned/{name}": value for name, value in line.items()} | {
        f"true/{name}": truth[name] for name in line if name in truth
    }


def _curves(history: History) -> dict[str, dict[int, float]]:
    return {key: dict(points) for key, points in history.items() if key.endswith(("/loss", "/accuracy"))}


def _regression(spec: RunSpec, model: keras.Model, data: Data) -> Pictures:
    x, y = data.shown[0], data.shown[1].ravel().astype(np.float32)
    drawn = {"plots/scatter.png": plots.scatter(y, outputs(model, x).ravel())}
    if spec.data_shape.input == (1,):
        grid = np.linspace(spec.data_shape.low, spec.data_shape.high, 201, dtype=np.float32)
        curve = getattr(spec.dataset, "curve", None)
        truth = curve(grid.astype(np.float64)) if curve else None
        fitted = outputs(model, grid[:, None]).ravel()
        parts = {"train": (data.x_train, data.y_train), "val": (data.x_validation, data.y_validation)}
        parts["test"] = data.x_test, data.y_test
        points = {
            name: (inputs.ravel(), targets.ravel().astype(np.float32))
            for name, (inputs, targets) in parts.items()
            if len(inputs)
        }
        drawn["plots/fit.png"] = plots.regression_fit(points, grid, fitted, truth)
    return drawn


def _classification(spec: RunSpec, model: keras.Model, data: Data) -> Pictures:
    if not measures_accuracy(spec):
        return {}
    x, y = data.shown
    predicted = backend.array(named(spec, outputs(model, x)))
    classes = spec.data_shape.classes
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (y.ravel().astype(int), predicted), 1)
    labels = [str(index) for index in range(classes)]
    return {"plots/confusion_matrix.png": plots.confusion_matrix(counts, labels)}


def _binary(spec: RunSpec, model: keras.Model, data: Data) -> Pictures:
    drawn = _classification(spec, model, data)
    if drawn and spec.data_shape.input == (2,):
        drawn["plots/decision.png"] = _decision_plane(spec, model, data)
    return drawn


def _decision_plane(spec: RunSpec, model: keras.Model, data: Data) -> bytes:
    """The plane of two inputs, and where the network's answer changes."""
    x, t = data.shown[0], data.shown[1].astype(np.float32)
    if (line := _line(spec, model)) is not None:
        return plots.decision_line(x, t, backend.array(named(spec, outputs(model, x))), *line)
    low, high = x.min(axis=0) - 0.5, x.max(axis=0) + 0.5
    across, up = np.linspace(low[0], high[0], 101), np.linspace(low[1], high[1], 101)
    y = outputs(model, np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2).astype(np.float32))
    bound = spec.loss.threshold if spec.encoding == "value" else 0.0
    heights = np.asarray(height(spec, y)).reshape(len(up), len(across))
    return plots.decision(x, t, across, up, heights, bound, "What the network answers")


def _line(spec: RunSpec, model: keras.Model) -> tuple[NDArray[np.floating], float] | None:
    """Kernel and bias of a network that is one neuron over two inputs, if its answer changes from 0 to 1 where its
    weighted sum passes 0 (step, sigmoid, ...); None for every other network.
    """
    (only, *more), entry = model.layers, spec.model.layers[0]
    if more or not isinstance(entry, Dense) or entry.units != 1:
        return None
    kernel, *bias = (np.asarray(value, np.float64).ravel() for value in only.get_weights())
    around = np.array([[-1e-3], [1e-3]], np.float32)
    turns = backend.array(named(spec, only.activation(around))).tolist() == [0, 1]
    return (kernel, float(bias[0][0]) if bias else 0.0) if turns and kernel.any() else None


_BY_KIND = {"regression": _regression, "classification": _classification, "binary": _binary}


def _gradients(spec: RunSpec, history: History) -> Pictures:
    """The gradient's norm in every layer, before training and at the end; nothing where it was not measured."""
    layers = diagnostics.layers(history, "grad_norm")
    steps = sorted({step for series in layers.values() for step in series})
    if not steps:
        return {}
    norms = {
        diagnostics.when(step): [series.get(step, float("nan")) for series in layers.values()]
        for step in dict.fromkeys((steps[0], steps[-1]))
    }
    hidden = {activation(choice).derivative_bound for choice in spec.model.activations[:-1]}
    bound = None if spec.model.inputs else max(hidden, default=None)  # a shortcut lets all of it through
    return {"plots/gradient_by_layer.png": layer_plots.gradient_by_layer(norms, list(layers), bound)}


def _activations(spec: RunSpec, model: keras.Model, data: Data) -> Pictures:
    """The distribution of each layer's activations over points that were not trained on, before and after training."""
    points = data.x_validation if len(data.x_validation) else data.shown[0]
    networks = {"before training": models.build(spec), "after training": model}
    histograms = activity.histograms(spec, networks, points)
    return {"plots/activations.png": layer_plots.activation_histograms(histograms)} if histograms else {}


def _first_layer(spec: RunSpec, model: keras.Model) -> Pictures:
    """The first layer's weights as images, one per unit or filter; nothing for a network that takes no images."""
    shape = spec.data_shape
    weighted = [layer for layer in model.layers if layer.get_weights()]
    if not shape.is_image or not weighted:
        return {}
    kernel = np.asarray(weighted[0].get_weights()[0])
    if isinstance(weighted[0], keras.layers.Conv2DTranspose):  # (height, width, filters, channels)
        kernel = np.swapaxes(kernel, 2, 3)
    if isinstance(
        weighted[0], keras.layers.DepthwiseConv2D | keras.layers.SeparableConv2D
    ):  # a window for each channel
        kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    if kernel.ndim == 4:  # (height, width, channels, filters)
        images = np.moveaxis(kernel.mean(axis=2), -1, 0)
    elif kernel.ndim == 2 and kernel.shape[0] == shape.input[0] * shape.input[1]:
        images = np.moveaxis(kernel.reshape(*shape.input[:2], -1), -1, 0)
    else:
        return {}
    return {"plots/first_layer.png": layer_plots.first_layer_weights(images)}
