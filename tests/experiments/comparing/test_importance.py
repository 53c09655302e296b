"""Shares of variance and winners over two factors, worked by hand."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from experiments.comparing.forest import estimated_importance
from experiments.comparing.importance import Combination, flip_map, importance

Values = dict[tuple[str, ...], list[float]]


def test_shares_by_hand() -> None:
    """f = 3x + y with x, y in ±1: the variance is 9 + 1, and nothing is done together."""
    values: Values = {(str(x), str(y)): [3.0 * x + y] for x, y in itertools.product((-1, 1), (-1, 1))}
    shares = {part.factors: part.share for part in importance(("x", "y"), values)}
    assert shares == pytest.approx({("x",): 0.9, ("y",): 0.1, ("x", "y"): 0.0})


def test_what_two_do_together_is_theirs_alone() -> None:
    """f = x·y: neither does anything by itself."""
    values: Values = {(str(x), str(y)): [float(x * y)] for x, y in itertools.product((-1, 1), (-1, 1))}
    shares = {part.factors: part.share for part in importance(("x", "y"), values)}
    assert shares == pytest.approx({("x",): 0.0, ("y",): 0.0, ("x", "y"): 1.0})


def test_three_factors_share_out_everything_but_the_triple() -> None:
    """f = 2x + y·z + x·y·z: variances 4, 1 and 1 of 6."""
    values: Values = {
        tuple(map(str, (x, y, z))): [2.0 * x + y * z + x * y * z]
        for x, y, z in itertools.product((-1, 1), repeat=3)
    }
    shares = {part.factors: part.share for part in importance(("x", "y", "z"), values)}
    assert shares["x",] == pytest.approx(4 / 6)
    assert shares["y", "z"] == pytest.approx(1 / 6)
    assert sum(shares.values()) == pytest.approx(5 / 6)


def test_seeds_are_averaged_and_no_factor() -> None:
    values: Values = {("a",): [1.0, 3.0], ("b",): [4.0, 6.0]}
    assert [(part.factors, part.share) for part in importance(("x",), values)] == [(("x",), 1.0)]


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
    flip = flip_map(("act", "rate", "batch"), "act", ("rate", "batch"), values, lower=False)
    assert flip.flips
    assert flip.winners == {
        (0.1, 32.0): "relu",
        (0.1, 64.0): "relu",
        (1.0, 32.0): "tanh",
        (1.0, 64.0): "tanh",
    }
    assert (
        flip_map(("act", "rate", "batch"), "act", ("rate", "batch"), values, lower=True).winners[0.1, 32.0]
        == "tanh"
    )


def drawn(score: Callable[[float, float, str], float], number: int) -> dict[Combination, list[float]]:
    """Values of a random draw over two ranges and three names."""
    draw = random.Random(5)
    settings = [(draw.random(), draw.random(), draw.choice("abc")) for _ in range(number)]
    return {(f"{x:.6f}", f"{y:.6f}", name): [score(x, y, name)] for x, y, name in settings}


def shares_of(score: Callable[[float, float, str], float], number: int = 200) -> dict[tuple[str, ...], float]:
    parts = estimated_importance(("x", "y", "name"), drawn(score, number))
    assert all(part.estimated for part in parts)
    assert [part.share for part in parts] == sorted((part.share for part in parts), reverse=True)
    return {part.factors: part.share for part in parts}


def test_a_draw_is_shared_out_about_as_the_formula_is() -> None:
    """Of 2x + y with x and y in [0, 1] the variance is 4/12 + 1/12: shares of 0.8 and 0.2, nothing of the name."""
    shares = shares_of(lambda x, y, name: 2 * x + y)
    assert shares["x",] == pytest.approx(0.8, abs=0.06)
    assert shares["y",] == pytest.approx(0.2, abs=0.06)
    assert sum(share for parts, share in shares.items() if "name" in parts) < 0.03


def test_what_two_factors_do_together_only_is_theirs_together() -> None:
    """(x − ½)(y − ½) has no effect of either alone."""
    shares = shares_of(lambda x, y, name: (x - 0.5) * (y - 0.5), 400)
    assert shares["x", "y"] > 0.6
    assert max(shares["x",], shares["y",]) < 0.2


def test_names_are_told_apart_whatever_their_order() -> None:
    """b is ahead of a and c: a third of the settings one higher, and the alphabet orders it in between."""
    shares = shares_of(lambda x, y, name: float(name == "b"))
    assert shares["name",] == pytest.approx(1.0, abs=0.01)


def test_a_rate_counts_as_its_logarithm() -> None:
    plain = drawn(lambda x, y, name: x, 100)
    logarithms: dict[Combination, list[float]] = {
        (f"{10 ** float(x):.9g}", y, name): own for (x, y, name), own in plain.items()
    }
    names = ("x", "y", "name")
    assert estimated_importance(names, plain) == estimated_importance(names, logarithms)


def test_few_settings_or_one_factor_say_nothing() -> None:
    assert estimated_importance(("x", "y", "name"), drawn(lambda x, y, name: x, 9)) == []
    alone: dict[Combination, list[float]] = {
        (x, "1", "a"): own for (x, _, _), own in drawn(lambda x, y, name: x, 50).items()
    }
    assert estimated_importance(("x", "y", "name"), alone) == []
