"""How sure a comparison of two choices may be: intervals over seeds, and the verdict that follows from them.

All of it is arithmetic on one number per seed, d_s = the mean of A − B over the other factors' cells at
seed s, signed so that positive favours A (`experiments.comparing.effects` computes it). The intervals are repeated
confidence intervals (Jennison & Turnbull 2000, *Group Sequential Methods*, ch. 9) in their simplest form:
Student's t at level 1 − α/(K·m) for K planned looks and m pairs of levels, so that all of them hold at once
with probability 1 − α, whichever planned look one stops at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from mpmath import mp  # a 30th of scipy's size, and the API needs no more of it than two quantiles

DEFAULT_LOOKS = (5, 10, 20, 40)
DEFAULT_ALPHA = 0.05
MOST_SEEDS = 1_000_000
"""Where a needed number of seeds is no longer worth a figure."""

Verdict = Literal[
    "better",
    "better, but by less than δ",
    "equivalent within δ",
    "undecided",
    "incomplete",
    "not attributable",
    "not fairly tuned",
]
DECIDED: frozenset[str] = frozenset({"better", "better, but by less than δ", "equivalent within δ"})


@dataclass(frozen=True)
class Interval:
    """A repeated confidence interval of the mean effect over `seeds` seeds, in the metric's unit."""

    mean: float
    low: float
    high: float
    sd: float
    """Standard deviation of d_s (n − 1 in the denominator); NaN for one seed."""
    seeds: int
    level: float
    """The error allowed to this one interval, α/(K·m)."""


def share_of_error(alpha: float, looks: int, pairs: int) -> float:
    """α/(K·m): what each of K looks at each of m pairs may err, so that all together err at most α
    (Bonferroni).
    """
    if not 0 < alpha < 1 or looks < 1 or pairs < 1:
        raise ValueError(f"alpha in (0, 1), looks and pairs of at least 1; got {alpha}, {looks}, {pairs}")
    return alpha / (looks * pairs)


@cache
def t_quantile(level: float, seeds: int) -> float:
    """The two-sided t quantile: P(|T| ≤ t) = 1 − level at seeds − 1 degrees of freedom. Infinite for one
    seed.
    """
    if seeds < 2:
        return math.inf
    freedom = seeds - 1

    def beyond(t: float) -> float:  # P(|T| > t); Abramowitz & Stegun 26.7.1
        return float(mp.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True))

    return _where(beyond, level)


def _where(beyond: Callable[[float], float], probability: float, near: float = 1.0) -> float:
    """The x > 0 with beyond(x) = probability, for a function that falls from 1 to 0. Looked for from `near` on, in
    logarithms, in which a tail is nearly straight."""

    def off(u: float) -> float:
        return math.log(max(beyond(math.exp(u)), 1e-300) / probability)

    high = math.log(near)
    while off(high) > 0.0:
        high += 0.5
    low = high - 0.5
    while off(low) < 0.0:
        low -= 0.5
    return math.exp(
        float(mp.findroot(off, (low, low + 0.5), solver="anderson", tol=1e-14, maxsteps=200, verify=False))
    )


def repeated_interval(effects: Sequence[float], level: float) -> Interval:
    """mean ± t·s/√n of the effects per seed; infinitely wide for a single seed.

    Raises:
        ValueError: without an effect, or with one that is not finite (those go to `sign_test`).
    """
    d = np.asarray(effects, dtype=np.float64)  # (seeds,)
    n = d.size
    if n == 0 or not np.all(np.isfinite(d)):
        raise ValueError(f"needs at least one effect, all of them finite; got {list(effects)}")
    mean = float(d.mean())
    if n == 1:
        return Interval(mean, -math.inf, math.inf, math.nan, 1, level)
    sd = float(d.std(ddof=1))
    if sd <= 1e-12 * max(1e-300, float(np.abs(d).max())):
        sd = 0.0  # the same difference at every seed, but for rounding
    half = t_quantile(level, n) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, sd, n, level)


