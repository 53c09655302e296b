"""Intervals, forecasts and sign tests against scipy.stats and values worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.comparing.sign_tests import equal_seeds_needed, sign_test, sign_test_seeds
from experiments.comparing.statistics import (
    repeated_interval,
    seeds_needed,
    share_of_error,
    t_quantile,
    upper_sd,
)
from tests.present import present


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 40, 41, 5000, 1_000_001])
@pytest.mark.parametrize("level", [0.5, 0.05, 0.05 / 12, 0.001, 1e-8])
def test_the_t_quantile_is_scipys(seeds: int, level: Any) -> None:
    assert t_quantile(level, seeds) == pytest.approx(-stats.t.ppf(level / 2, seeds - 1), rel=1e-9)


def test_the_interval_is_students_at_the_shared_error() -> None:
    d = [0.031, 0.028, 0.035, 0.022, 0.03]
    level = share_of_error(0.05, looks=4, pairs=3)
    assert level == pytest.approx(0.05 / 12)
    low, high = stats.t.interval(1 - level, 4, loc=np.mean(d), scale=stats.sem(d))
    interval = repeated_interval(d, level)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((np.mean(d), low, high))


def test_an_interval_by_hand() -> None:
    """d = 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.302653, half width 4.302653/√3 = 2.484138."""
    interval = repeated_interval([1.0, 2.0, 3.0], 0.05)
    assert (interval.mean, interval.sd) == (2.0, 1.0)
    assert interval.high == pytest.approx(4.484138, abs=1e-6)


def test_one_seed_says_nothing_about_the_spread() -> None:
    interval = repeated_interval([0.3], 0.05)
    assert (interval.low, interval.high) == (-math.inf, math.inf)


@pytest.mark.parametrize("effects", [[], [0.1, math.nan], [math.inf]])
def test_effects_that_are_not_finite_are_refused(effects: Any) -> None:
    with pytest.raises(ValueError, match="finite"):
        repeated_interval(effects, 0.05)


@pytest.mark.parametrize("seeds", [2, 3, 5, 40, 1001, 100_001])
@pytest.mark.parametrize("confidence", [0.01, 0.5, 0.8, 0.95])
def test_the_upper_bound_of_a_spread_is_scipys(seeds: int, confidence: Any) -> None:
    chi_square = stats.chi2.ppf(1 - confidence, seeds - 1)
    assert upper_sd(2.0, seeds, confidence) == pytest.approx(
        2.0 * math.sqrt((seeds - 1) / chi_square), rel=1e-9
    )


@pytest.mark.parametrize(("sd", "delta"), [(1.0, 1.0), (0.3, 1.0), (2.0, 0.5)])
def test_as_many_seeds_as_the_formula_asks_for(sd: Any, delta: float) -> None:
    level, n = 0.0125, present(seeds_needed(sd, 5, delta, 0.0125))

    def wanted(seeds: int) -> Any:
        return (2 * stats.t.ppf(1 - level / 2, seeds - 1) * upper_sd(sd, 5) / delta) ** 2

    assert n >= wanted(n)
    assert n == 6 or n - 1 < wanted(n - 1)


def test_no_forecast_where_it_would_be_absurd() -> None:
    assert seeds_needed(1.0, 5, 1e-6, 0.05) is None
    assert seeds_needed(math.nan, 1, 0.1, 0.05) is None


@pytest.mark.parametrize(("wins", "losses"), [(5, 0), (0, 5), (9, 1), (4, 4), (12, 3), (5100, 4900)])
def test_the_sign_test_is_the_exact_binomial_test(wins: Any, losses: Any) -> None:
    assert sign_test(wins, losses) == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)


def test_the_sign_test_without_a_difference() -> None:
    assert sign_test(0, 0) == 1.0
    assert sign_test_seeds(2, 2, 1, 0.05) is None
    assert sign_test_seeds(5, 0, 0, 0.05) == 6  # 2·2⁻⁶ = 0.03125


@pytest.mark.parametrize(
    ("effect", "delta", "largest"), [(0.0, 0.01, 1.0), (0.005, 0.02, 1.0), (0.1, 0.3, 0.5)]
)
def test_the_equal_seeds_needed_are_the_binomial_bound(effect: Any, delta: float, largest: Any) -> None:
    """At one seed less, scipy's upper bound of the share with none in n lets the mean reach δ; at n no more."""

    def highest_mean(n: Any) -> Any:
        share = stats.binomtest(0, n).proportion_ci(0.95, "exact").high
        return (1 - share) * effect + share * largest

    needed = present(equal_seeds_needed(effect, delta, largest, 0.05))
    assert highest_mean(needed) <= delta < highest_mean(needed - 1)


def test_no_equal_seeds_suffice_without_a_bound_or_above_delta() -> None:
    assert equal_seeds_needed(0.0, 0.1, math.inf, 0.05) is None
    assert equal_seeds_needed(0.1, 0.1, 1.0, 0.05) is None
    assert equal_seeds_needed(0.0, math.inf, math.inf, 0.05) == 1, "whatever differs is less than that"
