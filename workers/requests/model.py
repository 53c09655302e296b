"""A trained network again, from its spec and its stored weights, and as MLflow's logged model. Loads TensorFlow."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import numpy.typing as npt

from experiments.engine import backend, models
from experiments.engine.portable import FUNCTIONS_FILE, portable, same_variables, travelling_source
from experiments.errors import GradusError
from experiments.recording import WEIGHTS
from experiments.runs import RunSpec
from service.entities import Run
from service.store import queries
from service.tracking.records import RunRef
from workers.process.child import WorkerContext

if TYPE_CHECKING:  # MLflow takes a second and 100 MB, which a process that only trains does not pay
    from service.tracking.client import Tracking

Array = npt.NDArray[np.float32]
BATCH = 1024
MOST_PARAMETERS_KEPT = 5_000_000
"""Of the networks that answered last, all together; beyond, the oldest go before another comes."""
_networks: OrderedDict[tuple[str, int], keras.Model] = OrderedDict()


class Unanswerable(GradusError):
    """The request cannot be met. The message says why, and what would help."""


def trained(spec: RunSpec, weights: bytes) -> keras.Model:
    """The network of `spec` with the weights of a run's `.weights.h5` file."""
    model, exported = models.blank(spec)[0], portable(spec)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        path.write_bytes(weights)
        try:
            exported.load_weights(path)
        except ValueError:  # a file of Gradus 0.1.0 with dropout or stochastic pooling is of our own network
            model.load_weights(path)
            return model
    for index, variable in zip(same_variables(model, exported), exported.variables, strict=True):
        if index is not None:
            model.variables[index].assign(variable)
    return model


def in_keras_terms(spec: RunSpec, model: keras.Model) -> keras.Model:
    """The `portable` network of `spec` with the weights of the run's own network."""
    exported = portable(spec)
    for index, variable in zip(same_variables(model, exported), exported.variables, strict=True):
        if index is not None:
            variable.assign(model.variables[index])
    return exported


def outputs(model: keras.Model, x: Array) -> Array:
    """The network's outputs at inference for inputs (n, *input): (n, *output), float32."""
    parts = [model(x[start : start + BATCH], training=False) for start in range(0, len(x), BATCH)]
    return np.concatenate([np.asarray(keras.ops.convert_to_numpy(part)) for part in parts])


def network_of(context: WorkerContext, run: Run) -> keras.Model:
    """The run's network, kept for its next question: building it and reading its weights takes longer than an answer.

    Raises:
        Unanswerable: the run is not in MLflow yet.
        TrackingError: MLflow does not answer, or has no such file.
    """
    key = run.id, run.attempt
    if (network := _networks.get(key)) is None:
        network = trained(run.run_spec(), stored_weights(context, run))
        while _networks and sum(kept.count_params() for kept in _networks.values()) > MOST_PARAMETERS_KEPT:
            _networks.popitem(last=False)
        _networks[key] = network
    _networks.move_to_end(key)
    return network


def stored_weights(context: WorkerContext, run: Run) -> bytes:
    """The run's weights file: from this spool while it lies there, else from MLflow.

    Raises:
        Unanswerable: the run is not in MLflow yet.
        TrackingError: MLflow does not answer, or has no such file.
    """
    attempt = int((run.outcome or {}).get("attempt", run.attempt))
    in_spool = context.spool.files(run.id, attempt) / WEIGHTS
    if in_spool.exists():
        return in_spool.read_bytes()
    tracking, ref = in_mlflow(context, run)
    with tempfile.TemporaryDirectory() as folder:
        return tracking.download(ref, WEIGHTS, Path(folder)).read_bytes()


def in_mlflow(context: WorkerContext, run: Run) -> tuple[Tracking, RunRef]:
    """MLflow's client, and the run there.

    Raises:
        Unanswerable: the run is not in MLflow yet.
        TrackingError: MLflow does not answer, or the run is gone there.
    """
    if run.mlflow_run_id is None:
        raise Unanswerable(f"run {run.id} is not in MLflow yet; ask again in a moment")
    from service.tracking.client import Tracking

    tracking = Tracking(context.settings.mlflow_url)
    return tracking, tracking.get_run(run.mlflow_run_id)


def store_model(context: WorkerContext, run: Run, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Store the run's network as MLflow's logged model; its id and address there.

    Raises:
        Unanswerable: the run or its experiment is not in MLflow yet.
        TrackingError: MLflow does not answer, or refused.
    """
    from service.tracking.client import log_model, save_keras_model

    spec = run.run_spec()
    network = in_keras_terms(spec, trained(spec, stored_weights(context, run)))
    tracking, ref = in_mlflow(context, run)
    if run.mlflow_experiment_id is None:
        raise Unanswerable(f"the experiment of run {run.id} is not in MLflow yet; ask again in a moment")
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "model"
        save_keras_model(
            network,
            local,
            input_shape=spec.data_shape.formatted(spec.model.data_format),
            output_shape=tuple(network.output_shape[1:]),
            requirements=requirements(),
        )
        if (source := travelling_source(network.to_json())) is not None:
            (local / FUNCTIONS_FILE).write_bytes(source)
        step = max((point.step for point in queries.metric_history(context.store, run.id)[0]), default=0)
        id = log_model(
            tracking, run.mlflow_experiment_id, ref, local, name="model", step=step, params=run.params
        )
    return {"model_id": id, "uri": f"models:/{id}"}


def requirements() -> list[str]:
    """The packages that loading the model needs, in the versions that made it."""
    versions = {**backend.versions(), "numpy": np.__version__}
    return [f"{package}=={version}" for package, version in versions.items()]
