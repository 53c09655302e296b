"""The runs of an exploration, and the setting at which each level of it is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.comparing.confounding import Confounders
from experiments.comparing.design import Observation
from experiments.comparing.effects import Score, lower_is_better, validation_of
from experiments.comparing.held_out import HeldOut, leave_one_out
from experiments.comparing.tuning import TuneAxis
from experiments.spec import ExperimentSpec
from experiments.spec.confounders import owner, possible_confounders
from service.analysis.levels import SEED, level_of
from service.analysis.observations import diverged, state_of
from service.analysis.result import SEEDS, Tuning
from service.entities import Run


@dataclass(frozen=True)
class Candidate:
    """A run that has a level of the factor."""

    run: Run
    level: str
    confounders: Confounders
    cell: str
    """Everything in which it differs from other runs of its level, apart from the seed, as one label."""


@dataclass(frozen=True)
class Selection:
    """The candidates and those of them that are compared."""

    candidates: tuple[Candidate, ...]
    scores: tuple[Score, ...]
    used: tuple[Run, ...]
    """The runs behind the scores."""
    tuned: Mapping[str, tuple[dict[str, str], ...]]
    """Level to its settings, each with its seeds."""
    tuning: Tuning | None
    edges: tuple[str, ...] = ()
    """Levels whose best setting lies at an end of what was tried, in words."""


def select(
    spec: ExperimentSpec,
    runs: Sequence[Run],
    factor: str,
    metric: str,
    settled: Sequence[str],
    axes: Sequence[TuneAxis],
) -> Selection:
    """The runs to compare: for every seed the setting that is best on the other seeds, or all runs.

    Args:
        spec: The experiment's spec.
        runs: The runs to choose from.
        factor: The compared factor.
        metric: The compared metric.
        settled: Fields that were tuned on other seeds, and so may differ between levels.
        axes: Fields to tune on these very seeds. Where that cannot be done, each setting is a cell of its own.
    """
    names = tuple(axis.name for axis in axes)
    if axes:
        seen = candidates(spec, runs, factor, [*settled, *names])
        observed = [_observation(candidate, names, metric) for candidate in seen]
        held = leave_one_out(observed, axes, lower=lower_is_better(metric))
        if held is not None:
            used = [
                candidate
                for candidate, run in zip(seen, observed, strict=True)
                if (best := held.chosen.get(((run.level, run.cell), run.seed)))
                and best.setting == run.setting
            ]
            tuned = _settings(used, names, factor)
            tuning = Tuning("other seeds", names, validation_of(metric))
            runs_used = tuple(candidate.run for candidate in used)
            return Selection(tuple(seen), held.scores, runs_used, tuned, tuning, _edges(held))
    seen = candidates(spec, runs, factor, settled)
    scores = tuple(_score(candidate, metric) for candidate in seen)
    return Selection(tuple(seen), scores, tuple(candidate.run for candidate in seen), {}, None)


def candidates(spec: ExperimentSpec, runs: Sequence[Run], factor: str, own: Sequence[str]) -> list[Candidate]:
    """The runs that have a level of the factor.

    Args:
        spec: The experiment's spec.
        runs: Its runs.
        factor: The compared factor.
        own: Tuned fields. They may differ between levels without confounding the factor.
    """
    over_splits = spec.compare is not None and spec.compare.over == "splits"
    own = [*own, "dataset.split_seed"] if over_splits else own
    owned = owner([factor, *own], spec.sweep.cases if spec.sweep is not None else None)
    swept = [name for name in spec.axes() if name not in (factor, "case", *own)]
    seen, written = [], spec.written_layers()
    known: dict[tuple[object, ...], tuple[Confounders, str]] = {}
    """Runs that differ in nothing but their seed have the same confounders and cell: they are looked for once."""
    asked = (factor, *own)
    for run in runs:
        kept: tuple[ExperimentSpec, object, Candidate] | None = run.kept.get("candidate")
        if kept is not None and kept[0] is spec and kept[1] == asked:
            seen.append(kept[2])
        elif (level := level_of(run, factor)) is not None:
            others = {name: run.levels[name] for name in swept if name in run.levels}
            key = (run.apart_from_seed, *others.items())
            if key not in known:
                confounders = possible_confounders(run.spec, owned, written)
                cell = "\n".join(f"{name}={value}" for name, value in (confounders | others).items())
                known[key] = confounders, cell
            candidate = Candidate(run, level, *known[key])
            run.kept["candidate"] = spec, asked, candidate
            seen.append(candidate)
    return seen


def _score(candidate: Candidate, metric: str) -> Score:
    run = candidate.run
    value, state = run.metrics.get(metric), state_of(run)
    return Score(candidate.level, candidate.cell, run.seed, value, state, diverged(run, metric))


def _observation(candidate: Candidate, tuned: Sequence[str], metric: str) -> Observation:
    run = candidate.run
    kept: tuple[Candidate, object, Observation] | None = run.kept.get("observation")
    if kept is not None and kept[0] is candidate and kept[1] == (tuned, metric):
        return kept[2]
    observation = Observation(
        level=candidate.level,
        cell=(candidate.cell,),
        setting=tuple([run.levels.get(name, "") for name in tuned]),
        seed=run.seed,
        state=state_of(run),
        value=run.metrics.get(metric),
        validation=run.metrics.get(validation_of(metric)),
        diverged=diverged(run, metric),
    )
    run.kept["observation"] = candidate, (tuned, metric), observation
    return observation


def _settings(
    used: Sequence[Candidate], names: Sequence[str], factor: str
) -> dict[str, tuple[dict[str, str], ...]]:
    """Level to the settings at which it is compared, each with its seeds."""
    seeds: dict[str, dict[tuple[tuple[str, str], ...], list[str]]] = {}
    for candidate in used:
        levels = candidate.run.levels
        others = {name: label for name, label in levels.items() if name not in (factor, SEED, *names)}
        setting = others | {name: levels[name] for name in names}
        own = seeds.setdefault(candidate.level, {}).setdefault(tuple(setting.items()), [])
        own.append(str(candidate.run.seed))
    return {
        level: tuple(dict(setting) | {SEEDS: ", ".join(own)} for setting, own in settings.items())
        for level, settings in seeds.items()
    }


def _edges(held: HeldOut) -> tuple[str, ...]:
    words = {
        f"{level}: best at the {side}est {name} tried, perhaps better beyond"
        for (((level, _), _), tuned) in held.chosen.items()
        for name, side in tuned.edges
    }
    return tuple(sorted(words))
