"""Keras models as MLflow's logged models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import LoggedModelOutput

from service.tracking.client.calls import call
from service.tracking.client.tracking import Tracking
from service.tracking.records import RunRef

if TYPE_CHECKING:
    import keras


def save_keras_model(
    model: keras.Model,
    folder: Path,
    *,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    requirements: Sequence[str],
) -> None:
    """Write a model as MLflow's keras flavour does: `.keras` archive, signature, requirements; no pickle.

    Args:
        folder: does not exist yet.
        input_shape: of one sample, without the batch; float32.
        output_shape: likewise.
        requirements: pip requirements that loading needs.
    """
    import mlflow.keras
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *input_shape))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *output_shape))]),
    )
    mlflow.keras.save_model(model, str(folder), signature=signature, pip_requirements=list(requirements))


def log_model(
    tracking: Tracking,
    experiment_id: str,
    run: RunRef,
    folder: Path,
    *,
    name: str,
    step: int,
    params: Mapping[str, object],
) -> str:
    """Upload a model that `save_keras_model` wrote as the run's logged model. Idempotent: one model a run.

    Args:
        folder: the model's; its `MLmodel` is rewritten.
        step: epochs completed.
        params: shown beside the model.

    Returns:
        The model's id in MLflow.

    Raises:
        TrackingRefused, TrackingUnavailable: see `call`.
    """
    from mlflow.models import Model

    client = tracking.client
    search = f"source_run_id = '{run.id}'"
    logged = call(
        client.search_logged_models, experiment_ids=[experiment_id], filter_string=search, max_results=1
    )
    if logged:
        model = logged[0]
    else:
        model = call(
            client.create_logged_model,
            experiment_id,
            name=name,
            source_run_id=run.id,
            params={key: str(value) for key, value in params.items()},
            model_type="keras",
        )
    if str(model.status) != "READY":
        description = Model.load(str(folder))
        description.artifact_path = model.artifact_location
        description.run_id = run.id
        description.model_id = description.model_uuid = model.model_id
        description.save(str(folder / "MLmodel"))
        call(client.log_model_artifacts, model.model_id, str(folder))
        call(client.finalize_logged_model, model.model_id, "READY")
    # MLflow adds an output without looking whether it is there.
    outputs = call(client.get_run, run.id).outputs
    if outputs is None or model.model_id not in {output.model_id for output in outputs.model_outputs}:
        call(client.log_outputs, run.id, [LoggedModelOutput(model.model_id, step)])
    return str(model.model_id)
