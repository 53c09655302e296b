"""Intervals and tests on one number per seed: quantiles, repeated confidence intervals, sign tests, numbers of seeds.

The number is d_s, the mean of A − B over the other factors' cells at seed s (`experiments.comparing.effects`). The
intervals are repeated confidence intervals (Jennison & Turnbull 2000, *Group Sequential Methods*, ch. 9) in their
simplest form: Student's t at level 1 − α/(K·m) for K planned looks and m pairs of levels. All of them hold at once
with probability 1 − α, whichever planned look is the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from mpmath import mp  # a 30th of scipy's size, and the API needs two quantiles only

MOST_SEEDS = 1_000_000
"""A needed number of seeds above this is not stated."""


Width = Callable[[float, int, float], float]
"""Half the width of an interval, from standard deviation, number of seeds and error."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval of the mean effect over `seeds` seeds, in the metric's unit."""

    mean: float
    low: float
    high: float
    sd: float
    """Standard deviation of d_s with n − 1 in the denominator; NaN for one seed."""
    seeds: int
    level: float
    """The error allowed to this interval, α/(K·m)."""


def share_of_error(alpha: float, looks: int, pairs: int) -> float:
    """α/(K·m), the error allowed to each of K looks at each of m pairs, so that together they err at most α
    (Bonferroni).

    Args:
        alpha: The error over all, in (0, 1).
        looks: K, at least 1.
        pairs: m, at least 1.

    Raises:
        ValueError: An argument is out of range.
    """
    if not 0 < alpha < 1 or looks < 1 or pairs < 1:
        raise ValueError(f"alpha in (0, 1), looks and pairs of at least 1; got {alpha}, {looks}, {pairs}")
    return alpha / (looks * pairs)


@cache
def t_quantile(level: float, seeds: int) -> float:
    """Student's two-sided t quantile: P(|T| ≤ t) = 1 − level at seeds − 1 degrees of freedom.

    Args:
        level: The error, in (0, 1).
        seeds: The number of effects, at least 1.

    Returns:
        t; infinite for one seed.
    """
    if seeds < 2:
        return math.inf
    freedom = seeds - 1

    def beyond(t: float) -> float:  # P(|T| > t); Abramowitz & Stegun 26.7.1
        return float(mp.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True))

    # Newton's method on log P over log t, from the expansion of A & S 26.7.5.
    z = NormalDist().inv_cdf(1 - level / 2)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    for _ in range(20):
        above = beyond(t)
        density = math.exp(scale - (freedom + 1) / 2 * math.log1p(t * t / freedom))
        if min(above, density) <= 0:
            break
        step = math.log(above / level) * above / (2 * density * t)
        t *= math.exp(max(-1.0, min(1.0, step)))
        if abs(step) < 1e-7:  # the method's error is squared by every step
            return t
    return _solve(beyond, level)


def _solve(beyond: Callable[[float], float], probability: float, near: float = 1.0) -> float:
    """The x > 0 with beyond(x) = probability, for a function that falls from 1 to 0.

    The search starts at `near` and works on logarithms, in which a tail is nearly straight.
    """

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


def half_width(sd: float, seeds: int, level: float) -> float:
    """t·s/√n, half the width of Student's interval.

    Args:
        sd: s, with n − 1 in the denominator.
        seeds: n, at least 1.
        level: The error allowed to the interval, in (0, 1).
    """
    return t_quantile(level, seeds) * sd / math.sqrt(seeds)


def half_width_over_splits(sd: float, seeds: int, level: float, *, test_share: float) -> float:
    """Half the width of Student's interval where every seed draws the training and test parts anew from the same data.

    The training parts overlap, so the effects are correlated, and s²/n is too small. The corrected variance of the mean
    is s²·(1/n + n_test/n_train) (Nadeau & Bengio 2003, *Inference for the Generalization Error*, section 4). It does
    not go to 0 with more splits: the data are not more.

    Args:
        sd: s, with n − 1 in the denominator.
        seeds: n, at least 1.
        level: The error allowed to the interval, in (0, 1).
        test_share: n_test / n_train.
    """
    return t_quantile(level, seeds) * sd * math.sqrt(1 / seeds + test_share)


