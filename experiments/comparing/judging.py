"""The verdicts of a design, from the scores of its fresh runs at the last planned look that they have reached."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from experiments.comparing.design import Arm, Design, Observation
from experiments.comparing.effects import Score, judge_pair, pair
from experiments.comparing.tuning import Setting, Tuned
from experiments.comparing.verdicts import Judgement, classify_bounds, verdict_text

Unfair = Mapping[str, tuple[str, ...]]
"""Level to the edges of the tuned range at which its best setting lies, in words."""
ScoreSets = Mapping[str, tuple[tuple[Score, ...], ...]]
"""Level to its scores on fresh seeds: those at its best setting, then those at the setting tied with it, if any."""


def score_sets(design: Design, tuned: Mapping[Arm, Tuned], observations: Iterable[Observation]) -> ScoreSets:
    """The fresh runs of every level at each setting at which it is compared; empty before the tuning has ended."""
    if not tuned:
        return dict.fromkeys(design.levels, ())
    fresh = set(design.fresh_seeds(design.looks[-1]))
    by_key: dict[tuple[str, tuple[str, ...], Setting], list[Observation]] = {}
    for run in observations:
        if run.seed in fresh:
            by_key.setdefault((run.level, run.cell, run.setting), []).append(run)
    sets = {}
    for level in design.levels:
        arms = [(arm, choice) for arm, choice in tuned.items() if arm[0] == level]
        variants = max(len(choice.settings) for _, choice in arms)
        sets[level] = tuple(
            tuple(
                Score(run.level, " / ".join(run.cell), run.seed, run.value, run.state, run.diverged)
                for arm, choice in arms
                for run in by_key.get((*arm, choice.settings[min(variant, len(choice.settings) - 1)]), ())
            )
            for variant in range(variants)
        )
    return sets


def best_scores(sets: ScoreSets) -> list[Score]:
    """The scores of every level at its best setting."""
    return [score for variants in sets.values() for score in (variants[0] if variants else ())]


def seeds_reached(design: Design, sets: ScoreSets, a: str, b: str, upto: int | None = None) -> int:
    """How many seeds of a pair may be looked at.

    Args:
        design: The design.
        sets: The scores of its fresh runs.
        a: The first level.
        b: The second level.
        upto: The last look to consider, counted from 0; None: all.

    Returns:
        The seeds of the last planned look that is complete; 0 before the first. Where one may look at any time, the
        number of seeds that are complete in their order.
    """
    most = len(design.looks) if upto is None else upto + 1
    sizes = design.looks[:most]
    variants = [*sets[a], *sets[b]]
    if not variants or not sizes:
        return 0
    ended = [Counter(score.seed for score in scores if score.state != "waiting") for scores in variants]
    cells = len(design.cells)
    complete = 0
    for seed in design.fresh_seeds(sizes[-1]):
        if any(own[seed] < cells for own in ended):
            break
        complete += 1
    if design.anytime:
        return complete
    return max((size for size in sizes if size <= complete), default=0)


def judge_pairs(
    design: Design,
    sets: ScoreSets,
    pairs: Iterable[tuple[str, str]],
    unfair: Unfair,
    upto: int | None = None,
) -> tuple[Judgement, ...]:
    """The verdict of each pair at the last planned look that it has completed.

    A decision stands: where that look leaves the pair undecided or incomplete, the last look before it that decided
    counts. The intervals of all planned looks hold at once (Jennison & Turnbull 2000, ch. 9), so each of them may
    be stated. A pair is looked at after its decision only because one of its levels went on for a third level's
    sake, or because somebody asked for the next look.

    Args:
        design: The design.
        sets: The scores of its fresh runs.
        pairs: The pairs of levels to judge.
        unfair: Level to where its best setting lies at an edge of the tuned range, in words.
        upto: The last look to consider, counted from 0; None: all.
    """
    return tuple(_judge(design, sets, a, b, unfair, upto) for a, b in pairs)


def judge_before_results(design: Design) -> tuple[Judgement, ...]:
    """What can be said of each pair before a run has ended: which ones are not attributable."""
    return tuple(
        _not_attributable(design, a, b)
        or Judgement.without_effect(a, b, "undecided", "undecided: no seed is complete yet")
        for a, b in design.pairs
    )


def _judge(design: Design, sets: ScoreSets, a: str, b: str, unfair: Unfair, upto: int | None) -> Judgement:
    last = seeds_reached(design, sets, a, b, upto)
    sizes = (
        range(last, 1, -1) if design.anytime else [size for size in reversed(design.looks) if size <= last]
    )
    judgements = (_judge_at(design, sets, a, b, unfair, size) for size in (*sizes,) or (0,))
    latest = next(judgements)
    return latest if latest.decided else next((past for past in judgements if past.decided), latest)


def _judge_at(design: Design, sets: ScoreSets, a: str, b: str, unfair: Unfair, seeds: int) -> Judgement:
    """The verdict from the first `seeds` fresh seeds."""
    if confounded := _not_attributable(design, a, b, seeds):
        return confounded
    judged = judge_over_settings(design, sets, a, b, seeds)
    if judged.verdict == "incomplete":
        return judged
    edges = [
        f"{design.name_of(level)} is best at {' and '.join(unfair[level])}"
        for level in (a, b)
        if level in unfair
    ]
    if edges:
        text = f"not fairly tuned: {'; '.join(edges)}"
        return replace(judged, verdict="not fairly tuned", text=text, needed=None)
    return judged


def judge_over_settings(design: Design, sets: ScoreSets, a: str, b: str, seeds: int) -> Judgement:
    """The verdict on two levels at their best settings, and at those that tuning could not tell from them.

    Where there are several, the interval spans those of all combinations, and the verdict follows from that span: it
    is claimed only if it holds whichever of the tied settings is the better one, so it errs no more often than one of
    them.
    """
    first = design.fresh_seeds(seeds)
    judged: list[Judgement] = []
    for own, other in itertools.product(sets[a] or ((),), sets[b] or ((),)):
        paired = pair((*own, *other), a, b, metric=design.metric, chance=design.chance, seeds=first)
        if paired.incomplete:
            words = ", ".join(map(str, paired.incomplete))
            text = f"incomplete: a run of seed {words} failed or was cancelled; retry it"
            return Judgement.without_effect(a, b, "incomplete", text, len(paired.seeds))
        judged.append(
            judge_pair(paired, delta=design.delta, level=design.error_at(seeds), method=design.method)
        )
    judged = [_named(design, judgement) for judgement in judged]
    main, *others = judged
    if all((other.a, other.verdict) == (main.a, main.verdict) for other in others):
        return _spanned(main, judged) if others else main
    return _tied(design, main, judged)


def _named(design: Design, judged: Judgement) -> Judgement:
    """With the levels as sentences name them."""
    if not judged.decided:
        return judged
    ahead, behind = design.name_of(judged.a), design.name_of(judged.b)
    least = judged.bounds(design.lower_is_better)[0]
    text = verdict_text(judged.verdict, ahead, behind, design.delta, judged.needed, least)
    return replace(judged, text=text)


def _spanned(main: Judgement, judged: Sequence[Judgement]) -> Judgement:
    """The judgement with the interval that spans all of them, which agree."""
    lows = [judgement.low for judgement in judged if judgement.low is not None]
    highs = [judgement.high for judgement in judged if judgement.high is not None]
    if len(lows) < len(judged) or len(highs) < len(judged):
        return main
    note = (
        f"{main.text} (at each of the settings that tuning could not tell apart)"
        if main.decided
        else main.text
    )
    return replace(main, low=min(lows), high=max(highs), text=note)


def _tied(design: Design, main: Judgement, judged: Sequence[Judgement]) -> Judgement:
    """The judgement where the verdict depends on which of the tied settings is taken."""
    lower = design.lower_is_better
    spans = [judgement.bounds(lower, towards=main.a) for judgement in judged]
    lows, highs = [low for low, _ in spans], [high for _, high in spans]
    if all(low is not None for low in lows) and all(high is not None for high in highs):
        low, high = min(x for x in lows if x is not None), max(x for x in highs if x is not None)
        verdict = classify_bounds(low, high, design.delta)
        ends = (-high, -low) if lower else (low, high)
        if verdict != "undecided":
            ahead, behind = design.name_of(main.a), design.name_of(main.b)
            text = verdict_text(verdict, ahead, behind, design.delta, None, low)
            note = f"{text} (at each of the settings that tuning could not tell apart)"
            return replace(main, verdict=verdict, text=note, low=ends[0], high=ends[1], needed=None)
        main = replace(main, low=ends[0], high=ends[1])
    said = "; or ".join(dict.fromkeys(judgement.text for judgement in judged))
    text = f"tuned within noise: at settings that tuning could not tell apart, {said}"
    return replace(main, verdict="tuned within noise", text=text, needed=None)


def _not_attributable(design: Design, a: str, b: str, seeds: int = 0) -> Judgement | None:
    names = design.confounded.get((a, b)) or design.confounded.get((b, a))
    if not names:
        return None
    text = not_attributable(names, design.about)
    return Judgement.without_effect(a, b, "not attributable", text, seeds)


def not_attributable(names: Sequence[str], factor: str) -> str:
    """The sentence for a pair of levels that differs in more than the factor."""
    verb = "differs" if len(names) == 1 else "differ"
    return f"not attributable: {', '.join(names)} {verb} along with {factor}"