def upper_sd(sd: float, seeds: int, confidence: float = 0.8) -> float:
    """The upper confidence bound of a standard deviation: s·√((n − 1)/χ²), χ² the (1 − confidence)
    quantile.
    """
    if seeds < 2:
        return math.inf
    return sd * math.sqrt((seeds - 1) / _chi_square(seeds - 1, confidence))


@cache
def _chi_square(freedom: int, above: float) -> float:
    """What χ² of so many degrees of freedom exceeds with probability `above`."""

    def beyond(x: float) -> float:  # Abramowitz & Stegun 26.4.19
        return float(mp.gammainc(freedom / 2, x / 2, regularized=True))

    return _where(beyond, above, near=freedom)


def seeds_needed(sd: float, seeds: int, delta: float, level: float) -> int | None:
    """About how many seeds in all decide the question: the least N with N ≥ (2·t·s_u/δ)², t taken at N seeds.

    At that N the interval is at most δ wide, so it lies above 0, below 0, or inside (−δ, δ).
    None where the figure would exceed a million, or one seed says nothing about the spread.
    """
    bound = upper_sd(sd, seeds)
    if not math.isfinite(bound) or delta <= 0:
        return None

    def enough(n: int) -> bool:
        return n >= (2.0 * t_quantile(level, n) * bound / delta) ** 2

    low, high = seeds, seeds + 1
    while not enough(high):
        low, high = high, 2 * high
        if high > 2 * MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= MOST_SEEDS else None


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p value of `wins` against `losses` under a fair coin; ties are left out before."""
    n = wins + losses
    if n == 0:
        return 1.0
    k = np.arange(min(wins, losses), 0, -1)  # C(n, k−1) / C(n, k) = k / (n − k + 1)
    at = math.exp(
        math.lgamma(n + 1) - math.lgamma(k.size + 1) - math.lgamma(n - k.size + 1) - n * math.log(2)
    )
    return min(1.0, 2.0 * at * (1.0 + float(np.cumprod(k / (n - k + 1)).sum())))


def sign_test_seeds(wins: int, losses: int, ties: int, level: float) -> int | None:
    """The least number of seeds at which the sign test would decide if shares of wins and ties stay as they
    are.
    """
    n = wins + losses + ties
    if n == 0 or wins == losses:
        return None
    for total in range(n + 1, 10_000):
        won, lost = round(total * wins / n), round(total * losses / n)
        if won != lost and sign_test(won, lost) <= level:
            return total
    return None


def equal_seeds_needed(effect: float, delta: float, largest: float, level: float) -> int | None:
    """How many seeds that all give the difference `effect` rule out a mean of `delta` or more, at this level.

    The mean may lie elsewhere because a share p of seeds, not seen yet, gives another difference: of `largest` at
    most, so that |mean| ≤ (1 − p)·effect + p·largest. It reaches δ only where p ≥ (δ − effect) / (largest − effect),
    and then n equal seeds have a probability of at most (1 − p)ⁿ, which may be level/2, as on either side of a t
    interval. So n = ⌈ln(level/2) / ln(1 − p)⌉: the exact binomial bound for no event in n trials (Clopper & Pearson
    1934). A spread that was not seen is not a spread of 0: where one seed in ten fails on XOR, five equal ones are
    no rarity.

    effect: not negative. largest: 1 for an accuracy; infinite where nothing bounds a difference, as in a loss.
    None where the figure would exceed a million.
    """
    if effect >= delta:
        return None
    if largest <= delta:
        return 1
    share = (delta - effect) / (largest - effect)
    if share == 0.0 or (needed := math.ceil(math.log(level / 2) / math.log1p(-share))) > MOST_SEEDS:
        return None
    return needed


@dataclass(frozen=True)
class Judgement:
    """What may be said of one pair of levels; `a` is the level ahead, so `effect` is never negative."""

    a: str
    b: str
    verdict: Verdict
    text: str
    effect: float | None
    """Mean of A − B, positive in favour of A; None where only signs can be compared."""
    low: float | None
    high: float | None
    seeds: int
    won: int
    """Seeds in which A was strictly ahead."""
    needed: int | None = None
    """About how many seeds in all would decide it, where it is undecided."""
    p: float | None = None
    """The sign test's p value, where that decided instead of the interval."""

    @property
    def decided(self) -> bool:
        return self.verdict in DECIDED