PRIOR_PRECISION = 0.2
"""c², the weight of the normal mixture over effect sizes, N(0, 1/c²), in the confidence sequence. Chosen so that the
sequence is 1.4 to 1.9 times as wide as Student's interval from 6 to 50 seeds, for errors of 0.2 to 5 %.
"""


def half_width_of_sequence(sd: float, seeds: int, level: float) -> float:
    """Half the width of a confidence sequence for a mean with unknown variance.

    All of these intervals, one for every number of seeds, hold at once with probability 1 − level. So one may stop
    at any moment. With r = (level²·c²/(n + c²))^(1/n) and s̃² the variance with n in the denominator, it is
    s̃·√((1 − r) / (r − c²/(n + c²))): the values of the mean for which the scale-invariant t statistic, mixed over
    normal effect sizes, stays below 1/level (Lai 1976; Wang & Ramdas 2023, *Anytime-valid t-tests and confidence
    sequences for Gaussian means with unknown variance*, section 4).

    Args:
        sd: The standard deviation with n − 1 in the denominator.
        seeds: n, at least 1.
        level: The error allowed to the whole sequence, in (0, 1).

    Returns:
        Half the width; infinite while there are too few seeds to bound the mean.
    """
    share = PRIOR_PRECISION / (seeds + PRIOR_PRECISION)
    r = (level**2 * share) ** (1 / seeds)
    if seeds < 2 or r <= share:
        return math.inf
    return sd * math.sqrt((seeds - 1) / seeds) * math.sqrt((1 - r) / (r - share))


def repeated_interval(effects: Sequence[float], level: float, width: Width = half_width) -> Interval:
    """The mean of the effects per seed with its interval.

    Args:
        effects: One per seed, in the metric's unit.
        level: The error allowed to the interval, in (0, 1).
        width: Half its width: of Student's interval, or of a confidence sequence.

    Returns:
        The interval; infinitely wide for a single seed.

    Raises:
        ValueError: There is no effect, or one is not finite. Those are for `sign_test`.
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
    half = width(sd, n, level) if sd > 0 else 0.0
    return Interval(mean, mean - half, mean + half, sd, n, level)


def upper_sd(sd: float, seeds: int, confidence: float = 0.8) -> float:
    """The upper confidence bound of a standard deviation: s·√((n − 1)/χ²) with χ² the (1 − confidence) quantile.

    Args:
        sd: s, not negative.
        seeds: n; below 2 the bound is infinite.
        confidence: In (0, 1).
    """
    if seeds < 2:
        return math.inf
    return sd * math.sqrt((seeds - 1) / _chi_square(seeds - 1, confidence))


@cache
def _chi_square(freedom: int, above: float) -> float:
    """The value that χ² with `freedom` degrees of freedom exceeds with probability `above`."""

    def beyond(x: float) -> float:  # Abramowitz & Stegun 26.4.19
        return float(mp.gammainc(freedom / 2, x / 2, regularized=True))

    return _solve(beyond, above, near=freedom)


def seeds_needed(sd: float, seeds: int, delta: float, level: float, width: Width | None = None) -> int | None:
    """About how many seeds in all give a decision: the least N at which the interval is at most δ wide.

    For Student's interval that is the least N with N ≥ (2·t·s_u/δ)², t taken at N seeds and s_u the upper bound of
    the spread. An interval that is δ wide lies above 0, below 0, or inside (−δ, δ).

    Args:
        sd: The standard deviation of the effects so far.
        seeds: How many there are.
        delta: The smallest difference that counts, in the metric's unit.
        level: The error allowed to the interval, in (0, 1).
        width: Half the width of the interval; Student's where it is not given.

    Returns:
        N; None where it exceeds a million, or where one seed says nothing about the spread.
    """
    bound = upper_sd(sd, seeds)
    if not math.isfinite(bound) or delta <= 0:
        return None

    def enough(n: int) -> bool:
        return 2.0 * (width or half_width)(bound, n, level) <= delta

    if not enough(2 * MOST_SEEDS):
        return None
    low, high = seeds, seeds + 1
    while not enough(high):
        low, high = high, 2 * high
        if high > 2 * MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= MOST_SEEDS else None
