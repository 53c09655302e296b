"""More epochs for the runs of an experiment: they go on from their checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from experiments.errors import SpecError
from experiments.limits import UNLIMITED, Limits
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from service import operations
from service.entities import Experiment, Json, Run
from service.errors import Conflict
from service.lifecycle import RunStatus
from service.store import Store, queries

EPOCHS = "gradus.epochs"
"""The tag of a run that was given more epochs: how many in all. MLflow keeps its parameter `epochs` as it was."""


def lengthen(
    store: Store,
    experiment: Experiment,
    runs: Sequence[Run],
    epochs: int,
    *,
    limits: Limits = UNLIMITED,
    quota: int | None = None,
    idempotency: operations.IdempotencyKey | None = None,
) -> Experiment:
    """Give every run so many epochs more. Those that came to their last epoch go on from their checkpoints.

    A run that ended by itself, by patience say, is as it would have been with more epochs, and stays as it is. One that
    failed or was cancelled trains to the new number when it is retried.

    Args:
        store: The database.
        experiment: The experiment, all of whose runs are over.
        runs: All its runs.
        epochs: How many more, at least 1.
        limits: How large a run may be.
        quota: How many open runs the owner may have; None: no limit.
        idempotency: The client's name for this request; with it, nothing is done twice.

    Returns:
        The experiment as it is then.

    Raises:
        Conflict: A run is still open, or a design or a search decides the epochs.
        SpecError: The sweep varies the epochs, or a run would exceed a limit.
        QuotaExceeded: The owner would have more than `quota` open runs.
    """
    if experiment.design is not None or experiment.search is not None:
        what = "the question compares" if experiment.design else "the search chooses among"
        raise Conflict(
            f"{what} runs of the epochs that were fixed before results; submit it anew with other training.epochs"
        )
    if not experiment.is_over:
        raise Conflict("runs are still open; wait until they are over, then add epochs")
    document = _longer(experiment.experiment_spec, epochs, limits)
    columns = {run.id: _columns(run, epochs) for run in runs}
    ended = {run.id for run in runs if run.status == RunStatus.FINISHED and run.reason == "epochs"}
    operations.continue_runs(
        store,
        experiment,
        columns,
        going_on=ended,
        packed_anew=False,
        stage=experiment.stage,
        spec=document,
        quota=quota,
        idempotency=idempotency,
    )
    return queries.get_experiment(store, experiment.id)


def _longer(spec: ExperimentSpec, epochs: int, limits: Limits) -> Json:
    """The document of the spec with more epochs. Raises SpecError."""
    if len({point.spec.training.epochs for point in spec.expand()}) > 1:
        raise SpecError.one(
            "epochs", "this sweep varies the epochs", "an experiment whose runs have one number"
        )
    document = copy.deepcopy(spec.document())
    training = document.setdefault("training", {})
    training["epochs"] = spec.training.epochs + epochs
    return ExperimentSpec.parse(document, limits).document()


def _columns(run: Run, epochs: int) -> dict[str, Any]:
    """The columns of a run with more epochs."""
    document = copy.deepcopy(run.spec)
    document["training"]["epochs"] += epochs
    spec = RunSpec.model_validate(document)
    return {
        "spec": document,
        "fingerprint": spec.fingerprint(),
        "params": {**run.params, "epochs": spec.training.epochs},
        "epochs": spec.training.epochs,
        "tags": {**run.tags, EPOCHS: str(spec.training.epochs)},
    }
