"""The answer of a design in a few words: every pair where there are few, else how the leading level stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from experiments.comparing.design import Design
from experiments.comparing.progress import Progress
from experiments.comparing.verdicts import Judgement

NO_ANSWER = "no answer yet"
MOST_PAIRS = 3
"""Up to so many pairs of levels get a sentence each."""
UNDECIDED = "undecided against"
_WITHOUT_LEVELS = frozenset(
    {"undecided", "incomplete", "not attributable", "not fairly tuned", "tuned within noise"}
)
"""Verdicts whose sentence does not name the levels."""


def headline(design: Design, progress: Progress) -> str:
    """The present answer in one line."""
    return "; ".join(answers(design, progress))


def answers(design: Design, progress: Progress) -> list[str]:
    """The present answer, a sentence for every pair of levels or, where there are many, for the leading level."""
    judgements = progress.judgements
    if not any(judgement.seeds for judgement in judgements) and not design.confounded:
        if progress.wait == "incomplete":
            return ["incomplete: a tuning run failed or was cancelled; retry it"]
        step = progress.steps[-1] if progress.steps else None
        return [no_answer(step.name, step.ended, step.n_runs) if step else NO_ANSWER]
    if progress.best is not None:
        return [progress.best.text]
    if len(judgements) <= MOST_PAIRS:
        return [sentence(design, judgement) for judgement in judgements]
    if design.control is not None:
        return _against(design, design.control, judgements)
    return _leading(design, judgements)


def no_answer(stage: str, ended: int, runs: int) -> str:
    return f"{NO_ANSWER} ({stage}: {ended} of {runs} runs)"


def sentence(design: Design, judgement: Judgement) -> str:
    """A verdict with the names of its levels."""
    if judgement.verdict not in _WITHOUT_LEVELS:
        return judgement.text
    return f"{design.name_of(judgement.a)} and {design.name_of(judgement.b)} {judgement.text}"


def _leading(design: Design, judgements: Sequence[Judgement]) -> list[str]:
    """How the level that is better than most others stands against each of them."""
    wins = dict.fromkeys(design.levels, 0)
    ahead = dict.fromkeys(design.levels, 0)
    for judgement in judgements:
        wins[judgement.a] += judgement.verdict.startswith("better")
        ahead[judgement.a] += judgement.favours == judgement.a
    leader = max(design.levels, key=lambda level: (wins[level], ahead[level]))
    return _against(
        design, leader, [judgement for judgement in judgements if leader in (judgement.a, judgement.b)]
    )


def _against(design: Design, level: str, judgements: Iterable[Judgement]) -> list[str]:
    """A level against each of the others, grouped by what may be said."""
    groups: dict[str, list[str]] = {"better than": [], "worse than": [], "equivalent to": [], UNDECIDED: []}
    for judgement in judgements:
        other = design.name_of(judgement.b if judgement.a == level else judgement.a)
        if judgement.verdict.startswith("better"):
            groups["better than" if judgement.a == level else "worse than"].append(other)
        elif judgement.verdict == "equivalent within δ":
            groups["equivalent to"].append(other)
        else:
            groups[UNDECIDED].append(other)
    name, number = design.name_of(level), len(design.levels) - 1
    said: list[str] = []
    for words, others in groups.items():
        if others:
            which = "" if said else f" of the {number} others"
            said.append(f"{words} {len(others)}{which} ({', '.join(others)})")
    return [f"{name} {', '.join(said)}"]
