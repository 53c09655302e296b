"""The verdict on one pair of levels, from its interval alone, and the sentence that states it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

import numpy as np

from experiments.comparing.sign_tests import (
    equal_seeds_needed,
    sequential_sign_test,
    sign_test,
    sign_test_seeds,
)
from experiments.comparing.statistics import (
    Interval,
    Width,
    half_width,
    half_width_of_sequence,
    half_width_over_splits,
    repeated_interval,
    seeds_needed,
)
from experiments.numbers import short

Verdict = Literal[
    "better",
    "better, but by less than δ",
    "equivalent within δ",
    "undecided",
    "incomplete",
    "not attributable",
    "not fairly tuned",
    "tuned within noise",
]
DECIDED: frozenset[str] = frozenset({"better", "better, but by less than δ", "equivalent within δ"})


@dataclass(frozen=True)
class Judgement:
    """What may be said of one pair of levels. `a` is the level ahead."""

    a: str
    b: str
    verdict: Verdict
    text: str
    effect: float | None
    """Mean of A − B in the metric's unit, so it is negative where a lower metric is better. None where only signs can
    be compared.
    """
    low: float | None
    high: float | None
    seeds: int
    won: int
    """Seeds in which A was strictly ahead."""
    favours: str | None = None
    """The level that the effect favours; None where there is no effect."""
    needed: int | None = None
    """About how many seeds in all would decide it, where it is undecided."""
    p: float | None = None
    """The sign test's p value, where that decided instead of the interval."""

    @classmethod
    def without_effect(cls, a: str, b: str, verdict: Verdict, text: str, seeds: int = 0) -> Self:
        """A judgement that rests on no effect."""
        return cls(a, b, verdict, text, None, None, None, seeds, 0)

    @property
    def decided(self) -> bool:
        return self.verdict in DECIDED

    def bounds(self, lower: bool, towards: str | None = None) -> tuple[float | None, float | None]:
        """The least and the most by which `towards` may be ahead; without it, the level that is ahead.

        lower: whether a lower metric is better.
        """
        low, high = self.low, self.high
        turned = lower != (towards not in (None, self.a))
        if turned:
            low, high = (None if high is None else -high), (None if low is None else -low)
        return low, high


def verdict_text(
    verdict: Verdict, a: str, b: str, delta: float, needed: int | None, least: float | None = None
) -> str:
    """The sentence of a verdict, in the words of the contract.

    Args:
        verdict: The verdict.
        a: The level ahead.
        b: The other level.
        delta: The smallest difference that counts.
        needed: About how many seeds in all would decide it; None where that is not known.
        least: The least difference in favour of A that the interval allows; None where there is no interval.
    """
    if verdict == "better" and least is not None and least < delta:
        return f"{a} better than {b}; whether by {short(delta)} or more is open"
    if verdict == "better":
        return f"{a} better than {b}"
    if verdict == "better, but by less than δ":
        return f"{a} better than {b}, but by less than {short(delta)}"
    if verdict == "equivalent within δ":
        return f"{a} and {b} equivalent within {short(delta)}"
    if verdict == "undecided":
        return (
            f"undecided: about {needed} seeds in all" if needed else "undecided: no number of seeds in sight"
        )
    return verdict


def classify_bounds(low: float, high: float, delta: float) -> Verdict:
    """The verdict that an interval of A's lead gives."""
    if low > 0 and high < delta:
        return "better, but by less than δ"
    if low > 0:
        return "better"
    if -delta < low and high < delta:
        return "equivalent within δ"
    return "undecided"


@dataclass(frozen=True)
class Method:
    """How intervals and signs are judged."""

    width: Width
    signs: Callable[[int, int], float]
    independent: bool = True
    """Whether the seeds' effects are."""


AT_LOOKS = Method(half_width, sign_test)
"""Student's interval and the exact sign test: each look has its share of the error."""


def over_splits(test_share: float) -> Method:
    """Student's interval with the variance corrected for training parts that overlap.

    Signs and equal effects decide nothing then: the seeds are not independent. test_share: n_test / n_train.
    """
    return Method(
        partial(half_width_over_splits, test_share=test_share), lambda wins, losses: 1.0, independent=False
    )


