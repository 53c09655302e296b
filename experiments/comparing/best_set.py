"""Which level is the best: the set of levels that may be, shrinking look by look.

A level leaves the set where another one is better than it, by the lower end of their interval (subset selection, Gupta
1965; multiple comparisons with the best, Hsu 1996, *Multiple Comparisons*, ch. 4–5). The true best level i* is lost
only if some other level seems better than it: k − 1 one-sided statements at K looks, each of which may err by
α/(K·(k − 1)). So the best level is in the set at every look with probability 1 − α. The same upper ends bound how far
each level of the set is behind the best, because they bound how far it is behind i*, whichever that is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.comparing.design import Design
from experiments.comparing.judging import ScoreSets, Unfair, judge_over_settings, seeds_reached
from experiments.numbers import short


@dataclass(frozen=True)
class BestSet:
    """The levels that may be the best."""

    levels: tuple[str, ...]
    """In the order of their means, the best first."""
    behind: Mapping[str, float]
    """Level to the most by which it may be behind the best, in the metric's unit; infinite before the first look."""
    seeds: int
    """Fresh seeds of each level of the set."""
    decided: bool
    """Whether one level is left, or all that are left differ from the best by less than δ."""
    text: str


def best_set(design: Design, sets: ScoreSets, unfair: Unfair, upto: int | None = None) -> BestSet:
    """The levels that may be the best, from the looks up to `upto` (counted from 0; None: all that are complete).

    A level whose best setting lies at the edge of what was tuned may be better than it shows. So it stays in the
    set. So do levels that differ from the better one in more than the factor.
    """
    levels = list(design.levels)
    behind = dict.fromkeys(levels, math.inf)
    seeds = 0
    for look in range(len(design.looks) if upto is None else upto + 1):
        pairs = list(itertools.combinations(levels, 2))
        reached = min((seeds_reached(design, sets, a, b, look) for a, b in pairs), default=0)
        if len(levels) < 2 or reached <= seeds:
            break
        seeds = reached
        levels, behind = _shrunk(design, sets, unfair, levels, seeds)
        if not design.anytime and seeds < design.looks[look]:
            break
    near = seeds > 0 and all(behind[level] < design.delta for level in levels)
    decided = len(levels) == 1 or near
    return BestSet(
        tuple(levels),
        {level: behind[level] for level in levels},
        seeds,
        decided,
        _text(design, levels, near, seeds),
    )


def _shrunk(
    design: Design, sets: ScoreSets, unfair: Unfair, levels: Sequence[str], seeds: int
) -> tuple[list[str], dict[str, float]]:
    """(the levels that no other is better than, how far each may be behind the best)."""
    lost: set[str] = set()
    lead: dict[tuple[str, str], float] = {}
    """(level, other) -> the most by which the other may be ahead."""
    ahead = dict.fromkeys(levels, 0)
    for a, b in itertools.combinations(levels, 2):
        judged = judge_over_settings(design, sets, a, b, seeds)
        other = b if judged.a == a else a
        low, high = judged.bounds(design.lower_is_better)
        ahead[judged.a] += 1
        lead[other, judged.a] = math.inf if high is None else high
        lead[judged.a, other] = math.inf if low is None else -low
        by_signs = judged.effect is None and judged.verdict == "better"
        better = (
            by_signs or (low is not None and low > 0) or (low is None and judged.verdict.startswith("better"))
        )
        if better and other not in unfair and not _confounded(design, a, b):
            lost.add(other)
    left = sorted((level for level in levels if level not in lost), key=lambda level: -ahead[level])
    behind = {
        level: max((lead[level, other] for other in left if other != level), default=0.0) for level in left
    }
    return left, {level: max(0.0, most) for level, most in behind.items()}


def _confounded(design: Design, a: str, b: str) -> bool:
    return (a, b) in design.confounded or (b, a) in design.confounded


def _text(design: Design, levels: Sequence[str], near: bool, seeds: int) -> str:
    names = [design.name_of(level) for level in levels]
    number = len(design.levels)
    if seeds == 0:
        return f"undecided: any of the {number} levels may be the best"
    if len(names) == 1:
        return f"{names[0]} is the best of {number}"
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    if near:
        return f"{listed} are the best of {number}: each is within {short(design.delta)} of the best"
    return f"undecided: {len(names)} of {number} may be the best: {listed}"
