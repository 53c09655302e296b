"""The best setting of a level, its edges, and how a range is extended."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.comparing.tuning import Trial, TuneAxis, best, spacing_of

RATES = TuneAxis("learning_rate", (0.001, 0.01, 0.1, 1.0), "log")


def trials(*means: Any, diverged: Any = ()) -> Any:
    return [
        Trial((label,), (mean, None if label in diverged else mean))
        for label, mean in zip(RATES.labels, means, strict=True)
    ]


@pytest.mark.parametrize(
    ("means", "setting", "edges"),
    [
        ((0.5, 0.9, 0.8, 0.1), "0.01", ()),
        ((0.9, 0.8, 0.7, 0.1), "0.001", (("learning_rate", "low"),)),
        ((0.5, 0.6, 0.7, 0.8), "1", (("learning_rate", "high"),)),
        ((1.0, 1.0, 1.0, 0.5), "0.01", ()),  # of equals the one nearest the middle
    ],
)
def test_the_best_mean_wins(means: Any, setting: Any, edges: Any) -> None:
    choice = best(trials(*means), [RATES], lower=False)
    assert (choice.setting, choice.edges) == ((setting,), edges)


def test_a_loss_is_better_when_lower() -> None:
    assert best(trials(0.5, 0.1, 0.3, 0.9), [RATES], lower=True).setting == ("0.01",)


def test_a_rate_with_a_diverged_seed_ranks_below_every_one_without() -> None:
    assert best(trials(0.1, 0.2, 0.99, 0.3, diverged={"0.1"}), [RATES], lower=False).setting == ("1",)


def test_a_range_goes_on_in_its_own_spacing() -> None:
    assert RATES.beyond("low") == pytest.approx((1e-5, 1e-4))
    assert RATES.beyond("high") == pytest.approx((10.0, 100.0))
    assert TuneAxis("momentum", (0.5, 0.7, 0.9), "linear").beyond("high") == pytest.approx((1.1, 1.3))
    assert TuneAxis("batch_size", (16, 32), "log").beyond("high") == (64,)
    assert RATES.extended((10.0, 100.0)).values == (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)


def test_names_have_no_edge() -> None:
    axis = TuneAxis("kernel_initializer", ("a", "b"), spacing_of(("a", "b")))
    assert axis.beyond("low") == ()
    assert best([Trial(("a",), (1.0,)), Trial(("b",), (0.5,))], [axis], lower=False).edges == ()


def test_nothing_to_choose_from() -> None:
    with pytest.raises(ValueError, match="nothing to choose"):
        best([], [RATES], lower=False)
