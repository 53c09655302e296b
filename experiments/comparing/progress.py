"""The progress of a design: tuning, then look by look until every pair of levels is decided.

Nothing is remembered between steps. `progress` reads the whole state from the runs that exist, so anybody may ask at
any time and gets the same answer. Which stage comes next depends on finished stages alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from experiments.comparing.best_set import BestSet, best_set
from experiments.comparing.design import Arm, Design, Observation
from experiments.comparing.judging import ScoreSets, Unfair, judge_before_results, judge_pairs, score_sets
from experiments.comparing.stages import Stage, Stages, Step, Wait, tuning, unfair_levels
from experiments.comparing.tuning import TuneAxis, Tuned
from experiments.comparing.verdicts import Judgement


@dataclass(frozen=True)
class Progress:
    """How far a design has come."""

    steps: tuple[Step, ...]
    next: Stage | None
    """The stage to queue now; None while one runs, and when the design is over."""
    wait: Wait
    """Why nothing is queued, or `running`."""
    tuned: Mapping[Arm, Tuned]
    axes: tuple[TuneAxis, ...]
    """The tuned ranges, as extended."""
    unfair: Mapping[str, tuple[str, ...]]
    """Level to where its best setting still lies at an edge, in words."""
    best: BestSet | None
    """The levels that may be the best, where that is asked."""
    judgements: tuple[Judgement, ...]
    """Of every pair, at the last planned look that it has completed or that decided it. Before the first look:
    undecided, with no seed.
    """

    @property
    def over(self) -> bool:
        return self.next is None and self.wait != "running"


def initial_progress(design: Design, stage: Stage) -> Progress:
    """The progress before there is any run. stage: the design's first."""
    step = Step(stage.name, len(stage.runs), 0, "planned")
    best = best_set(design, dict.fromkeys(design.levels, ()), {}) if design.best else None
    return Progress((step,), stage, "running", {}, design.axes, {}, best, judge_before_results(design))


def progress(design: Design, observations: Iterable[Observation], *, limited: bool = True) -> Progress:
    """How far a design has come, from its runs.

    Args:
        design: The design.
        observations: Its runs; others of the same experiment are ignored.
        limited: Whether a stage that the budget does not pay for is left out.
    """
    state = Stages(design, observations, limited=limited)
    axes, tuned, stage, wait = tuning(state)
    unfair = unfair_levels(tuned) if wait == "decided" else {}
    sets = score_sets(design, tuned, state.observations.values())
    open_levels = _open_levels(design, sets, unfair, None)
    for look in range(len(design.looks) if wait == "decided" else 0):
        fresh = design.seeds(look)
        active = [
            level
            for level in design.levels
            if look == 0 or level in open_levels or _has(state, tuned, level, fresh[-1])
        ]
        if not active or (limited and _beyond_plan(design, state, tuned, active, fresh)):
            break
        arms = [arm for arm in design.arms if arm[0] in active]
        stage, wait = state.stage(
            f"look-{look + 1}",
            [(arm, axes, setting, seed) for arm in arms for setting in tuned[arm].settings for seed in fresh],
        )
        if wait != "decided":
            break
        open_levels = _open_levels(design, sets, unfair, look)
    if wait == "decided" and open_levels:
        wait = "last look"
    elif wait == "decided" and not claimable(design, unfair) and not design.best:
        wait = "nothing to decide"
    judgements = judge_pairs(design, sets, design.pairs, unfair)
    best = best_set(design, sets, unfair) if design.best else None
    return Progress(tuple(state.steps), stage, wait, tuned, axes, unfair, best, judgements)


def _open_levels(design: Design, sets: ScoreSets, unfair: Unfair, upto: int | None) -> set[str]:
    """The levels that need further seeds after a look (None: before the first)."""
    if design.best:
        present = best_set(design, sets, unfair, -1 if upto is None else upto)
        return set() if present.decided else set(present.levels)
    couples = claimable(design, unfair)
    if upto is not None:
        judged = judge_pairs(design, sets, couples, unfair, upto=upto)
        couples = [couple for couple, own in zip(couples, judged, strict=True) if not own.decided]
    return {level for couple in couples for level in couple}


def _beyond_plan(
    design: Design, state: Stages, tuned: Mapping[Arm, Tuned], active: Sequence[str], fresh: Sequence[int]
) -> bool:
    """Whether a look under `looks: any` is only queued where a person asks for it, and nobody has."""
    return len(fresh) > design.automatic and not any(_has(state, tuned, level, fresh[-1]) for level in active)


def forced_look(design: Design, now: Progress, observations: Iterable[Observation]) -> Stage | None:
    """The next look of every level (that may be the best), also where all is decided or the budget is spent.

    Returns:
        The stage; None after the last planned look.
    """
    state = Stages(design, observations, limited=False)
    for look in range(len(design.looks)):
        wanted = [
            (arm, now.axes, setting, seed)
            for arm in design.arms
            if now.best is None or arm[0] in now.best.levels
            for setting in now.tuned[arm].settings
            for seed in design.seeds(look)
        ]
        stage, _ = state.stage(f"look-{look + 1}", wanted)
        if stage is not None:
            return stage
    return None


def claimable(design: Design, unfair: Mapping[str, object]) -> list[tuple[str, str]]:
    """The pairs about which something may be claimed once there are enough seeds."""
    return [
        couple
        for couple in design.pairs
        if couple not in design.confounded and not unfair.keys() & set(couple)
    ]


def _has(state: Stages, tuned: Mapping[Arm, Tuned], level: str, seed: int) -> bool:
    return any(
        (*arm, choice.setting, seed) in state.observations for arm, choice in tuned.items() if arm[0] == level
    )
