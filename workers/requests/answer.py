"""What a worker does when asked about a finished run: predict, draw, keep the model, draw all runs. Loads TensorFlow."""

from __future__ import annotations

import base64
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from experiments.engine import backend
from experiments.engine.evaluation import measures_accuracy, named
from experiments.errors import GradusError
from experiments.runs import RunSpec
from experiments.samples import samples
from service import operations
from service.analysis import gradient_flow
from service.entities import Request, Run
from service.lifecycle import RunStatus
from service.store import queries
from service.tracking.client import Tracking, save_keras_model
from service.tracking.records import RunRef
from workers.process.child import Child, surroundings
from workers.requests import draw
from workers.requests.networks import outputs, ready, trained
from workers.training.sources import source

log = structlog.get_logger(__name__)
Json = dict[str, Any]


class Unanswerable(GradusError):
    """The request cannot be met; the message says why and what would help."""


def answer(request_id: str) -> None:
    """Take a request, if it is still to be taken, and store what comes of it."""
    child = surroundings()
    lease = child.settings.lease_seconds
    request = operations.claim_request(
        child.store, request_id, worker=child.settings.worker, lease_seconds=lease
    )
    if request is None:
        return
    ready(child.settings.threads)
    result: Json | None = None
    error: str | None = None
    with (
        structlog.contextvars.bound_contextvars(request=request.id, run=request.run_id),
        _held(child, request),
    ):
        try:
            run = queries.get_run(child.store, request.run_id)
            result = KINDS[request.kind](child, run, request.payload)
        except GradusError as refused:
            error = str(refused)
        except Exception as failed:  # a person waits for a word, whatever went wrong
            log.exception("request failed", kind=request.kind)
            error = f"{type(failed).__name__}: {failed}"
        operations.finish_request(child.store, request.id, request.attempt, result=result, error=error)
        log.info("request answered", kind=request.kind, error=error)


class _held:  # noqa: N801  (used like a function)
    """Renews a request's lease every third of it."""

    def __init__(self, child: Child, request: Request) -> None:
        self._child, self._request, self._done = child, request, threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _renew(self) -> None:
        lease = self._child.settings.lease_seconds
        while not self._done.wait(lease / 3):
            try:
                operations.renew_request(self._child.store, self._request.id, self._request.attempt, lease)
            except GradusError as error:
                log.warning("database away", error=str(error))


def predict(child: Child, run: Run, payload: Mapping[str, Any]) -> Json:
    """`inputs` (n samples, of the data set's shape and scaled as it was for training) -> `outputs` on the scale of its
    targets, `classes` if it has any, `warnings` if the inputs are none of what the network was trained on.
    """
    spec = run.run_spec()
    shape = spec.data_shape.input
    x = samples(payload["inputs"], shape)
    if len(shape) == 3 and spec.model.data_format == "channels_first":
        x = np.moveaxis(x, -1, 1)
    y = outputs(trained(spec, stored_weights(child, run)), x)
    result: Json = {"outputs": y.astype(float).tolist()}
    if measures_accuracy(spec):
        result["classes"] = backend.array(named(spec, y)).tolist()
    if warning := _out_of_range(spec, x):
        result["warnings"] = [warning]
    return result


def _out_of_range(spec: RunSpec, x: npt.NDArray[np.float32]) -> str:
    """What to say of inputs outside the range that the data set states; "" of others."""
    low, high = np.float32(spec.data_shape.low), np.float32(spec.data_shape.high)
    outside = int(np.sum((x < low) | (x > high)))
    if not outside:
        return ""
    return (
        f"{outside:,} of {x.size:,} input numbers lie outside [{low:g}, {high:g}], the range that {spec.dataset.name} "
        f"was trained on ({spec.dataset.formula}): scale them as there, or the outputs mean little"
    )


def plot(child: Child, run: Run, payload: Mapping[str, Any]) -> Json:
    """The run's pictures from what is stored: into MLflow, and as base64."""
    return _drawn(child, run, pictures(child, run))


def pictures(child: Child, run: Run) -> Mapping[str, bytes]:
    """Path inside the artifacts -> PNG: of a run that failed or was killed, what its metrics show."""
    weights = stored_weights(child, run) if run.status == RunStatus.FINISHED else None
    history = draw.recorded(child.store, run.id)
    return draw.draw(run.run_spec(), source(child.settings), history, weights)


def overview(child: Child, run: Run, payload: Mapping[str, Any]) -> Json:
    """The pictures of the run's whole experiment, kept beside the run's own: gradient over depth."""
    drawn = draw.overview(child.store, run.experiment_id)
    if not drawn:
        raise Unanswerable(
            f"there is nothing to draw over all runs: they are of less than {gradient_flow.LEAST} depths, or their gradient "
            "was not measured (diagnostics: off)"
        )
    return _drawn(child, run, drawn)


def _drawn(child: Child, run: Run, drawn: Mapping[str, bytes]) -> Json:
    """Pictures, into the run's artifacts in MLflow and as base64 for whoever asked."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        files = []
        for path, content in drawn.items():
            local = Path(folder) / path
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(content)
            files.append((local, path))
        tracking, ref = _there(child, run)
        tracking.upload(ref, files, pool)
    return {"plots": {path: base64.b64encode(content).decode() for path, content in drawn.items()}}


def model(child: Child, run: Run, payload: Mapping[str, Any]) -> Json:
    """Keep the run's network as MLflow's logged model."""
    spec = run.run_spec()
    network = trained(spec, stored_weights(child, run))
    tracking, ref = _there(child, run)
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
        step = max((point.step for point in queries.metric_history(child.store, run.id)[0]), default=0)
        id = tracking.log_model(
            run.mlflow_experiment_id, ref, local, name="model", step=step, params=run.params
        )
    return {"model_id": id, "uri": f"models:/{id}"}


KINDS: dict[str, Callable[[Child, Run, Mapping[str, Any]], Json]] = {
    "predict": predict,
    "plot": plot,
    "picture": plot,
    "model": model,
    "overview": overview,
}


def requirements() -> list[str]:
    """What loading the model needs, in the versions that made it."""
    return [f"{name}=={version}" for name, version in {**backend.versions(), "numpy": np.__version__}.items()]


def stored_weights(child: Child, run: Run) -> bytes:
    """The run's weights: from this spool while they lie there, else from MLflow."""
    attempt = int((run.outcome or {}).get("attempt", run.attempt))
    waiting = child.spool.files(run.id, attempt) / draw.WEIGHTS
    if waiting.exists():
        return waiting.read_bytes()
    tracking, ref = _there(child, run)
    with tempfile.TemporaryDirectory() as folder:
        return tracking.download(ref, draw.WEIGHTS, Path(folder)).read_bytes()


def _there(child: Child, run: Run) -> tuple[Tracking, RunRef]:
    if run.mlflow_run_id is None:
        raise Unanswerable(f"run {run.id} is not in MLflow yet; ask again in a moment")
    tracking = Tracking(child.settings.mlflow_url)
    return tracking, tracking.get_run(run.mlflow_run_id)
