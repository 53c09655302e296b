"""The verdicts of a design, from the scores of its fresh runs at the last planned look that they have reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from experiments.comparing.design import Arm, Design, Observation
from experiments.comparing.effects import Score, judge_pair, pair
from experiments.comparing.tuning import Tuned
from experiments.comparing.verdicts import Judgement, verdict_text


def scores(design: Design, tuned: Mapping[Arm, Tuned], observations: Iterable[Observation]) -> list[Score]:
    """The fresh runs at each arm's best setting, as a comparison takes them; empty before the tuning has ended."""
    if not tuned:
        return []
    fresh = set(design.fresh_seeds(design.looks[-1]))
    return [
        Score(run.level, " / ".join(run.cell), run.seed, run.value, run.state, run.diverged)
        for run in observations
        if run.seed in fresh
        and (run.level, run.cell) in tuned
        and tuned[run.level, run.cell].setting == run.setting
    ]


def seeds_reached(design: Design, own: Sequence[Score], a: str, b: str, upto: int | None = None) -> int:
    """The seeds of the last planned look that a pair has completed.

    Args:
        design: The design.
        own: The scores of its fresh runs.
        a: The first level.
        b: The second level.
        upto: The last look to consider, counted from 0; None: all.

    Returns:
        The look's number of seeds; 0 before the first look is complete.
    """
    for look in reversed(range(len(design.looks) if upto is None else upto + 1)):
        wanted = set(design.seeds(look))
        ended = [s for s in own if s.level in (a, b) and s.seed in wanted and s.state != "waiting"]
        if len(ended) == 2 * len(design.cells) * len(wanted):
            return len(wanted)
    return 0


def judge_pairs(
    design: Design,
    own: Sequence[Score],
    pairs: Iterable[tuple[str, str]],
    unfair: Mapping[str, tuple[str, ...]],
    upto: int | None = None,
) -> tuple[Judgement, ...]:
    """The verdict of each pair at the last planned look that it has completed.

    A decision stands: where that look leaves the pair undecided or incomplete, the last look before it that decided
    counts. The intervals of all planned looks hold at once (Jennison & Turnbull 2000, ch. 9), so each of them may
    be stated. A pair is looked at after its decision only because one of its levels went on for a third level's
    sake, or because somebody asked for the next look.

    Args:
        design: The design.
        own: The scores of its fresh runs.
        pairs: The pairs of levels to judge.
        unfair: Level to where its best setting lies at an edge of the tuned range, in words.
        upto: The last look to consider, counted from 0; None: all.
    """
    return tuple(_judge(design, own, a, b, unfair, upto) for a, b in pairs)


def judge_before_results(design: Design) -> tuple[Judgement, ...]:
    """What can be said of each pair before a run has ended: which ones are not attributable."""
    return tuple(
        _not_attributable(design, a, b)
        or Judgement.without_effect(a, b, "undecided", "undecided: no seed is complete yet")
        for a, b in design.pairs
    )


def _judge(
    design: Design,
    own: Sequence[Score],
    a: str,
    b: str,
    unfair: Mapping[str, tuple[str, ...]],
    upto: int | None,
) -> Judgement:
    last = seeds_reached(design, own, a, b, upto)
    looks = [seeds for seeds in reversed(design.looks) if seeds <= last] or [0]
    judgements = (_judge_at(design, own, a, b, unfair, seeds) for seeds in looks)
    latest = next(judgements)
    return latest if latest.decided else next((past for past in judgements if past.decided), latest)


def _judge_at(
    design: Design,
    own: Sequence[Score],
    a: str,
    b: str,
    unfair: Mapping[str, tuple[str, ...]],
    seeds: int,
) -> Judgement:
    """The verdict from the first `seeds` fresh seeds."""
    paired = pair(own, a, b, metric=design.metric, chance=design.chance, seeds=design.fresh_seeds(seeds))
    if confounded := _not_attributable(design, a, b, len(paired.seeds)):
        return confounded
    if paired.incomplete:
        text = f"incomplete: a run of seed {', '.join(map(str, paired.incomplete))} failed or was cancelled; retry it"
        return Judgement.without_effect(a, b, "incomplete", text, len(paired.seeds))
    judged = judge_pair(paired, delta=design.delta, level=design.error)
    if judged.decided:
        ahead, behind = design.name_of(judged.a), design.name_of(judged.b)
        least = judged.low
        if design.lower_is_better and judged.high is not None:
            least = -judged.high
        text = verdict_text(judged.verdict, ahead, behind, design.delta, judged.needed, least)
        judged = replace(judged, text=text)
    edges = [
        f"{design.name_of(level)} is best at {' and '.join(unfair[level])}"
        for level in (a, b)
        if level in unfair
    ]
    if edges:
        text = f"not fairly tuned: {'; '.join(edges)}"
        return replace(judged, verdict="not fairly tuned", text=text, needed=None)
    return judged


def _not_attributable(design: Design, a: str, b: str, seeds: int = 0) -> Judgement | None:
    names = design.confounded.get((a, b))
    if not names:
        return None
    text = not_attributable(names, design.about)
    return Judgement.without_effect(a, b, "not attributable", text, seeds)


def not_attributable(names: Sequence[str], factor: str) -> str:
    """The sentence for a pair of levels that differs in more than the factor."""
    verb = "differs" if len(names) == 1 else "differ"
    return f"not attributable: {', '.join(names)} {verb} along with {factor}"
