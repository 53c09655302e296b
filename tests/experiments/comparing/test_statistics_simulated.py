"""The error rates that numerics promise, by simulation with fixed seeds. The figures stand in docs/comparing.md."""

from __future__ import annotations

from typing import Any

import pytest

from bench.comparison import (
    STEPS,
    coverage,
    family_wise_error,
    forecast,
    naive_error,
    seeds_to_decision,
    wrong_equivalence,
    wrong_equivalence_of_steps,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_the_interval_covers_what_it_says(seeds: int) -> None:
    assert coverage(seeds, 40_000) == pytest.approx(0.95, abs=0.005)


def test_the_family_wise_error_is_at_most_five_percent() -> None:
    assert family_wise_error(40_000) <= 0.05
    assert naive_error(20_000) > 0.2


@pytest.mark.parametrize("spread", [0.25, 0.5, 1.0])
def test_wrong_equivalence_is_rare(spread: Any) -> None:
    assert wrong_equivalence(4000, spread) <= 0.025


@pytest.mark.parametrize(("share", "step", "delta"), STEPS)
def test_wrong_equivalence_is_rare_where_the_metric_has_steps(share: Any, step: Any, delta: float) -> None:
    """Equal seeds were once equivalent from two on: 59 % of the questions on XOR."""
    assert wrong_equivalence_of_steps(4000, share, step, delta) <= 0.025


def test_a_question_takes_about_as_many_seeds_as_theory_says() -> None:
    theory, median, enough = forecast(2000)
    assert theory == 29
    assert theory < median < 3 * theory  # the forecast uses an upper bound of the spread
    assert 0.75 <= enough <= 0.85  # an 80 % bound
    mean, share, _ = seeds_to_decision(1000, 0.0, 1.0)
    assert mean <= 40
    assert share > 0.98
