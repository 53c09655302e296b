"""The pictures of a run, and what a straight line has learned. Loads TensorFlow and matplotlib."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from experiments import diagnostics, layer_plots, plots
from experiments.activations import ACTIVATIONS
from experiments.datasets import Data, Source
from experiments.engine import activity, backend, models
from experiments.engine.evaluation import measures_accuracy, named
from experiments.layers import Dense
from experiments.runs import RunSpec
from service.analysis import gradient_flow
from service.entities import Run
from service.store import Store, queries
from workers.requests.networks import outputs, trained

WEIGHTS = "weights/model.weights.h5"
PLOTS_UP_TO = 20  # runs of an experiment whose pictures are all drawn at once
Pictures = dict[str, bytes]
History = Mapping[str, Mapping[int, float]]


def wanted(store: Store, run: Run, spec: RunSpec) -> bool:
    """Whether a run's pictures are drawn right after its training; others are drawn when asked for."""
    if spec.artifacts.plots == "auto":
        return queries.get_experiment(store, run.experiment_id).n_runs <= PLOTS_UP_TO
    return spec.artifacts.plots == "all"


def draw(spec: RunSpec, source: Source, history: History, weights: bytes | None) -> Pictures:
    """Path inside the artifacts -> PNG. Without weights (a run that never got that far) what the metrics show."""
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


def overview(store: Store, experiment_id: str) -> Pictures:
    """What all runs of an experiment show together: the gradient over depth, where they differ in it."""
    runs = queries.all_runs(store, experiment_id)
    curves = queries.metric_values(store, [run.id for run in runs], gradient_flow.gradient_keys(runs))
    ratios = gradient_flow.ratios(runs, curves)
    return (
        {"plots/gradient_over_depth.png": layer_plots.gradient_over_depth(ratios, gradient_flow.SLOPE)}
        if ratios
        else {}
    )


def recorded(store: Store, run_id: str) -> dict[str, dict[int, float]]:
    """A run's metrics as stored, of all its attempts: name -> epochs completed -> value."""
    found: dict[str, dict[int, float]] = {}
    for point in queries.metric_history(store, run_id, limit=1_000_000)[0]:
        found.setdefault(point.key, {})[point.step] = float("nan") if point.value is None else point.value
    return found


def learned(spec: RunSpec, source: Source, weights: bytes) -> dict[str, float]:
    """Slope and intercept of a network that is one linear neuron over one input, and the true ones where the data
    set knows them; else nothing.
    """
    linear = len(spec.model.layers) == 1 and spec.data_shape.input == (1,) == spec.data_shape.target
    if not linear:
        return {}
    at = outputs(trained(spec, weights), np.asarray([[0.0], [1.0]], np.float32))[:, 0]
    found = {"slope": float(at[1] - at[0]), "intercept": float(at[0])}
    truth = spec.dataset.load(source).truth
    return {f"learned/{name}": value for name, value in found.items()} | {
        f"true/{name}": truth[name] for name in found if name in truth
    }


def _curves(history: History) -> dict[str, dict[int, float]]:
    return {key: dict(points) for key, points in history.items() if key.endswith(("/loss", "/accuracy"))}


def _regression(spec: RunSpec, model: keras.Model, data: Data) -> Pictures:
    predicted = outputs(model, data.x_test)
    drawn = {"plots/scatter.png": plots.scatter(data.y_test.ravel().astype(np.float32), predicted.ravel())}
    if spec.data_shape.input == (1,):
        grid = np.linspace(spec.data_shape.low, spec.data_shape.high, 201, dtype=np.float32)
        curve = getattr(spec.dataset, "curve", None)
        truth = curve(grid.astype(np.float64)) if curve else None
        fitted = outputs(model, grid[:, None]).ravel()
        drawn["plots/fit.png"] = plots.regression_fit(
            data.x_test.ravel(), data.y_test.ravel().astype(np.float32), grid, fitted, truth
        )
    return drawn


def _classification(spec: RunSpec, model: keras.Model, data: Data) -> Pictures:
    if not measures_accuracy(spec):
        return {}
    answers = backend.array(named(spec, outputs(model, data.x_test)))
    classes = spec.data_shape.classes
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (data.y_test.ravel().astype(int), answers), 1)
    labels = [str(index) for index in range(classes)]
    return {"plots/confusion_matrix.png": plots.confusion_matrix(counts, labels)}


def _binary(spec: RunSpec, model: keras.Model, data: Data) -> Pictures:
    drawn = _classification(spec, model, data)
    if drawn and spec.data_shape.input == (2,):
        drawn["plots/decision.png"] = _border(spec, model, data)
    return drawn


def _border(spec: RunSpec, model: keras.Model, data: Data) -> bytes:
    """The plane of two inputs, and where the network's answer turns."""
    x, t = data.x_test, data.y_test.astype(np.float32)
    if (line := _line(spec, model)) is not None:
        return plots.decision_line(x, t, backend.array(named(spec, outputs(model, x))), *line)
    low, high = x.min(axis=0) - 0.5, x.max(axis=0) + 0.5
    across, up = np.linspace(low[0], high[0], 101), np.linspace(low[1], high[1], 101)
    y = outputs(model, np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2).astype(np.float32))
    # class 1 is named where the height exceeds the bound, as in `named`
    height, bound = (y[:, 0], spec.loss.threshold) if spec.encoding == "value" else (y[:, 1] - y[:, 0], 0.0)
    height = height.reshape(len(up), len(across))
    return plots.decision(x, t, across, up, height, bound, "What the network answers")


def _line(spec: RunSpec, model: keras.Model) -> tuple[NDArray[np.floating], float] | None:
    """Kernel and bias of a network that is one neuron over two inputs, where its answer turns from 0 to 1 as its
    weighted sum passes 0 (step, sigmoid, ...); else None.
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
    found = diagnostics.layers(history, "grad_norm")
    times = sorted({step for series in found.values() for step in series})
    if not times:
        return {}
    norms = {
        diagnostics.when(step): [series.get(step, float("nan")) for series in found.values()]
        for step in dict.fromkeys((times[0], times[-1]))
    }
    hidden = {ACTIVATIONS[name].derivative_bound for name in spec.model.activations[:-1]}
    bound = max(hidden, default=None)
    return {"plots/gradient_by_layer.png": layer_plots.gradient_by_layer(norms, list(found), bound)}


def _activations(spec: RunSpec, model: keras.Model, data: Data) -> Pictures:
    """How each layer's activations are distributed over points that were not trained on, before and after."""
    points = data.x_validation if len(data.x_validation) else data.x_test
    networks = {"before training": models.build(spec), "after training": model}
    found = activity.histograms(spec, networks, points)
    return {"plots/activations.png": layer_plots.activation_histograms(found)} if found else {}


def _first_layer(spec: RunSpec, model: keras.Model) -> Pictures:
    """Of a network over images: the first layer's weights, a picture per unit or filter."""
    shape = spec.data_shape
    weighted = [layer for layer in model.layers if layer.get_weights()]
    if not shape.is_image or not weighted:
        return {}
    kernel = np.asarray(weighted[0].get_weights()[0])
    if kernel.ndim == 4:  # (height, width, channels, filters)
        images = np.moveaxis(kernel.mean(axis=2), -1, 0)
    elif kernel.ndim == 2 and kernel.shape[0] == shape.input[0] * shape.input[1]:
        images = np.moveaxis(kernel.reshape(*shape.input[:2], -1), -1, 0)
    else:
        return {}
    return {"plots/first_layer.png": layer_plots.first_layer_weights(images)}
