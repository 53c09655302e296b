"""Successive halving by hand: which settings go on, and what it costs."""

from __future__ import annotations

import pytest

from experiments.searching.halving import promoted, rungs_of, updates_share
from experiments.searching.trials import Observed, Trial, trials


def ended(label: str, value: float | None) -> Trial:
    return Trial((label,), "finished" if value is not None else "failed", 1, value)


def test_rungs_are_a_ninth_a_third_and_all() -> None:
    assert rungs_of(27) == (3, 9, 27)
    assert rungs_of(8) == (1, 3, 8)
    assert rungs_of(2) == (1, 2)


def test_the_best_third_goes_on() -> None:
    losses = {"a": 0.5, "b": 0.1, "c": 0.9, "d": 0.2, "e": 0.3, "f": 0.4}
    settings = [ended(label, loss) for label, loss in losses.items()]
    assert promoted(settings, 3, "val/loss", lambda s: None) == [("b",), ("d",)]
    assert promoted(settings, 3, "val/accuracy", lambda s: None) == [("c",), ("a",)]


def test_no_group_starves_and_what_diverged_never_goes_on() -> None:
    settings = [
        Trial(("relu", "0.1"), "finished", 1, 0.10), Trial(("relu", "0.2"), "finished", 1, 0.20),
        Trial(("tanh", "0.1"), "failed", 1, None), Trial(("tanh", "0.2"), "finished", 1, 0.90),
        Trial(("step", "0.1"), "failed", 1, None), Trial(("step", "0.2"), "failed", 1, None),
    ]  # fmt: skip
    assert promoted(settings, 2, "val/loss", lambda s: s[0]) == [("relu", "0.1"), ("tanh", "0.2")]


def test_its_cost_by_hand() -> None:
    """27 settings, rungs 3, 9, 27: 27·3 + 9·6 + 3·18 = 189 of 27·27 = 729 epochs."""
    assert updates_share(27, (3, 9, 27), 3) == pytest.approx(189 / 729)


def test_a_setting_is_the_mean_of_its_seeds() -> None:
    runs = [
        Observed(("a",), 0, 3, "finished", 0.5), Observed(("a",), 1, 3, "finished", 0.7),
        Observed(("b",), 0, 3, "finished", 0.9), Observed(("b",), 1, 3, "finished", 0.1, diverged=True),
        Observed(("c",), 0, 3, "finished", 0.9), Observed(("c",), 1, 3, "waiting", None),
        Observed(("d",), 0, 3, "killed", 0.9),
    ]  # fmt: skip
    a, b, c, d = trials(runs)
    assert a.state == "finished"
    assert a.value == pytest.approx(0.6)
    assert (b.state, b.value) == ("failed", None)
    assert (c.state, c.value) == ("waiting", None)
    assert d.state == "failed"