def number(value: float) -> str:
    """At most three significant digits, for sentences."""
    return f"{value:.3g}"


def verdict_text(verdict: Verdict, a: str, b: str, delta: float, needed: int | None) -> str:
    """The verdict's sentence, in the words of the contract."""
    if verdict == "better":
        return f"{a} better than {b}"
    if verdict == "better, but by less than δ":
        return f"{a} better than {b}, but by less than {number(delta)}"
    if verdict == "equivalent within δ":
        return f"{a} and {b} equivalent within {number(delta)}"
    if verdict == "undecided":
        return (
            f"undecided: about {needed} seeds in all" if needed else "undecided: no number of seeds in sight"
        )
    return verdict


def classify(interval: Interval, delta: float) -> Verdict:
    """The verdict from the interval alone, for a mean that is not negative."""
    if interval.low > 0 and interval.high < delta:
        return "better, but by less than δ"
    if interval.low > 0:
        return "better"
    if -delta < interval.low and interval.high < delta:
        return "equivalent within δ"
    return "undecided"


def judge(
    a: str, b: str, effects: Sequence[float], *, delta: float, level: float, largest: float = math.inf
) -> Judgement:
    """The verdict on A and B from the effects per seed, all finite. largest: what a difference can be at most.

    Where every seed gives exactly the same difference there is no spread and so no t interval. The sign test over
    seeds then says whether A may be called better, and `equal_seeds_needed` whether the mean may be called less
    than δ.
    """
    if delta <= 0:
        raise ValueError(f"delta must be positive, got {delta}")
    d = np.asarray(effects, dtype=np.float64)
    if d.size and d.mean() < 0:
        a, b, d = b, a, -d
    interval = repeated_interval([float(x) for x in d], level)
    won, lost = int((d > 0).sum()), int((d < 0).sum())
    low: float | None = interval.low
    high: float | None = interval.high
    p = needed = None
    if interval.sd == 0.0:
        low = high = None
        p = sign_test(won, lost)
        verdict, needed = _classify_equal(interval, delta, largest, p)
    else:
        verdict = classify(interval, delta)
        if verdict == "undecided":
            needed = seeds_needed(interval.sd, interval.seeds, delta, level)
    return Judgement(
        a=a,
        b=b,
        verdict=verdict,
        text=verdict_text(verdict, a, b, delta, needed),
        effect=interval.mean,
        low=low,
        high=high,
        seeds=interval.seeds,
        won=won,
        needed=needed,
        p=p,
    )


def _classify_equal(interval: Interval, delta: float, largest: float, p: float) -> tuple[Verdict, int | None]:
    """(the verdict where all seeds gave one difference, about how many seeds would decide it)."""
    wanted = equal_seeds_needed(interval.mean, delta, largest, interval.level)
    small = wanted is not None and interval.seeds >= wanted
    if p <= interval.level:
        return ("better, but by less than δ" if small else "better"), None
    if small:
        return "equivalent within δ", None
    ahead = sign_test_seeds(interval.seeds, 0, 0, interval.level) if interval.mean > 0 else None
    return "undecided", min((n for n in (wanted, ahead) if n is not None), default=None)


def judge_signs(a: str, b: str, signs: Sequence[int], *, delta: float, level: float) -> Judgement:
    """The verdict where a loss diverged somewhere: signs per seed (1 A ahead, −1 B ahead, 0 a tie) and no
    mean effect.
    """
    wins, losses = sum(s > 0 for s in signs), sum(s < 0 for s in signs)
    if losses > wins:
        a, b, wins, losses = b, a, losses, wins
    p = sign_test(wins, losses)
    verdict: Verdict = "better" if p <= level else "undecided"
    ties = len(signs) - wins - losses
    needed = None if verdict == "better" else sign_test_seeds(wins, losses, ties, level)
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
        needed=needed,
        p=p,
    )