ANYTIME = Method(half_width_of_sequence, sequential_sign_test)
"""A confidence sequence and a sequential sign test: one may look after every seed."""


def judge(
    a: str,
    b: str,
    effects: Sequence[float],
    *,
    delta: float,
    level: float,
    largest: float = math.inf,
    method: Method = AT_LOOKS,
) -> Judgement:
    """The verdict on A and B from finite effects, with the effect and its interval in favour of the level ahead.

    Where every seed gives exactly the same difference there is no spread and so no t interval. The sign test over
    seeds then says whether A may be called better, and `equal_seeds_needed` whether the mean may be called less
    than δ.

    Args:
        a: The first level.
        b: The second level.
        effects: One per seed, in the metric's unit, positive in favour of A.
        delta: The smallest difference that counts, above 0.
        level: The error allowed to this verdict, in (0, 1).
        largest: The largest difference there can be.
        method: Whether the results are looked at as planned, or at any time.

    Raises:
        ValueError: delta is not positive, or an effect is missing or not finite.
    """
    if delta <= 0:
        raise ValueError(f"delta must be positive, got {delta}")
    d = np.asarray(effects, dtype=np.float64)
    if d.size and d.mean() < 0:
        a, b, d = b, a, -d
    interval = repeated_interval([float(x) for x in d], level, method.width)
    won, lost = int((d > 0).sum()), int((d < 0).sum())
    low: float | None = interval.low
    high: float | None = interval.high
    p = needed = None
    if interval.sd == 0.0:
        low = high = None
        p = method.signs(won, lost)
        verdict, needed = _classify_equal(interval, delta, largest, p, method)
    else:
        verdict = classify_bounds(interval.low, interval.high, delta)
        if verdict == "undecided":
            needed = seeds_needed(interval.sd, interval.seeds, delta, level, method.width)
    return Judgement(
        a=a,
        b=b,
        verdict=verdict,
        text=verdict_text(verdict, a, b, delta, needed, least=low),
        effect=interval.mean,
        low=low,
        high=high,
        seeds=interval.seeds,
        won=won,
        favours=a if interval.mean > 0 else None,
        needed=needed,
        p=p,
    )


def _classify_equal(
    interval: Interval, delta: float, largest: float, p: float, method: Method
) -> tuple[Verdict, int | None]:
    """(the verdict where all seeds gave one difference, about how many seeds would decide it)."""
    if not method.independent:
        return "undecided", None
    wanted = equal_seeds_needed(interval.mean, delta, largest, interval.level)
    small = wanted is not None and interval.seeds >= wanted
    if p <= interval.level:
        return ("better, but by less than δ" if small else "better"), None
    if small:
        return "equivalent within δ", None
    ahead = sign_test_seeds(interval.seeds, 0, 0, interval.level, method.signs) if interval.mean > 0 else None
    return "undecided", min((n for n in (wanted, ahead) if n is not None), default=None)


def judge_signs(
    a: str, b: str, signs: Sequence[int], *, delta: float, level: float, method: Method = AT_LOOKS
) -> Judgement:
    """The verdict by the sign test, where a loss diverged somewhere and there is no mean effect.

    Args:
        a: The first level.
        b: The second level.
        signs: One per seed: 1 where A is ahead, −1 where B is, 0 for a tie.
        delta: The smallest difference that counts; only the sentence uses it.
        level: The error allowed to this verdict, in (0, 1).
        method: Whether the results are looked at as planned, or at any time.
    """
    wins, losses = sum(sign > 0 for sign in signs), sum(sign < 0 for sign in signs)
    if losses > wins:
        a, b, wins, losses = b, a, losses, wins
    p = method.signs(wins, losses)
    verdict: Verdict = "better" if p <= level else "undecided"
    ties = len(signs) - wins - losses
    needed = None if verdict == "better" else sign_test_seeds(wins, losses, ties, level, method.signs)
    return Judgement(
        a=a,
        b=b,
        verdict=verdict,
        text=verdict_text(verdict, a, b, delta, needed),
        effect=None,
        low=None,
        high=None,
        seeds=len(signs),
        won=wins,
        favours=a if wins > losses else None,
        needed=needed,
        p=p,
    )
