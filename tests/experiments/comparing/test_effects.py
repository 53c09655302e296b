"""From scores to effects per seed, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from experiments.comparing.confounding import differing
from experiments.comparing.effects import Score, chance_level, judge_pair, lower_is_better, pair
from experiments.comparing.estimates import estimate
from tests.present import present


def both(
    a: Any, b: Any, *, metric: str = "test/accuracy", chance: float | None = 0.1, seeds: Any = None
) -> Any:
    """Pair two lists of (cell, seed, value); value None diverged, a word is a state."""
    scores = []
    for level, rows in (("A", a), ("B", b)):
        for cell, seed, value in rows:
            state: Any = value if isinstance(value, str) else "finished"
            scores.append(
                Score(level, cell, seed, None if state != "finished" else value, state, value is None)
            )
    return pair(scores, "A", "B", metric=metric, chance=chance, seeds=seeds)


def test_an_effect_is_the_mean_over_the_cells_of_one_seed() -> None:
    compared = both([("x", 0, 0.9), ("y", 0, 0.8), ("x", 1, 0.7), ("y", 1, 0.7)],
                 [("x", 0, 0.8), ("y", 0, 0.4), ("x", 1, 0.8), ("y", 1, 0.8)])  # fmt: skip
    assert compared.seeds == (0, 1)
    assert compared.effects == pytest.approx((0.25, -0.1))
    assert compared.signs == (1, -1)


@pytest.mark.parametrize(("metric", "sign"), [("test/accuracy", 1), ("test/loss", -1), ("val/loss", -1)])
def test_positive_favours_a(metric: Any, sign: Any) -> None:
    compared = both([("x", 0, 0.5)], [("x", 0, 0.2)], metric=metric)
    assert compared.effects == pytest.approx((sign * 0.3,))
    assert lower_is_better(metric) == (sign < 0)


def test_a_failed_or_cancelled_cell_makes_its_seed_incomplete() -> None:
    compared = both(
        [("x", 0, 0.5), ("x", 1, "failed"), ("x", 2, 0.5)], [("x", 0, 0.5), ("x", 1, 0.5), ("x", 2, "killed")]
    )
    assert (compared.seeds, compared.incomplete) == ((0,), (1, 2))


def test_a_missing_or_open_cell_is_waited_for() -> None:
    compared = both([("x", 0, 0.5), ("x", 1, "waiting")], [("x", 1, 0.5)])
    assert (compared.seeds, compared.waiting) == ((), (0, 1))


def test_a_diverged_accuracy_scores_chance() -> None:
    compared = both([("x", 0, 0.9)], [("x", 0, None)], chance=chance_level("test/accuracy", 10))
    assert compared.effects == pytest.approx((0.8,))
    assert (compared.diverged_a, compared.diverged_b, compared.runs) == (0, 1, 1)


@pytest.mark.parametrize(("metric", "chance"), [("test/accuracy", 0.1), ("test/loss", None)])
def test_where_every_run_diverged_nothing_is_claimed(metric: Any, chance: Any) -> None:
    """Chance equals chance at every seed; that is no sign that the two would be equal."""
    all_lost = [("x", seed, None) for seed in range(1000)]
    judged = judge_pair(both(all_lost, all_lost, metric=metric, chance=chance), delta=0.1, level=0.05)
    assert (judged.verdict, judged.text) == ("undecided", "undecided: every run of both diverged")
    assert (judged.effect, judged.seeds) == (None, 1000)


def test_what_was_never_measured_is_no_number() -> None:
    """It is waited for, not scored as chance: two levels without an accuracy would be equivalent."""
    scores = [Score(level, "x", seed, None) for level in "AB" for seed in range(5)]
    compared = pair(scores, "A", "B", metric="test/accuracy", chance=0.1)
    assert (compared.seeds, compared.waiting) == ((), (0, 1, 2, 3, 4))
    assert judge_pair(compared, delta=0.1, level=0.05).verdict == "undecided"
    assert estimate(scores, "A", chance=0.1).mean is None
    infinite = [Score("A", "x", 0, math.inf), Score("B", "x", 0, 0.9)]
    assert pair(infinite, "A", "B", metric="test/accuracy", chance=0.1).effects == pytest.approx((-0.8,))


def test_a_diverged_loss_has_a_sign_and_no_effect() -> None:
    compared = both([("x", s, None if s == 2 else 0.5) for s in range(10)], [("x", s, None) for s in range(10)],
                 metric="test/loss", chance=chance_level("test/loss", 10))  # fmt: skip
    assert compared.effects == (None,) * 10
    assert compared.signs == (1, 1, 0, 1, 1, 1, 1, 1, 1, 1)  # both diverged: a tie
    judged = judge_pair(compared, delta=0.1, level=0.05)
    assert (judged.verdict, judged.effect, judged.won) == ("better", None, 9)


def test_fewer_diverged_cells_win_a_seed() -> None:
    compared = both(
        [("x", 0, None), ("y", 0, 0.9)], [("x", 0, None), ("y", 0, None)], metric="test/loss", chance=None
    )
    assert compared.signs == (1,)


def test_an_estimate_is_over_seeds() -> None:
    scores = [Score("A", cell, seed, value) for cell, seed, value in
              (("x", 0, 0.8), ("y", 0, 0.6), ("x", 1, 0.9), ("y", 1, 0.7))]  # fmt: skip
    estimated = estimate(scores, "A", chance=0.1)
    assert estimated.mean == pytest.approx(0.75)
    assert (estimated.seeds, estimated.runs) == (2, 4)
    assert estimated.sd == pytest.approx(math.sqrt(0.005))


def test_the_fields_that_differ_are_named() -> None:
    relu, sigmoid = [{"optimizer": "sgd", "rate": "1"}], [{"optimizer": "adam", "rate": "1"}]
    assert differing(relu, sigmoid) == ("optimizer",)
    assert differing(relu, relu * 2) == ()


def test_the_same_values_in_other_combinations_are_named_too() -> None:
    a = [{"o": "sgd", "r": "1"}, {"o": "adam", "r": "2"}]
    b = [{"o": "sgd", "r": "2"}, {"o": "adam", "r": "1"}]
    assert differing(a, b) == ("o", "r")


@pytest.mark.parametrize(("metric", "sign"), [("test/accuracy", 1), ("test/loss", -1)])
def test_a_difference_has_the_sign_of_the_metric(metric: str, sign: int) -> None:
    """A is better: its accuracy is higher by 0.3, its loss lower by 0.3."""
    rows = [("x", seed, 0.5 + sign * 0.15 + 0.001 * seed * seed) for seed in range(5)]
    others = [("x", seed, 0.5 - sign * 0.15) for seed in range(5)]
    judged = judge_pair(both(rows, others, metric=metric), delta=0.01, level=0.05)
    assert (judged.a, judged.favours, judged.verdict) == ("A", "A", "better")
    low, effect, high = present(judged.low), present(judged.effect), present(judged.high)
    assert sign * effect > 0.29
    assert low < effect < high
    assert sign * low > 0
