"""Stored runs as a comparison and a question see them."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.comparing.design import Question, Result
from experiments.comparing.effects import State
from service.entities import Run
from service.lifecycle import RunStatus

_STATES: dict[str, State] = {
    RunStatus.FINISHED: "finished",
    RunStatus.FAILED: "failed",
    RunStatus.KILLED: "killed",
}


def state_of(run: Run) -> State:
    """A committed outcome counts, also while it is on its way to MLflow."""
    status = run.outcome["status"] if run.outcome and "status" in run.outcome else run.status.value
    return _STATES.get(status, "waiting")


def diverged(run: Run, metric: str) -> bool:
    """Whether a finished run's loss left the finite numbers."""
    reason = run.reason or str((run.outcome or {}).get("reason", ""))
    lost = metric in run.metrics and run.metrics[metric] is None
    return state_of(run) == "finished" and (reason == "diverged" or lost)


def seed_of(run: Run) -> int:
    return int(run.spec.get("seed", 0))


def results(question: Question, runs: Iterable[Run]) -> list[Result]:
    """The runs that belong to a question; others of the experiment (further seeds, say) are left out by
    `progress`.
    """
    found = []
    for run in runs:
        names = (question.factor, *question.others, *(axis.name for axis in question.axes))
        if not all(name in run.levels for name in names):
            continue
        found.append(
            Result(
                level=run.levels[question.factor],
                cell=tuple(run.levels[name] for name in question.others),
                setting=tuple(run.levels[axis.name] for axis in question.axes),
                seed=seed_of(run),
                state=state_of(run),
                value=run.metrics.get(question.metric),
                validation=run.metrics.get(question.validation_metric),
                diverged=diverged(run, question.metric),
            )
        )
    return found
