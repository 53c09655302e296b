"""Tests on signs per seed, where there is no spread to make an interval from, and the seeds that they need."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from experiments.comparing.statistics import MOST_SEEDS


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p value of `wins` against `losses` under a fair coin, without the ties."""
    n = wins + losses
    if n == 0:
        return 1.0
    k = np.arange(min(wins, losses), 0, -1)  # C(n, k−1) / C(n, k) = k / (n − k + 1)
    at = math.exp(
        math.lgamma(n + 1) - math.lgamma(k.size + 1) - math.lgamma(n - k.size + 1) - n * math.log(2)
    )
    return min(1.0, 2.0 * at * (1.0 + float(np.cumprod(k / (n - k + 1)).sum())))


def sequential_sign_test(wins: int, losses: int) -> float:
    """A p value of `wins` against `losses` under a fair coin that holds at every moment.

    It is the inverse of the likelihood ratio of a coin of unknown bias, mixed uniformly, which is a martingale under a
    fair coin: P(it ever falls to p) ≤ p (Ville 1939; Robbins 1970). That ratio is 2ⁿ / ((n + 1)·C(n, wins)).
    """
    n = wins + losses
    return min(1.0, math.exp(math.log((n + 1) * math.comb(n, wins)) - n * math.log(2)))


def sign_test_seeds(
    wins: int, losses: int, ties: int, level: float, test: Callable[[int, int], float] = sign_test
) -> int | None:
    """The least number of seeds at which the sign test would decide if the shares of wins and ties stay the same.

    Returns:
        The number; None where there is no majority, or it exceeds 10,000.
    """
    n = wins + losses + ties
    if n == 0 or wins == losses:
        return None
    for total in range(n + 1, 10_000):
        won, lost = round(total * wins / n), round(total * losses / n)
        if won != lost and test(won, lost) <= level:
            return total
    return None


def equal_seeds_needed(effect: float, delta: float, largest: float, level: float) -> int | None:
    """How many seeds that all give the difference `effect` rule out a mean of `delta` or more.

    The mean may lie elsewhere because a share p of seeds, not seen yet, gives another difference. That difference is
    at most `largest`, so |mean| ≤ (1 − p)·effect + p·largest. It reaches δ only where
    p ≥ (δ − effect) / (largest − effect). Then n equal seeds have a probability of at most (1 − p)ⁿ, which may be
    level/2, as on either side of a t interval. So n = ⌈ln(level/2) / ln(1 − p)⌉: the exact binomial bound for no
    event in n trials (Clopper & Pearson 1934). A spread that was not seen is not a spread of 0: where one seed in
    ten fails on XOR, five equal ones are common.

    Args:
        effect: The difference at every seed, not negative.
        delta: The smallest difference that counts.
        largest: The largest difference there can be: 1 for an accuracy, infinite for a loss.
        level: The error allowed, in (0, 1).

    Returns:
        n; None where it exceeds a million.
    """
    if effect >= delta:
        return None
    if largest <= delta:
        return 1
    share = (delta - effect) / (largest - effect)
    if share == 0.0 or (needed := math.ceil(math.log(level / 2) / math.log1p(-share))) > MOST_SEEDS:
        return None
    return needed
