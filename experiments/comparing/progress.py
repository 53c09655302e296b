"""The progress of a design: tuning, then look by look until every pair of levels is decided.

Nothing is remembered between steps. `progress` reads the whole state from the runs that exist, so anybody may ask at
any time and gets the same answer. Which stage comes next depends on finished stages alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.comparing.design import Arm, Design, Observation
from experiments.comparing.judging import judge_before_results, judge_pairs, scores
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
    return Progress((step,), stage, "running", {}, design.axes, {}, judge_before_results(design))


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
    own = scores(design, tuned, state.observations.values())
    open_pairs = claimable(design, unfair)
    for look in range(len(design.looks) if wait == "decided" else 0):
        fresh = design.seeds(look)
        active = [
            level
            for level in design.levels
            if look == 0
            or any(level in couple for couple in open_pairs)
            or _has(state, tuned, level, fresh[-1])
        ]
        if not active:
            break
        arms = [arm for arm in design.arms if arm[0] in active]
        stage, wait = state.stage(
            f"look-{look + 1}", [(arm, axes, tuned[arm].setting, seed) for arm in arms for seed in fresh]
        )
        if wait != "decided":
            break
        judged = judge_pairs(design, own, open_pairs, unfair, upto=look)
        open_pairs = [
            couple for couple, judgement in zip(open_pairs, judged, strict=True) if not judgement.decided
        ]
    if wait == "decided" and open_pairs:
        wait = "last look"
    elif wait == "decided" and not claimable(design, unfair):
        wait = "nothing to decide"
    judgements = judge_pairs(design, own, design.pairs, unfair)
    return Progress(tuple(state.steps), stage, wait, tuned, axes, unfair, judgements)


def forced_look(design: Design, now: Progress, observations: Iterable[Observation]) -> Stage | None:
    """The next planned look of every level, also where all is decided already or the budget is spent.

    Returns:
        The stage; None after the last planned look.
    """
    state = Stages(design, observations, limited=False)
    for look in range(len(design.looks)):
        wanted = [
            (arm, now.axes, now.tuned[arm].setting, seed)
            for arm in design.arms
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
