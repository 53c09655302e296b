"""Stored runs as a design and a comparison see them."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.comparing.design import Design, Observation
from experiments.comparing.effects import State
from service.entities import Run
from service.lifecycle import RunStatus

_STATES: dict[str, State] = {
    RunStatus.FINISHED: "finished",
    RunStatus.FAILED: "failed",
    RunStatus.KILLED: "killed",
}


def state_of(run: Run) -> State:
    """A run's state. A committed outcome counts already while it is on its way to MLflow."""
    return _STATES.get(run.ended_as, "waiting")


def diverged(run: Run, metric: str) -> bool:
    """Whether a finished run's loss, or this metric, is not finite."""
    if state_of(run) != "finished":
        return False
    reason = run.reason or str((run.outcome or {}).get("reason", ""))
    return reason == "diverged" or (metric in run.metrics and run.metrics[metric] is None)


def latest_of_each_point(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Of the runs with the same levels and seed the last one that was queued.

    There are several where an experiment of an earlier version was extended by this one, which trains to other numbers
    (`experiments.runs.NUMERICS`) and so trains the known levels again beside the new ones.
    """
    return tuple({run.point: run for run in runs}.values())


def observations(design: Design, runs: Iterable[Run]) -> list[Observation]:
    """The runs that have a level of every factor and tuned field of a design. `progress` ignores other seeds."""
    names = (design.factor, *design.others, *(axis.name for axis in design.axes))
    return [
        Observation(
            level=run.levels[design.factor],
            cell=tuple(run.levels[name] for name in design.others),
            setting=tuple(run.levels[axis.name] for axis in design.axes),
            seed=run.seed,
            state=state_of(run),
            value=run.metrics.get(design.metric),
            validation=run.metrics.get(design.validation_metric),
            diverged=diverged(run, design.metric),
        )
        for run in runs
        if all(name in run.levels for name in names)
    ]
