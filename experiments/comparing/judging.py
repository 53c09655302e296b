"""The verdicts of a question, from the scores of its fresh runs at the last planned look they have reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from experiments.comparing.design import Place, Question, Result
from experiments.comparing.effects import (
    Score,
    judge_pair,
    pair,
)
from experiments.comparing.statistics import Judgement, verdict_text
from experiments.comparing.tuning import Tuned


def scores(question: Question, tuned: Mapping[Place, Tuned], results: Iterable[Result]) -> list[Score]:
    """The fresh runs at each level's best setting, as a comparison takes them."""
    if not tuned:
        return []
    fresh = range(question.first_seed, question.first_seed + question.looks[-1])
    return [
        Score(r.level, " / ".join(r.cell), r.seed, r.value, r.state, r.diverged)
        for r in results
        if r.seed in fresh and (r.level, r.cell) in tuned and tuned[r.level, r.cell].setting == r.setting
    ]


def reached(question: Question, own: Sequence[Score], a: str, b: str, upto: int | None = None) -> int:
    """How many seeds the pair's last complete planned look has; 0 before the first."""
    places = len(question.cells)
    for look in reversed(range(len(question.looks) if upto is None else upto + 1)):
        wanted = set(question.seeds(look))
        there = [s for s in own if s.level in (a, b) and s.seed in wanted and s.state != "waiting"]
        if len(there) == 2 * places * len(wanted):
            return len(wanted)
    return 0


def judge_question(
    question: Question,
    own: Sequence[Score],
    pairs: Iterable[tuple[str, str]],
    unfair: Mapping[str, tuple[str, ...]],
    upto: int | None = None,
) -> tuple[Judgement, ...]:
    """The verdict of each pair at the last planned look it has reached (at most look `upto`, from 0).

    A decision stands: where that look leaves the pair undecided or incomplete, the last look before it that decided
    counts. The intervals of all planned looks hold at once (Jennison & Turnbull 2000, ch. 9), so whatever one of
    them says may be said; a pair is looked at once more only because a level of it went on for a third one's sake,
    or somebody asked for the next look.
    """
    return tuple(_judge_one(question, own, a, b, unfair, upto) for a, b in pairs)


def _judge_one(
    question: Question,
    own: Sequence[Score],
    a: str,
    b: str,
    unfair: Mapping[str, tuple[str, ...]],
    upto: int | None,
) -> Judgement:
    last = reached(question, own, a, b, upto)
    looks = [seeds for seeds in reversed(question.looks) if seeds <= last] or [0]
    found = (_judge_at(question, own, a, b, unfair, seeds) for seeds in looks)
    latest = next(found)
    return latest if latest.decided else next((one for one in found if one.decided), latest)


def _judge_at(
    question: Question,
    own: Sequence[Score],
    a: str,
    b: str,
    unfair: Mapping[str, tuple[str, ...]],
    seeds: int,
) -> Judgement:
    """The verdict from the first so many fresh seeds."""
    names = question.confounded.get((a, b))
    first = tuple(range(question.first_seed, question.first_seed + seeds))
    paired = pair(own, a, b, metric=question.metric, chance=question.chance, seeds=first)
    if names:
        verb = "differs" if len(names) == 1 else "differ"
        text = f"not attributable: {', '.join(names)} {verb} along with {question.about}"
        return Judgement(a, b, "not attributable", text, None, None, None, len(paired.seeds), 0)
    if paired.incomplete:
        words = ", ".join(map(str, paired.incomplete))
        text = f"incomplete: a run of seed {words} failed or was cancelled; retry it"
        return Judgement(a, b, "incomplete", text, None, None, None, len(paired.seeds), 0)
    judged = judge_pair(paired, delta=question.delta, level=question.error)
    if judged.decided:
        ahead, behind = question.named(judged.a), question.named(judged.b)
        judged = replace(
            judged, text=verdict_text(judged.verdict, ahead, behind, question.delta, judged.needed)
        )
    edges = [
        f"{question.named(level)} is best at {' and '.join(unfair[level])}"
        for level in (a, b)
        if level in unfair
    ]
    if edges:
        text = f"not fairly tuned: {'; '.join(edges)}"
        return replace(judged, verdict="not fairly tuned", text=text, needed=None)
    return judged
