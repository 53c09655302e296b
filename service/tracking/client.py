"""What people read in MLflow: the only module that imports mlflow.

Every function here may be called again after an answer was lost: creation looks for what an earlier call
made, metrics carry fixed timestamps (MLflow keeps one row per key, timestamp, step and value), parameters
and tags are set to the same values. Nothing of MLflow's fluent API is used, so there is no active run and
no global tracking address.

MLflow's answers become two errors of `service.tracking.records`: `TrackingUnavailable` (try again later) and
`TrackingRefused` (MLflow understood and said no; trying again changes nothing).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

# Read by mlflow when it is imported or when it sends: no waiting for minutes inside one call (the shipper
# waits between calls instead), no addresses printed to stdout, no usage reports to a third party.
os.environ.update(
    {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }
)

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from service.tracking.records import (
    DatasetCard,
    ExperimentCard,
    MetricValue,
    RunCard,
    RunRef,
    TrackingRefused,
    TrackingUnavailable,
)

if TYPE_CHECKING:
    import keras

METRICS_PER_CALL = 1000
ITEMS_PER_CALL = 100  # parameters, and tags
TAG_LENGTH = 8000
PARAM_LENGTH = 6000
T = TypeVar("T")


# Codes by which MLflow says that this run or experiment is gone or that these values can't be, however often they are
# sent. All others (no permission, no such endpoint, a failure inside) are the server's or a proxy's: they pass, or are
# mended by whoever runs it.
_FOR_GOOD = {"RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE", "INVALID_STATE"}
# HTTP statuses of the artifact API that are about one file: a path that can't be, a file that is too large.
_ONE_FILE = {400, 413}


class Tracking:
    """One MLflow server, spoken to by `MlflowClient` and nothing else. Safe to use from several threads."""

    def __init__(self, url: str, *, timeout_s: int = 10) -> None:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(timeout_s)
        self.url = url
        self.client = MlflowClient(tracking_uri=url)

    # -- experiments ---------------------------------------------------------------------------------

    def ensure_experiment(self, card: ExperimentCard) -> str:
        """The id of the MLflow experiment of this card: found by name, brought back, or created."""
        try:
            return str(_call(self.client.create_experiment, card.name, tags=card.mlflow_tags()))
        except TrackingRefused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = _call(self.client.get_experiment_by_name, card.name)
        if found is None or found.tags.get("gradus.experiment_id") not in (card.id, None):
            raise TrackingRefused(f"MLflow's experiment {card.name!r} belongs to something else", "TAKEN")
        if found.lifecycle_stage == "deleted":
            _call(self.client.restore_experiment, found.experiment_id)
        return str(found.experiment_id)

    def describe_experiment(self, experiment_id: str, card: ExperimentCard) -> None:
        """Carry a changed name, description or tag over."""
        now = _call(self.client.get_experiment, experiment_id)
        if now.name != card.name:
            _call(self.client.rename_experiment, experiment_id, card.name)
        for key, value in card.mlflow_tags().items():
            if now.tags.get(key) != value:
                _call(self.client.set_experiment_tag, experiment_id, key, value)
        if not card.description and now.tags.get("mlflow.note.content"):
            _call(self.client.set_experiment_tag, experiment_id, "mlflow.note.content", "")

    def delete_experiment(self, experiment_id: str) -> None:
        """MLflow's soft delete of the experiment and its runs; one that is gone already is fine."""
        _rid_of(self.client.delete_experiment, experiment_id)

    # -- runs ----------------------------------------------------------------------------------------

    def runs(self, experiment_id: str) -> dict[str, RunRef]:
        """Gradus run id -> MLflow run, for every run of the experiment that carries the tag."""
        found: dict[str, RunRef] = {}
        token: str | None = None
        while True:
            page = _call(
                self.client.search_runs,
                [experiment_id],
                filter_string="tags.`gradus.run_id` != ''",
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=500,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            # Should a run ever be there twice, the older one is the one that was written to first.
            found.update({run.data.tags["gradus.run_id"]: _ref(run) for run in page})
            token = page.token
            if not token:
                return found

    def tagged(self, experiment_id: str, name: str, value: str) -> list[RunRef]:
        """The runs of an experiment that carry a tag with this value; at most 100."""
        search = f"tags.`{name}` = '{value}'"
        page = _call(self.client.search_runs, [experiment_id], filter_string=search, max_results=100)
        return [_ref(run) for run in page]

    def find_run(self, experiment_id: str, run_id: str) -> RunRef | None:
        """The MLflow run that carries the tag `gradus.run_id` = run_id."""
        page = _call(
            self.client.search_runs,
            [experiment_id],
            filter_string=f"tags.`gradus.run_id` = '{run_id}'",
            run_view_type=ViewType.ACTIVE_ONLY,
            max_results=1,
            order_by=["attributes.start_time ASC"],
        )
        return _ref(page[0]) if page else None

    def create_run(self, experiment_id: str, card: RunCard) -> RunRef:
        """A new MLflow run. Not idempotent: the caller asks `find_run` or `runs` before."""
        tags = {"mlflow.source.name": "gradus", "mlflow.source.type": "JOB", **card.tags}
        run = _call(
            self.client.create_run,
            experiment_id,
            start_time=card.start_ms,
            run_name=card.name,
            tags={k: v[:TAG_LENGTH] for k, v in {**tags, "gradus.run_id": card.id}.items()},
        )
        return _ref(run)

    def delete_run(self, mlflow_run_id: str) -> None:
        """MLflow's soft delete of a run; one that is gone already is fine."""
        _rid_of(self.client.delete_run, mlflow_run_id)

    def get_run(self, mlflow_run_id: str) -> RunRef:
        return _ref(_call(self.client.get_run, mlflow_run_id))

    def log(
        self,
        mlflow_run_id: str,
        metrics: Sequence[MetricValue] = (),
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Metrics, parameters and tags in as few calls as MLflow's limits allow."""
        points = [
            Metric(m.key, float("nan") if m.value is None else m.value, m.at_ms, m.step) for m in metrics
        ]
        pairs = [Param(param_name(k), str(v)[:PARAM_LENGTH]) for k, v in (params or {}).items()]
        labels = [RunTag(k, v[:TAG_LENGTH]) for k, v in (tags or {}).items()]
        # MLflow takes 1,000 items in one call, whatever their kind.
        while points or pairs or labels:
            params_now, pairs = pairs[:ITEMS_PER_CALL], pairs[ITEMS_PER_CALL:]
            tags_now, labels = labels[:ITEMS_PER_CALL], labels[ITEMS_PER_CALL:]
            room = METRICS_PER_CALL - len(params_now) - len(tags_now)
            points_now, points = points[:room], points[room:]
            _call(self.client.log_batch, mlflow_run_id, points_now, params_now, tags_now)

    def log_dataset(self, mlflow_run_id: str, card: DatasetCard) -> None:
        """The data set as an input of the run; MLflow joins equal ones by name and digest."""
        dataset = Dataset(
            name=card.name,
            digest=card.digest[:36],
            source_type="gradus",
            source=card.source,
            schema=card.schema or None,
            profile=card.profile or None,
        )
        context = [InputTag("mlflow.data.context", "training")]
        _call(self.client.log_inputs, mlflow_run_id, datasets=[DatasetInput(dataset, context)])

    def upload(self, run: RunRef, files: Iterable[tuple[Path, str]], pool: ThreadPoolExecutor) -> None:
        """Put local files at their paths inside the run's artifacts, several at a time."""
        repository = get_artifact_repository(run.artifact_uri, tracking_uri=self.url)

        def put(local: Path, path: str) -> None:
            folder = str(Path(path).parent)
            _call(repository.log_artifact, str(local), None if folder == "." else folder)

        for done in [pool.submit(put, local, path) for local, path in files]:
            done.result()

    def remove(self, run: RunRef, path: str) -> None:
        """Remove one artifact; one that is gone already is fine."""
        repository = get_artifact_repository(run.artifact_uri, tracking_uri=self.url)
        if path in {file.path for file in _call(repository.list_artifacts)}:
            _call(repository.delete_artifacts, path)

    def untag(self, mlflow_run_id: str, name: str) -> None:
        """Remove a tag from a run; one that is gone already is fine."""
        _rid_of(self.client.delete_tag, mlflow_run_id, name)

    def download(self, run: RunRef, path: str, folder: Path) -> Path:
        """Fetch one artifact into a folder; the local file."""
        folder.mkdir(parents=True, exist_ok=True)
        repository = get_artifact_repository(run.artifact_uri, tracking_uri=self.url)
        # Downloading a file that is not there gives the same error as a server that is not there.
        parent = str(Path(path).parent)
        if path not in {f.path for f in _call(repository.list_artifacts, None if parent == "." else parent)}:
            raise TrackingRefused(
                f"MLflow has no artifact {path!r} of run {run.id}", "RESOURCE_DOES_NOT_EXIST"
            )
        return Path(_call(repository.download_artifacts, path, str(folder)))

    def set_status(self, mlflow_run_id: str, status: str, end_ms: int | None = None) -> None:
        """One of MLflow's five statuses; an end time (Unix, ms) with the three terminal ones."""
        if RunStatus.is_terminated(RunStatus.from_string(status)):
            _call(self.client.set_terminated, mlflow_run_id, status, end_ms)
        else:
            _call(self.client.update_run, mlflow_run_id, status)

    # -- retention -----------------------------------------------------------------------------------

    def expire_artifacts(self, experiment_id: str, note: str) -> int:
        """Remove the artifacts of all runs of an experiment, once for this note; the number of runs. Numbers and tags
        stay."""
        experiment = _call(self.client.get_experiment, experiment_id)
        if experiment.tags.get("gradus.artifacts") == note or experiment.lifecycle_stage == "deleted":
            return 0
        found = self.runs(experiment_id)
        for run in found.values():
            repository = get_artifact_repository(run.artifact_uri, tracking_uri=self.url)
            if _call(repository.list_artifacts):
                _call(repository.delete_artifacts)
        _call(self.client.set_experiment_tag, experiment_id, "gradus.artifacts", note)
        return len(found)

    # -- models --------------------------------------------------------------------------------------

    def log_model(
        self,
        experiment_id: str,
        run: RunRef,
        folder: Path,
        *,
        name: str,
        step: int,
        params: Mapping[str, object],
    ) -> str:
        """Upload a model that `save_keras_model` wrote, as the run's logged model. Its id in MLflow."""
        from mlflow.models import Model

        found = _call(
            self.client.search_logged_models,
            experiment_ids=[experiment_id],
            filter_string=f"source_run_id = '{run.id}'",
            max_results=1,
        )
        model = (
            found[0]
            if found
            else _call(
                self.client.create_logged_model,
                experiment_id,
                name=name,
                source_run_id=run.id,
                params={key: str(value) for key, value in params.items()},
                model_type="keras",
            )
        )
        if str(model.status) != "READY":
            description = Model.load(str(folder))
            description.artifact_path = model.artifact_location
            description.run_id = run.id
            description.model_id = description.model_uuid = model.model_id
            description.save(str(folder / "MLmodel"))
            _call(self.client.log_model_artifacts, model.model_id, str(folder))
            _call(self.client.finalize_logged_model, model.model_id, "READY")
        # Outputs are added without looking, so look first.
        outputs = _call(self.client.get_run, run.id).outputs
        if outputs is None or model.model_id not in {o.model_id for o in outputs.model_outputs}:
            _call(self.client.log_outputs, run.id, [LoggedModelOutput(model.model_id, step)])
        return str(model.model_id)


def save_keras_model(
    model: keras.Model,
    folder: Path,
    *,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    requirements: Sequence[str],
) -> None:
    """Write a model as MLflow's keras flavour does: `.keras` archive, signature, requirements; no pickle.

    `input_shape` and `output_shape` are of one sample, without the batch; float32 both.
    Runs where Keras is loaded (a worker's child). The folder must not exist.
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


def param_name(field: str) -> str:
    """What a field is called in MLflow, which takes no brackets: `model.layers[0].units` is `model.layers.0.units`."""
    return re.sub(r"\[(\d+)\]", r".\1", field)


def _ref(run: MlflowRun) -> RunRef:
    return RunRef(id=str(run.info.run_id), artifact_uri=str(run.info.artifact_uri))


def _rid_of(function: Callable[..., object], *args: Any) -> None:
    """Call MLflow to remove something; what is gone already is fine."""
    try:
        _call(function, *args)
    except TrackingRefused as error:
        if error.code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _call(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call MLflow and turn what it raises into this module's errors."""
    try:
        return function(*args, **kwargs)
    except MlflowException as error:
        code = str(error.error_code)
        if code in _FOR_GOOD:
            raise TrackingRefused(f"MLflow refused: {error}", code) from error
        raise TrackingUnavailable(f"MLflow: {error}") from error
    except OSError as error:  # requests' own errors are OSErrors, in the artifact API unwrapped
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in _ONE_FILE:
            raise TrackingRefused(f"MLflow refused an artifact: {error}", f"HTTP {status}") from error
        raise TrackingUnavailable(f"MLflow: {error}") from error
