"""The stages of a design: which of their runs exist, which are missing, and whether they have ended.

tune            every point of the tuning grid, for every arm, on the tuning seeds
tune-extended   more points past an edge at which a level was best, for every level alike
tune-again-1 …  the two best points of every arm whose tuning seeds cannot tell them apart, on as many seeds more
look-1 …        each arm at its own best point, on the first looks[0], looks[1], … fresh seeds
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from experiments.comparing.design import Arm, Design, Observation, PlannedRun
from experiments.comparing.tuning import Setting, Side, Trial, TuneAxis, Tuned, best

MOST_TUNING_SEEDS = 8
"""Settings that so many seeds cannot tell apart are both compared."""
Wait = Literal["running", "decided", "last look", "budget", "incomplete", "nothing to decide"]
StepState = Literal["done", "running", "planned"]
Wanted = tuple[Arm, Sequence[TuneAxis], Setting, int]
"""A run that a stage needs: its arm, the tuned axes, the setting on them, and the seed."""


@dataclass(frozen=True)
class Stage:
    """Runs to be queued together."""

    name: str
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Step:
    """One stage as it went or is going: how many runs it needs, and how many of these have ended."""

    name: str
    n_runs: int
    ended: int
    state: StepState


class Stages:
    """Compares what each stage needs with the runs that exist, and keeps a step for every stage asked about."""

    def __init__(self, design: Design, observations: Iterable[Observation], *, limited: bool = True) -> None:
        self.design = design
        self.limited = limited
        self.observations = {(run.level, run.cell, run.setting, run.seed): run for run in observations}
        self.steps: list[Step] = []

    def stage(self, name: str, wanted: Sequence[Wanted]) -> tuple[Stage | None, Wait]:
        """(the missing runs of a stage, whether it has ended)."""
        known = [self.observations.get((*arm, setting, seed)) for arm, _, setting, seed in wanted]
        missing = tuple(
            self.design.planned_run(*run)
            for run, observation in zip(wanted, known, strict=True)
            if observation is None
        )
        ended = sum(run is not None and run.state != "waiting" for run in known)
        budget = self.design.budget if self.limited else None
        unpaid = bool(missing) and budget is not None and len(self.observations) + len(missing) > budget
        state: StepState = "running"
        if len(missing) == len(wanted) or unpaid:  # a look shares the runs of the look before, begun or not
            state = "planned"
        elif ended == len(wanted):
            state = "done"
        self.steps.append(Step(name, len(wanted), ended, state))
        if missing:
            return (None, "budget") if unpaid else (Stage(name, missing), "running")
        if any(run is not None and run.state in ("failed", "killed") for run in known):
            return None, "incomplete"
        return None, "running" if ended < len(wanted) else "decided"

    def trials(self, arm: Arm, settings: Iterable[Setting], further: Sequence[int] = ()) -> list[Trial]:
        """Those of the settings that an arm has finished on all tuning seeds and the further ones."""
        trials = []
        for setting in settings:
            seeds = (*self.design.tune_seeds, *further)
            runs = [self.observations.get((*arm, setting, seed)) for seed in seeds]
            if all(run is not None and run.state == "finished" for run in runs):
                values = tuple(None if run is None or run.diverged else run.validation for run in runs)
                trials.append(Trial(setting, values))
        return trials

    def best(
        self, arm: Arm, settings: Iterable[Setting], axes: Sequence[TuneAxis], further: Sequence[int] = ()
    ) -> Tuned:
        """The best of these settings of an arm."""
        design = self.design
        lower, perfect = design.lower_is_better, design.perfect
        return best(self.trials(arm, settings, further), axes, lower=lower, perfect=perfect)


def first_stage(design: Design) -> Stage:
    """The stage that a design begins with: the tuning, or the first look where nothing is tuned."""
    if design.axes:
        return Stage("tune", tuple(design.planned_run(*run) for run in _grid(design, design.axes)))
    seeds = design.seeds(0)
    return Stage(
        "look-1", tuple(design.planned_run(arm, (), (), seed) for arm in design.arms for seed in seeds)
    )


def tuning(state: Stages) -> tuple[tuple[TuneAxis, ...], dict[Arm, Tuned], Stage | None, Wait]:
    """(axes as extended, best setting per arm, stage to queue, wait); `decided` once every arm has its best."""
    design = state.design
    if not design.axes:
        return (), {arm: Tuned((), None, ()) for arm in design.arms}, None, "decided"
    stage, wait = state.stage("tune", _grid(design, design.axes))
    if stage is not None or wait != "decided":
        return design.axes, {}, stage, wait
    chosen = _best(state, design.axes)
    full = _extend(design, chosen)
    axes = _affordable(design, chosen, full)
    if axes != design.axes:
        before = {(arm, setting, seed) for arm, _, setting, seed in _grid(design, design.axes)}
        added = [run for run in _grid(design, axes) if (run[0], *run[2:]) not in before]
        stage, wait = state.stage("tune-extended", added)
        if stage is not None or wait != "decided":
            return axes, chosen, stage, wait
        chosen = _best(state, axes)
    chosen, stage, wait = _tuned_again(state, axes, chosen)
    if wait != "decided":
        return axes, chosen, stage, wait
    return axes, {arm: _settled(tuned, design.axes, full) for arm, tuned in chosen.items()}, None, "decided"


def _best(state: Stages, axes: Sequence[TuneAxis]) -> dict[Arm, Tuned]:
    settings = list(itertools.product(*(axis.labels for axis in axes)))
    return {arm: state.best(arm, settings, axes) for arm in state.design.arms}


def _tuned_again(
    state: Stages, axes: Sequence[TuneAxis], chosen: dict[Arm, Tuned]
) -> tuple[dict[Arm, Tuned], Stage | None, Wait]:
    """(the best setting per arm, stage to queue, wait), with tied settings tuned on twice as many seeds each time.

    It ends where nothing is tied, at `MOST_TUNING_SEEDS`, or where the budget would not pay for the first look.
    """
    design = state.design
    spent = len(_grid(design, axes))
    used = 0
    for again in itertools.count(1):
        tied = {arm: tuned for arm, tuned in chosen.items() if tuned.tied is not None}
        total = len(design.tune_seeds) + used
        seeds = tuple(design.spare[used : used + total])
        wanted: list[Wanted] = [
            (arm, tuple(axes), setting, seed)
            for arm, tuned in tied.items()
            for setting in tuned.settings
            for seed in seeds
        ]
        spent += len(wanted)
        unpaid = design.budget is not None and spent + look_cost(design, chosen) > design.budget
        if not wanted or 2 * total > MOST_TUNING_SEEDS or unpaid:
            return chosen, None, "decided"
        stage, wait = state.stage(f"tune-again-{again}", wanted)
        if stage is not None or wait != "decided":
            return chosen, stage, wait
        used += len(seeds)
        further = design.spare[:used]
        chosen = chosen | {arm: state.best(arm, tuned.settings, axes, further) for arm, tuned in tied.items()}
    raise AssertionError("unreachable")


def look_cost(design: Design, chosen: Mapping[Arm, Tuned]) -> int:
    """The number of runs of the first look."""
    return sum(len(tuned.settings) for tuned in chosen.values()) * design.looks[0]


def _affordable(
    design: Design, chosen: Mapping[Arm, Tuned], full: tuple[TuneAxis, ...]
) -> tuple[TuneAxis, ...]:
    """The axes, extended as far as the budget still pays for the first look.

    An extension that left no budget for a look would be tuning without an answer.
    """
    axes = full
    most = max(len(axis.values) for axis in design.axes)
    look = len(design.arms) * design.looks[0]
    while design.budget is not None and most > 0 and len(_grid(design, axes)) + look > design.budget:
        most -= 1
        axes = _extend(design, chosen, most)
    return axes


def _grid(design: Design, axes: Sequence[TuneAxis]) -> list[Wanted]:
    settings = list(itertools.product(*(axis.labels for axis in axes)))
    return [
        (arm, tuple(axes), setting, seed)
        for arm in design.arms
        for setting in settings
        for seed in design.tune_seeds
    ]


def _extend(design: Design, chosen: Mapping[Arm, Tuned], most: int | None = None) -> tuple[TuneAxis, ...]:
    """The axes with further values past every edge at which some level was best, the same for all levels.

    most: the largest number of values to add at an edge.
    """
    extended = []
    for position, axis in enumerate(design.axes):
        sides: set[Side] = {
            side for tuned in chosen.values() for name, side in tuned.edges if name == axis.name
        }
        added = [
            value
            for side in sorted(sides)
            for value in axis.beyond(side, most)
            if _possible(design, position, value)
        ]
        extended.append(axis.extended(added) if added else axis)
    return tuple(extended)


def _possible(design: Design, position: int, value: object) -> bool:
    """Whether every arm can be run at this value of an axis."""
    axis = design.axes[position]
    if axis.spacing == "log" and not float(value) > 0:  # type: ignore[arg-type]
        return False
    first = tuple(other.labels[0] for other in design.axes)
    for arm in design.arms:
        run = design.planned_run(arm, design.axes, first, design.tune_seeds[0])
        if not design.allows(PlannedRun(run.levels | {axis.name: value}, run.seed)):
            return False
    return True


def _settled(tuned: Tuned, before: Sequence[TuneAxis], after: Sequence[TuneAxis]) -> Tuned:
    """Without the edges past which the field allows no value: such a range is complete, so its end is fair."""
    natural = {
        (axis.name, side)
        for axis, wider in zip(before, after, strict=True)
        for side, end in (("low", 0), ("high", -1))
        if wider.values[end] == axis.values[end]
    }
    return replace(tuned, edges=tuple(edge for edge in tuned.edges if edge not in natural))


def unfair_levels(tuned: Mapping[Arm, Tuned]) -> dict[str, tuple[str, ...]]:
    """Level to the edges at which its best setting lies, in words; without the levels that have none."""
    edges: dict[str, dict[str, None]] = {}
    for (level, _), choice in tuned.items():
        for name, side in choice.edges:
            edges.setdefault(level, {})[f"the {side}est {name} tried"] = None
    return {level: tuple(words) for level, words in edges.items()}
