"""A search as people see it: its stages, the best setting so far, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.numbers import short
from experiments.searching.halving import ETA, updates_share
from experiments.searching.trials import Trial
from experiments.spec import ExperimentSpec
from experiments.spec.sweeps import Sweep
from service.analysis.headline import no_answer
from service.entities import Experiment, Json
from service.lifecycle import RunStatus


def tpe_document(
    spec: ExperimentSpec, metric: str, settings: Sequence[Trial], *, queued: int, over: bool = False
) -> Json:
    """The `search` of the REST API for strategy tpe.

    Args:
        spec: the experiment's spec.
        metric: what the search chooses by.
        settings: those so far.
        queued: runs that have been queued so far.
        over: whether nothing more is queued.
    """
    sweep = spec.sweep or Sweep()
    stage = _stage("search", sweep.runs or 0, queued, state="done" if over else "running")
    tried = sum(trial.state != "waiting" for trial in settings)
    standing = (
        f"The search is over: {tried} settings were tried."
        if over
        else f"The next settings are chosen by those before (TPE); {tried} of {(sweep.runs or 0) // sweep.n_seeds} are done."
    )
    return _document(spec, metric, [stage], settings, standing, over=over)


def halving_document(
    spec: ExperimentSpec,
    metric: str,
    settings: Sequence[Trial],
    rungs: Sequence[int],
    rung: int,
    *,
    queued: int = 0,
    over: bool = False,
) -> Json:
    """The same for strategy halving.

    Args:
        spec: the experiment's spec.
        metric: what the search chooses by.
        settings: as they were when the present rung began.
        rungs: epochs of each rung.
        rung: the present one, counted from 0.
        queued: runs of the present rung.
        over: whether the search is over.
    """
    sweep = spec.sweep or Sweep()
    eta, seeds = sweep.eta or ETA, sweep.n_seeds
    first = len(spec.expand()) // seeds
    stages, left = [], first
    for index, epochs in enumerate(rungs):
        left = sum(trial.epochs >= epochs for trial in settings) or left
        if index == rung and queued:
            left = queued // seeds
        state = "done" if index <= rung else "not needed"
        if not over and index >= rung:
            state = "running" if index == rung else "planned"
        stages.append(
            _stage(f"rung-{index + 1}", left * seeds, left * seeds, state=state) | {"epochs": epochs}
        )
        left = max(1, left // eta)
    share = updates_share(first, rungs, eta)
    standing = (
        "The search is over."
        if over
        else f"Of the settings of a rung the best 1/{eta} go on from where they are; in all about {share:.0%} of the "
        "updates of the whole grid."
    )
    furthest = [trial for trial in settings if trial.epochs == rungs[rung if over else max(0, rung - 1)]]
    return _document(spec, metric, stages, furthest, standing, over=over)


def _stage(name: str, runs: int, queued: int, *, state: str) -> dict[str, Any]:
    return {
        "name": name,
        "runs": runs,
        "queued": queued,
        "ended": queued if state == "done" else 0,
        "state": state,
    }


def _document(
    spec: ExperimentSpec,
    metric: str,
    stages: list[dict[str, Any]],
    settings: Sequence[Trial],
    standing: str,
    *,
    over: bool,
) -> Json:
    ranked = sorted((trial for trial in settings if trial.value is not None), key=lambda t: t.rank(metric))
    best = ranked[0] if ranked else None
    names = [factor.name for factor in spec.factors]
    return {
        "strategy": (spec.sweep or Sweep()).strategy,
        "metric": metric,
        "stages": stages,
        "wait": "over" if over else "running",
        "standing": standing,
        "best": None
        if best is None
        else {
            "levels": dict(zip(names, best.setting, strict=True)),
            "value": best.value,
            "epochs": best.epochs,
        },
        "answer": _answer(spec, metric, names, best, over=over),
    }


def _answer(
    spec: ExperimentSpec, metric: str, names: Sequence[str], best: Trial | None, *, over: bool
) -> str:
    if best is None:
        return "no setting ended with a value of " + metric if over else "no answer yet"
    setting = ", ".join(f"{name} {label}" for name, label in zip(names, best.setting, strict=True))
    seeds = (spec.sweep or Sweep()).n_seeds
    mean = f", the mean of {seeds} seeds" if seeds > 1 else ""
    reached = (
        f"{metric} {short(best.value or 0.0)}{mean}, after {best.epochs} epoch{'s' * (best.epochs != 1)}"
    )
    return f"{'best found' if over else 'best so far'}: {setting} ({reached})"


def live_search(experiment: Experiment) -> Json | None:
    """The stored document with the progress of the present stage."""
    document = experiment.search
    if document is None:
        return None
    open_runs = sum(experiment.counts.get(status, 0) for status in (RunStatus.SCHEDULED, RunStatus.RUNNING))
    stages = [
        {**stage, "ended": max(0, stage["queued"] - open_runs)} if stage["state"] == "running" else stage
        for stage in document["stages"]
    ]
    live = {**document, "stages": stages}
    present = next((stage for stage in stages if stage["state"] == "running"), None)
    if present is not None and document["best"] is None:
        live["answer"] = no_answer(present["name"], present["ended"], present["runs"])
    return live
