"""Intervals, forecasts and verdicts against scipy.stats and values worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.comparing.statistics import (
    equal_seeds_needed,
    judge,
    judge_signs,
    repeated_interval,
    seeds_needed,
    share_of_error,
    sign_test,
    sign_test_seeds,
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
    found = repeated_interval(d, level)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(d), low, high))


def test_an_interval_by_hand() -> None:
    """d = 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.302653, half width 4.302653/√3 = 2.484138."""
    found = repeated_interval([1.0, 2.0, 3.0], 0.05)
    assert (found.mean, found.sd) == (2.0, 1.0)
    assert found.high == pytest.approx(4.484138, abs=1e-6)


def test_one_seed_says_nothing_about_the_spread() -> None:
    found = repeated_interval([0.3], 0.05)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert judge("a", "b", [0.3], delta=0.1, level=0.05).verdict == "undecided"


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
    ("effects", "verdict", "text"),
    [
        ([0.031, 0.028, 0.035, 0.022, 0.03], "better", "A better than B"),
        ([-0.031, -0.028, -0.035, -0.022, -0.03], "better", "B better than A"),
        (
            [0.0011, 0.001, 0.0012, 0.001, 0.0011],
            "better, but by less than δ",
            "A better than B, but by less than 0.01",
        ),
        ([0.001, -0.001, 0.0005, 0.0, 0.001], "equivalent within δ", "A and B equivalent within 0.01"),
    ],
)
def test_the_verdict_follows_from_the_interval(effects: Any, verdict: Any, text: Any) -> None:
    found = judge("A", "B", effects, delta=0.01, level=0.05)
    assert (found.verdict, found.text) == (verdict, text)
    assert present(found.effect) >= 0
    assert found.decided


def test_undecided_says_how_many_seeds_in_all() -> None:
    found = judge("A", "B", [0.02, -0.01, 0.03, -0.02, 0.01], delta=0.01, level=0.05)
    assert found.verdict == "undecided"
    assert found.text == f"undecided: about {found.needed} seeds in all"
    assert (found.won, found.seeds) == (3, 5)


def test_the_same_difference_at_every_seed_is_left_to_the_sign_test() -> None:
    """No spread, no t interval: 2·2⁻⁵ = 0.0625 is not enough, 2·2⁻¹⁰ is."""
    assert judge("A", "B", [0.25] * 5, delta=0.01, level=0.05).verdict == "undecided"
    assert judge("A", "B", [0.25] * 5, delta=0.01, level=0.05).needed == 6
    found = judge("A", "B", [0.25] * 10, delta=0.01, level=0.05)
    assert (found.verdict, found.low, found.high) == ("better", None, None)
    assert judge("A", "B", [0.005] * 10, delta=0.01, level=0.05).verdict == "better", (
        "how much less is not known"
    )


def test_equal_seeds_are_equivalent_once_they_rule_out_the_share_that_matters() -> None:
    """δ = 0.1 of an accuracy: a tenth of the seeds could make it. 0.9ⁿ ≤ 0.025 from n = 36 on (35.01)."""
    assert 0.9**35 > 0.025 > 0.9**36
    short, enough = (judge("A", "B", [0.0] * n, delta=0.1, level=0.05, largest=1.0) for n in (35, 36))
    assert (short.verdict, short.needed, short.low) == ("undecided", 36, None)
    assert enough.verdict == "equivalent within δ"
    assert (
        judge("A", "B", [0.0] * 1000, delta=0.1, level=0.05).text == "undecided: no number of seeds in sight"
    )


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


def test_signs_decide_where_a_loss_diverged() -> None:
    found = judge_signs("A", "B", [-1] * 9 + [0], delta=0.1, level=0.05)
    assert (found.a, found.b, found.verdict, found.won) == ("B", "A", "better", 9)
    assert (found.effect, found.low) == (None, None)
    assert (
        judge_signs("A", "B", [1, -1, 1, -1, 0], delta=0.1, level=0.05).text
        == "undecided: no number of seeds in sight"
    )


@pytest.mark.parametrize("delta", [0.0, -1.0])
def test_a_delta_is_positive(delta: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        judge("A", "B", [1.0, 2.0], delta=delta, level=0.05)
