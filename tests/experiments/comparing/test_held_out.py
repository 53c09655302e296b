"""Tuned for every seed on the other seeds, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.comparing.design import Observation
from experiments.comparing.effects import judge_pair, pair
from experiments.comparing.held_out import _chosen, leave_one_out
from experiments.comparing.tuning import Trial, TuneAxis, best

RATES = TuneAxis("learning_rate", (0.01, 0.1), "log")
VALIDATION = {  # (level, rate) -> the validation accuracy of seeds 0, 1, 2
    ("A", "0.01"): (0.9, 0.5, 0.5),
    ("A", "0.1"): (0.6, 0.7, 0.8),
    ("B", "0.01"): (0.1, 0.1, 0.9),
    ("B", "0.1"): (0.4, 0.4, 0.4),
}
TEST = {("A", "0.01"): (0.91, 0.51, 0.52), ("A", "0.1"): (0.61, 0.72, 0.83),
        ("B", "0.01"): (0.11, 0.12, 0.93), ("B", "0.1"): (0.41, 0.42, 0.43)}  # fmt: skip
RESULTS = [
    Observation(level, (), (rate,), seed, "finished", TEST[level, rate][seed], validation)
    for (level, rate), values in VALIDATION.items()
    for seed, validation in enumerate(values)
]


def held(results: Any = RESULTS, lower: bool = False) -> Any:
    return leave_one_out(results, [RATES], lower=lower)


def changed(level: Any, rate: str, seed: int, **fields: Any) -> Any:
    return [
        replace(result, **fields)
        if (result.level, result.setting, result.seed) == (level, (rate,), seed)
        else result
        for result in RESULTS
    ]


def rates(selection: Any) -> Any:
    return {(level, seed): result.setting[0] for ((level, _), seed), result in selection.chosen.items()}


def test_the_seed_itself_has_no_say() -> None:
    """A without seed 0: 0.5 at 0.01, 0.75 at 0.1. Without 1: 0.7, 0.7 (the first of equals). Without 2: 0.7, 0.65.
    B: 0.5 and 0.4; 0.5 and 0.4; 0.1 and 0.4."""
    assert rates(held()) == {
        ("A", 0): "0.1", ("A", 1): "0.01", ("A", 2): "0.01",
        ("B", 0): "0.01", ("B", 1): "0.01", ("B", 2): "0.1",
    }  # fmt: skip


def test_effects_are_of_test_data_at_the_rate_of_the_other_seeds() -> None:
    """A: 0.61, 0.51, 0.52; B: 0.11, 0.12, 0.43; so 0.5, 0.39, 0.09."""
    compared = pair(held().scores, "A", "B", metric="test/accuracy", chance=0.1)
    assert compared.effects == pytest.approx((0.5, 0.39, 0.09))
    assert judge_pair(compared, delta=0.01, level=0.05).effect == pytest.approx(0.98 / 3)


def test_looking_at_the_seed_itself_would_have_chosen_otherwise() -> None:
    """With its own seed, A at seed 0 has 0.9 at 0.01 and would be 0.3 better on test data than it may claim."""
    scores = {(score.level, score.seed): score.value for score in held().scores}
    assert scores["A", 0] == 0.61
    assert max(TEST["A", rate][0] for rate in RATES.labels) == 0.91


def test_a_loss_is_chosen_by_the_lowest() -> None:
    """The other way round wherever there is no tie."""
    assert rates(held(lower=True)) == {
        ("A", 0): "0.01", ("A", 1): "0.01", ("A", 2): "0.1",
        ("B", 0): "0.1", ("B", 1): "0.1", ("B", 2): "0.01",
    }  # fmt: skip


def test_a_rate_that_diverged_at_another_seed_ranks_last() -> None:
    selection = held(changed("A", "0.1", 1, diverged=True, validation=None, value=None))
    assert rates(selection)["A", 0] == "0.01", "0.5 without a diverged seed is before 0.8 with one"
    assert rates(selection)["A", 1] == "0.01"


@pytest.mark.parametrize("state", ["failed", "killed", "waiting"])
def test_a_seed_with_an_open_run_is_nobodys_tuning(state: Any) -> None:
    """Seed 2 of B is open at one rate: it is neither compared nor tuned on, of A neither."""
    selection = held(changed("B", "0.01", 2, state=state, value=None, validation=None))
    assert rates(selection) == {("A", 0): "0.1", ("A", 1): "0.01", ("B", 0): "0.1", ("B", 1): "0.1"}
    states = {(score.level, score.seed): score.state for score in selection.scores}
    assert (states["A", 2], states["B", 2]) == ("waiting", state)


@pytest.mark.parametrize(
    "results",
    [
        [result for result in RESULTS if result.seed == 0],
        [result for result in RESULTS if result.setting == ("0.1",)],
        RESULTS[:-1],
        [replace(result, validation=None) for result in RESULTS],
        [],
    ],
    ids=["one seed", "one rate", "no grid", "no validation data", "nothing"],
)
def test_where_there_is_nothing_to_tune_on(results: Any) -> None:
    assert held(results) is None


def test_an_edge_is_told() -> None:
    assert held().chosen[("A", ()), 0].edges == (("learning_rate", "high"),)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_from_sums_as_number_by_number(seed: int, lower: bool) -> None:
    """Random values, coarse ones among them so that means are equal, and some settings that diverged once or twice."""
    random = np.random.default_rng(seed)
    values: list[list[float | None]] = random.normal(0.9, 0.02, (4, 12)).round(seed % 4 + 1).tolist()
    for setting in range(seed % 3):
        for at in random.integers(0, 12, setting + 1):
            values[setting][at] = None
    axis = TuneAxis("learning_rate", (0.001, 0.01, 0.1, 1.0), "log")
    trials = tuple(Trial((label,), tuple(own)) for label, own in zip(axis.labels, values, strict=True))
    for at, tuned in enumerate(_chosen(trials, (axis,), lower)):
        expected = best([trial.without(at) for trial in trials], [axis], lower=lower)
        assert (tuned.setting, tuned.tied, tuned.edges) == (expected.setting, expected.tied, expected.edges)
        assert tuned.mean == pytest.approx(expected.mean, rel=1e-12)
