"""The verdict from the effects per seed, with values worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.comparing.verdicts import judge, judge_signs
from tests.present import present


def test_one_seed_decides_nothing() -> None:
    assert judge("a", "b", [0.3], delta=0.1, level=0.05).verdict == "undecided"


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
    judged = judge("A", "B", effects, delta=0.01, level=0.05)
    assert (judged.verdict, judged.text) == (verdict, text)
    assert present(judged.effect) >= 0
    assert judged.decided


def test_undecided_says_how_many_seeds_in_all() -> None:
    judged = judge("A", "B", [0.02, -0.01, 0.03, -0.02, 0.01], delta=0.01, level=0.05)
    assert judged.verdict == "undecided"
    assert judged.text == f"undecided: about {judged.needed} seeds in all"
    assert (judged.won, judged.seeds) == (3, 5)


def test_the_same_difference_at_every_seed_is_left_to_the_sign_test() -> None:
    """No spread, no t interval: 2·2⁻⁵ = 0.0625 is not enough, 2·2⁻¹⁰ is."""
    assert judge("A", "B", [0.25] * 5, delta=0.01, level=0.05).verdict == "undecided"
    assert judge("A", "B", [0.25] * 5, delta=0.01, level=0.05).needed == 6
    judged = judge("A", "B", [0.25] * 10, delta=0.01, level=0.05)
    assert (judged.verdict, judged.low, judged.high) == ("better", None, None)
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


def test_signs_decide_where_a_loss_diverged() -> None:
    judged = judge_signs("A", "B", [-1] * 9 + [0], delta=0.1, level=0.05)
    assert (judged.a, judged.b, judged.verdict, judged.won) == ("B", "A", "better", 9)
    assert (judged.effect, judged.low) == (None, None)
    assert (
        judge_signs("A", "B", [1, -1, 1, -1, 0], delta=0.1, level=0.05).text
        == "undecided: no number of seeds in sight"
    )


@pytest.mark.parametrize("delta", [0.0, -1.0])
def test_a_delta_is_positive(delta: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        judge("A", "B", [1.0, 2.0], delta=delta, level=0.05)


@pytest.mark.parametrize(
    ("effects", "text"),
    [
        ([0.00496, 0.0052, 0.0047, 0.0051, 0.0049], "A better than B; whether by 0.005 or more is open"),
        ([0.02, 0.021, 0.019, 0.022, 0.02], "A better than B"),
        ([0.002, 0.0021, 0.0019, 0.0022, 0.002], "A better than B, but by less than 0.005"),
    ],
)
def test_the_sentence_agrees_with_the_smallest_difference_that_counts(effects: Any, text: str) -> None:
    assert judge("A", "B", effects, delta=0.005, level=0.05).text == text
