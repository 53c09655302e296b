"""One MLflow server: experiments, runs, artifacts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from service.tracking.client.calls import EXISTS, GONE, call, remove
from service.tracking.records import (
    DatasetCard,
    ExperimentCard,
    MetricValue,
    RunCard,
    RunRef,
    TrackingRefused,
)
from service.tracking.urls import param_name

METRICS_PER_CALL = 1000
ITEMS_PER_CALL = 100  # parameters, and tags
TAG_LENGTH = 8000
PARAM_LENGTH = 6000


class Tracking:
    """One MLflow server, spoken to by `MlflowClient` alone. Safe to use from several threads. Final.

    Every method raises `TrackingUnavailable` where MLflow does not answer or fails inside, and `TrackingRefused` where it
    understood and said no.

    Args:
        url: MLflow's address.
        timeout_s: seconds that one HTTP request may take.
    """

    def __init__(self, url: str, *, timeout_s: int = 10) -> None:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(timeout_s)
        self.url = url
        self.client = MlflowClient(tracking_uri=url)

    # -- experiments ---------------------------------------------------------------------------------

    def ensure_experiment(self, card: ExperimentCard) -> str:
        """The id of the MLflow experiment of this card: created, or found by name and brought back if deleted.

        Raises:
            TrackingRefused: another experiment has the name (code TAKEN), among others.
        """
        try:
            return str(call(self.client.create_experiment, card.name, tags=card.mlflow_tags()))
        except TrackingRefused as error:
            if error.code != EXISTS:
                raise
        experiment = call(self.client.get_experiment_by_name, card.name)
        if experiment is None or experiment.tags.get("gradus.experiment_id") not in (card.id, None):
            raise TrackingRefused(f"MLflow's experiment {card.name!r} belongs to something else", "TAKEN")
        if experiment.lifecycle_stage == "deleted":
            call(self.client.restore_experiment, experiment.experiment_id)
        return str(experiment.experiment_id)

    def describe_experiment(self, experiment_id: str, card: ExperimentCard) -> None:
        """Carry a changed name, description or tag over. What is the same already costs no call."""
        current = call(self.client.get_experiment, experiment_id)
        if current.name != card.name:
            call(self.client.rename_experiment, experiment_id, card.name)
        for key, value in card.mlflow_tags().items():
            if current.tags.get(key) != value:
                call(self.client.set_experiment_tag, experiment_id, key, value)
        if not card.description and current.tags.get("mlflow.note.content"):
            call(self.client.set_experiment_tag, experiment_id, "mlflow.note.content", "")

    def delete_experiment(self, experiment_id: str) -> None:
        """MLflow's soft delete of the experiment and its runs. Idempotent."""
        remove(self.client.delete_experiment, experiment_id)

    # -- runs ----------------------------------------------------------------------------------------

    def runs(self, experiment_id: str) -> dict[str, RunRef]:
        """Gradus run id -> MLflow run, for every run of the experiment that carries the tag."""
        refs: dict[str, RunRef] = {}
        token: str | None = None
        while True:
            page = call(
                self.client.search_runs,
                [experiment_id],
                filter_string="tags.`gradus.run_id` != ''",
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=500,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            # Should a run ever be there twice, the older one is the one that was written to first.
            refs.update({run.data.tags["gradus.run_id"]: _ref(run) for run in page})
            token = page.token
            if not token:
                return refs

    def tagged(self, experiment_id: str, name: str, value: str) -> list[RunRef]:
        """The runs of an experiment that carry a tag with this value; at most 100."""
        search = f"tags.`{name}` = '{value}'"
        page = call(self.client.search_runs, [experiment_id], filter_string=search, max_results=100)
        return [_ref(run) for run in page]

    def find_run(self, experiment_id: str, run_id: str) -> RunRef | None:
        """The MLflow run that carries the tag `gradus.run_id` = run_id, the oldest of several; None: there is none."""
        page = call(
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
        run = call(
            self.client.create_run,
            experiment_id,
            start_time=card.start_ms,
            run_name=card.name,
            tags={k: v[:TAG_LENGTH] for k, v in {**tags, "gradus.run_id": card.id}.items()},
        )
        return _ref(run)

    def delete_run(self, mlflow_run_id: str) -> None:
        """MLflow's soft delete of a run. Idempotent."""
        remove(self.client.delete_run, mlflow_run_id)

    def get_run(self, mlflow_run_id: str) -> RunRef:
        """The MLflow run of this id. Raises TrackingRefused (RESOURCE_DOES_NOT_EXIST) where there is none."""
        return _ref(call(self.client.get_run, mlflow_run_id))

    def log(
        self,
        mlflow_run_id: str,
        metrics: Sequence[MetricValue] = (),
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log metrics, parameters and tags in as few calls as MLflow's limits allow. Idempotent.

        Args:
            metrics: points with fixed timestamps; MLflow keeps a point that is there already once.
            params: name -> value, cut to 6,000 characters.
            tags: name -> value, cut to 8,000 characters.
        """
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
            call(self.client.log_batch, mlflow_run_id, points_now, params_now, tags_now)

    def log_dataset(self, mlflow_run_id: str, card: DatasetCard) -> None:
        """Log the data set as an input of the run. MLflow joins equal ones by name and digest."""
        dataset = Dataset(
            name=card.name,
            digest=card.digest[:36],
            source_type="gradus",
            source=card.source,
            schema=card.schema or None,
            profile=card.profile or None,
        )
        context = [InputTag("mlflow.data.context", "training")]
        call(self.client.log_inputs, mlflow_run_id, datasets=[DatasetInput(dataset, context)])

    def set_status(self, mlflow_run_id: str, status: str, end_ms: int | None = None) -> None:
        """Set one of MLflow's five statuses.

        Args:
            end_ms: Unix time in ms, with the three terminal statuses.
        """
        if RunStatus.is_terminated(RunStatus.from_string(status)):
            call(self.client.set_terminated, mlflow_run_id, status, end_ms)
        else:
            call(self.client.update_run, mlflow_run_id, status)

    def untag(self, mlflow_run_id: str, name: str) -> None:
        """Remove a tag from a run. Idempotent."""
        remove(self.client.delete_tag, mlflow_run_id, name)

    # -- artifacts -----------------------------------------------------------------------------------

    def upload(self, run: RunRef, files: Iterable[tuple[Path, str]], pool: ThreadPoolExecutor) -> None:
        """Upload files to the run's artifacts, several at a time. The same path again replaces the file.

        Args:
            files: (local file, path inside the artifacts).
        """
        repository = self._artifacts(run)

        def put(local: Path, path: str) -> None:
            folder = str(Path(path).parent)
            call(repository.log_artifact, str(local), None if folder == "." else folder)

        for upload in [pool.submit(put, local, path) for local, path in files]:
            upload.result()

    def remove(self, run: RunRef, path: str) -> None:
        """Remove one artifact of the run's top folder. Idempotent."""
        repository = self._artifacts(run)
        if path in {file.path for file in call(repository.list_artifacts)}:
            call(repository.delete_artifacts, path)

    def download(self, run: RunRef, path: str, folder: Path) -> Path:
        """Download one artifact into a folder, which is made; the local file.

        Raises:
            TrackingRefused: the run has no such artifact (RESOURCE_DOES_NOT_EXIST), among others.
        """
        folder.mkdir(parents=True, exist_ok=True)
        repository = self._artifacts(run)
        # A file that is not there gives the same error as a server that is not there, so look first.
        parent = str(Path(path).parent)
        listed = call(repository.list_artifacts, None if parent == "." else parent)
        if path not in {file.path for file in listed}:
            raise TrackingRefused(f"MLflow has no artifact {path!r} of run {run.id}", GONE)
        return Path(call(repository.download_artifacts, path, str(folder)))

    def download_all(self, run: RunRef, folder: Path) -> list[tuple[Path, str]]:
        """Download every artifact of a run into an empty folder: (local file, path inside the artifacts)."""
        call(self._artifacts(run).download_artifacts, "", str(folder))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [(path, path.relative_to(folder).as_posix()) for path in files]

    # -- files of no run -------------------------------------------------------------------------------

    def put_file(self, local: Path, folder: str) -> None:
        """Store a file in a folder of MLflow's artifact store, outside of every run. The same name again replaces it."""
        call(self._folder(folder).log_artifact, str(local))

    def get_file(self, folder: str, name: str, into: Path) -> Path:
        """Fetch a file that `put_file` stored; the local file.

        Raises:
            TrackingRefused: there is no such file (RESOURCE_DOES_NOT_EXIST), among others.
        """
        repository = self._folder(folder)
        if name not in {file.path for file in call(repository.list_artifacts)}:
            raise TrackingRefused(f"MLflow's artifact store has no {folder}/{name}", GONE)
        return Path(call(repository.download_artifacts, name, str(into)))

    def remove_file(self, folder: str, name: str) -> None:
        """Remove a file that `put_file` stored. Idempotent."""
        remove(self._folder(folder).delete_artifacts, name)

    def _folder(self, folder: str) -> ArtifactRepository:
        return get_artifact_repository(f"mlflow-artifacts:/{folder}", tracking_uri=self.url)

    def expire_artifacts(self, experiment_id: str, note: str) -> int:
        """Remove the artifacts of all runs of an experiment, once for this note. Numbers and tags stay.

        Returns:
            The number of runs; 0 where it was done before, or the experiment is deleted.
        """
        experiment = call(self.client.get_experiment, experiment_id)
        if experiment.tags.get("gradus.artifacts") == note or experiment.lifecycle_stage == "deleted":
            return 0
        runs = self.runs(experiment_id)
        for run in runs.values():
            repository = self._artifacts(run)
            if call(repository.list_artifacts):
                call(repository.delete_artifacts)
        call(self.client.set_experiment_tag, experiment_id, "gradus.artifacts", note)
        return len(runs)

    def _artifacts(self, run: RunRef) -> ArtifactRepository:
        return get_artifact_repository(run.artifact_uri, tracking_uri=self.url)


def _ref(run: MlflowRun) -> RunRef:
    return RunRef(str(run.info.run_id), str(run.info.artifact_uri), dict(run.data.tags))
