"""From the scores of runs to one effect per seed.

The unit is the seed. d_s is the mean over the other factors' cells of A − B at seed s, signed so that positive
favours A. Pairs over seed × cell are not independent: in simulation they gave 17 to 33 % false positives at a
nominal 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from experiments.comparing.verdicts import AT_LOOKS, Judgement, Method, judge, judge_signs

State = Literal["finished", "failed", "killed", "waiting"]
_LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "rel_err", "_s")


@dataclass(frozen=True)
class Score:
    """One run as a comparison sees it."""

    level: str
    cell: str
    """The other factors' levels as one label. Runs of one cell differ in level and seed alone."""
    seed: int
    value: float | None
    """The metric at the last epoch; None where it is not finite or was never measured."""
    state: State = "finished"
    diverged: bool = False

    @property
    def is_open(self) -> bool:
        """Whether there is no result: the run has not ended, or ended without measuring the metric."""
        return self.state == "waiting" or (
            self.state == "finished" and self.value is None and not self.diverged
        )


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value is better: true for losses, errors and times."""
    return metric.rsplit("/", 1)[-1].endswith(_LOWER_IS_BETTER)


def validation_of(metric: str) -> str:
    """The same measure on validation data. Settings are chosen by it."""
    return "val/" + metric.rsplit("/", 1)[-1]


def chance_level(metric: str, classes: int | None) -> float | None:
    """The score of a diverged run: 1/C for an accuracy over C classes, None for any other metric."""
    return 1.0 / classes if metric.rsplit("/", 1)[-1] == "accuracy" and classes else None


def largest_difference(metric: str) -> float:
    """How far apart two runs can be: 1 for an accuracy, infinitely far for a loss."""
    return 1.0 if metric.rsplit("/", 1)[-1] == "accuracy" else math.inf


@dataclass(frozen=True)
class Paired:
    """The effects of A over B. `effects` and `signs` have one entry per complete seed."""

    a: str
    b: str
    seeds: tuple[int, ...]
    """The complete seeds."""
    effects: tuple[float | None, ...]
    """d_s in the metric's unit; None at a seed at which a loss diverged."""
    signs: tuple[int, ...]
    """1 where A is ahead, −1 where B is, 0 for a tie."""
    incomplete: tuple[int, ...]
    """Seeds with a FAILED or KILLED cell."""
    waiting: tuple[int, ...]
    """Seeds with a cell that has not ended, was never asked for, or never measured the metric."""
    diverged_a: int
    diverged_b: int
    lower: bool
    """Whether a lower metric is better."""
    runs: int
    """Runs of each level among the complete seeds."""
    largest: float
    """The largest effect there can be."""


def pair(
    scores: Iterable[Score],
    a: str,
    b: str,
    *,
    metric: str,
    chance: float | None,
    seeds: Sequence[int] | None = None,
) -> Paired:
    """Pair A with B by seed, over all cells that either of them has.

    Args:
        scores: The runs; those of other levels are ignored.
        a: The first level.
        b: The second level.
        metric: What the scores are of. It decides which direction is better.
        chance: The score of a diverged run; None where the metric is a loss.
        seeds: The seeds to look at, in this order. None: all seeds that there are.

    Returns:
        The effects, and the seeds that have none yet.
    """
    table: dict[tuple[int, str, str], Score] = {}
    for score in scores:
        if score.level in (a, b) and (seeds is None or score.seed in seeds):
            table[score.seed, score.cell, score.level] = score
    cells = sorted({cell for _, cell, _ in table})
    every_seed = list(seeds) if seeds is not None else sorted({seed for seed, _, _ in table})
    complete, effects, signs, incomplete, waiting = [], [], [], [], []
    diverged_a = diverged_b = 0
    for seed in every_seed:
        possible = [(table.get((seed, cell, a)), table.get((seed, cell, b))) for cell in cells]
        if any(
            score is not None and score.state in ("failed", "killed") for both in possible for score in both
        ):
            incomplete.append(seed)
            continue
        couples = [(x, y) for x, y in possible if x is not None and y is not None]
        if not cells or len(couples) < len(cells) or any(x.is_open or y.is_open for x, y in couples):
            waiting.append(seed)
            continue
        diverged_a += sum(x.diverged for x, _ in couples)
        diverged_b += sum(y.diverged for _, y in couples)
        effect, sign = _at_seed(couples, lower=lower_is_better(metric), chance=chance)
        complete.append(seed)
        effects.append(effect)
        signs.append(sign)
    return Paired(
        a=a,
        b=b,
        seeds=tuple(complete),
        effects=tuple(effects),
        signs=tuple(signs),
        incomplete=tuple(incomplete),
        waiting=tuple(waiting),
        diverged_a=diverged_a,
        diverged_b=diverged_b,
        lower=lower_is_better(metric),
        runs=len(complete) * len(cells),
        largest=largest_difference(metric),
    )


def value_of(score: Score, chance: float | None) -> float | None:
    """The score with divergence counted: chance for a diverged accuracy, None for a diverged loss.

    A metric that was never measured is None too, because a number that nobody saw is no result.
    """
    lost = score.diverged or (score.value is not None and not math.isfinite(score.value))
    return chance if lost else score.value


def _at_seed(
    couples: Sequence[tuple[Score, Score]], *, lower: bool, chance: float | None
) -> tuple[float | None, int]:
    """(d_s or None, its sign). Fewer diverged cells win; then the mean over the cells that are finite in both."""
    values = [(value_of(x, chance), value_of(y, chance)) for x, y in couples]
    differences = [(y - x if lower else x - y) for x, y in values if x is not None and y is not None]
    if len(differences) == len(values):
        d = math.fsum(differences) / len(differences)
        return d, (d > 0) - (d < 0)
    lost_a, lost_b = sum(x is None for x, _ in values), sum(y is None for _, y in values)
    if lost_a != lost_b:
        return None, 1 if lost_a < lost_b else -1
    d = math.fsum(differences)
    return None, (d > 0) - (d < 0)


def as_difference(judged: Judgement) -> Judgement:
    """The judgement with its effect as the difference A − B of a metric of which less is better."""

    def negative(value: float | None) -> float | None:
        return None if value is None else -value

    return replace(
        judged, effect=negative(judged.effect), low=negative(judged.high), high=negative(judged.low)
    )


def judge_pair(paired: Paired, *, delta: float, level: float, method: Method = AT_LOOKS) -> Judgement:
    """The verdict from the complete seeds: by the t interval where every effect is finite, else by the sign test.

    Where every run of both levels diverged, nothing is claimed: chance equals chance.

    Args:
        paired: The effects.
        delta: The smallest difference that counts, in the metric's unit, above 0.
        level: The error allowed to this verdict, in (0, 1).
        method: Whether the results are looked at as planned, or at any time.
    """
    finite = [effect for effect in paired.effects if effect is not None]
    if not paired.seeds:
        return Judgement.without_effect(paired.a, paired.b, "undecided", "undecided: no seed is complete yet")
    if paired.diverged_a == paired.diverged_b == paired.runs:
        return Judgement.without_effect(
            paired.a, paired.b, "undecided", "undecided: every run of both diverged", len(paired.seeds)
        )
    if len(finite) == len(paired.effects):
        judged = judge(
            paired.a, paired.b, finite, delta=delta, level=level, largest=paired.largest, method=method
        )
        return as_difference(judged) if paired.lower else judged
    return judge_signs(paired.a, paired.b, paired.signs, delta=delta, level=level, method=method)
