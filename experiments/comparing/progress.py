"""A question that goes on by itself: tuning, then look by look until every pair of levels is decided.

Nothing is remembered between steps: `progress` reads the whole state off the runs there are, so that it can
be asked again at any time, by anybody, with the same answer. What is asked for next depends on decided
stages alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.comparing.design import Place, Question, Result
from experiments.comparing.judging import judge_question, scores
from experiments.comparing.stages import Stage, Stages, Step, Wait, tuning, unfair_levels
from experiments.comparing.statistics import Judgement
from experiments.comparing.tuning import TuneAxis, Tuned


@dataclass(frozen=True)
class Progress:
    """Where a question stands."""

    steps: tuple[Step, ...]
    next: Stage | None
    """What is to be queued now; None while something runs, or when it is over."""
    wait: Wait
    """Why nothing is queued, or `running`."""
    tuned: Mapping[Place, Tuned]
    axes: tuple[TuneAxis, ...]
    """As extended."""
    unfair: Mapping[str, tuple[str, ...]]
    """Level -> where its best point still lies at an edge, in words."""
    judgements: tuple[Judgement, ...]
    """Of every pair at the last planned look that it has reached, or at the last that decided it; before the first
    look, undecided with no seed.
    """

    @property
    def over(self) -> bool:
        return self.next is None and self.wait != "running"


def progress(question: Question, results: Iterable[Result], *, limited: bool = True) -> Progress:
    """Where the question stands, from its runs. limited: a stage that the budget does not pay for is not begun."""
    state = Stages(question, results, limited=limited)
    axes, tuned, stage, wait = tuning(state)
    unfair = unfair_levels(tuned) if wait == "decided" else {}
    own = scores(question, tuned, state.results.values())
    open_pairs = claimable(question, unfair)
    for look in range(len(question.looks) if wait == "decided" else 0):
        fresh = question.seeds(look)
        active = [
            level
            for level in question.levels
            if look == 0
            or any(level in couple for couple in open_pairs)
            or _has(state, tuned, level, fresh[-1])
        ]
        if not active:
            break
        places = [place for place in state.places if place[0] in active]
        stage, wait = state.stage(
            f"look-{look + 1}",
            [(place, axes, tuned[place].setting, seed) for place in places for seed in fresh],
        )
        if wait != "decided":
            break
        judged = judge_question(question, own, open_pairs, unfair, upto=look)
        open_pairs = [couple for couple, one in zip(open_pairs, judged, strict=True) if not one.decided]
    if wait == "decided" and open_pairs:
        wait = "last look"
    elif wait == "decided" and not claimable(question, unfair):
        wait = "nothing to decide"
    judgements = judge_question(question, own, question.pairs, unfair)
    return Progress(tuple(state.steps), stage, wait, tuned, axes, unfair, judgements)


def forced_look(question: Question, now: Progress, results: Iterable[Result]) -> Stage | None:
    """The next planned look of every level, also where all is decided already or the budget is spent; None after the
    last one.
    """
    state = Stages(question, results, limited=False)
    for look in range(len(question.looks)):
        wanted = [
            (place, now.axes, now.tuned[place].setting, seed)
            for place in state.places
            for seed in question.seeds(look)
        ]
        stage, _ = state.stage(f"look-{look + 1}", wanted)
        if stage is not None:
            return stage
    return None


def claimable(question: Question, unfair: Mapping[str, object]) -> list[tuple[str, str]]:
    """The pairs about which something may be claimed once there are seeds enough."""
    return [
        couple
        for couple in question.pairs
        if couple not in question.confounded and not unfair.keys() & set(couple)
    ]


def _has(state: Stages, tuned: Mapping[Place, Tuned], level: str, seed: int) -> bool:
    return any(
        (*place, one.setting, seed) in state.results for place, one in tuned.items() if place[0] == level
    )
