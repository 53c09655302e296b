"""Shares of variance and winners over two factors, worked by hand."""

from __future__ import annotations

import itertools

import pytest

from experiments.comparing.importance import flip_map, importance

Values = dict[tuple[str, ...], list[float]]


def test_shares_by_hand() -> None:
    """f = 3x + y with x, y in ±1: the variance is 9 + 1, and nothing is done together."""
    values: Values = {(str(x), str(y)): [3.0 * x + y] for x, y in itertools.product((-1, 1), (-1, 1))}
    shares = {one.factors: one.share for one in importance(("x", "y"), values)}
    assert shares == pytest.approx({("x",): 0.9, ("y",): 0.1, ("x", "y"): 0.0})


def test_what_two_do_together_is_theirs_alone() -> None:
    """f = x·y: neither does anything by itself."""
    values: Values = {(str(x), str(y)): [float(x * y)] for x, y in itertools.product((-1, 1), (-1, 1))}
    shares = {one.factors: one.share for one in importance(("x", "y"), values)}
    assert shares == pytest.approx({("x",): 0.0, ("y",): 0.0, ("x", "y"): 1.0})


def test_three_factors_share_out_everything_but_the_triple() -> None:
    """f = 2x + y·z + x·y·z: variances 4, 1 and 1 of 6."""
    values: Values = {
        tuple(map(str, (x, y, z))): [2.0 * x + y * z + x * y * z]
        for x, y, z in itertools.product((-1, 1), repeat=3)
    }
    shares = {one.factors: one.share for one in importance(("x", "y", "z"), values)}
    assert shares["x",] == pytest.approx(4 / 6)
    assert shares["y", "z"] == pytest.approx(1 / 6)
    assert sum(shares.values()) == pytest.approx(5 / 6)


def test_seeds_are_averaged_and_no_factor() -> None:
    values: Values = {("a",): [1.0, 3.0], ("b",): [4.0, 6.0]}
    assert [(one.factors, one.share) for one in importance(("x",), values)] == [(("x",), 1.0)]


@pytest.mark.parametrize(
    "values",
    [{("a", "1"): [1.0], ("b", "2"): [2.0]}, {("a", "1"): [1.0], ("b", "1"): [1.0]}, {}],
)
def test_nothing_is_shared_out_without_a_grid_or_a_difference(
    values: Values,
) -> None:
    assert importance(("x", "y"), values) == []


def test_the_winner_turns_over_two_factors() -> None:
    """relu wins at the small rate, tanh at the large one."""
    values: Values = {
        (act, rate, batch): [1.0 if (act == "relu") == (rate == "0.1") else 0.5]
        for act, rate, batch in itertools.product(("relu", "tanh"), ("0.1", "1"), ("32", "64"))
    }
    found = flip_map(("act", "rate", "batch"), "act", ("rate", "batch"), values, lower=False)
    assert found.flips
    assert found.winners == {
        (0.1, 32.0): "relu",
        (0.1, 64.0): "relu",
        (1.0, 32.0): "tanh",
        (1.0, 64.0): "tanh",
    }
    assert (
        flip_map(("act", "rate", "batch"), "act", ("rate", "batch"), values, lower=True).winners[0.1, 32.0]
        == "tanh"
    )
