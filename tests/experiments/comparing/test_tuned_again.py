"""Settings that the tuning seeds cannot tell apart: tuned on more seeds, then both compared."""

from __future__ import annotations

import math
from typing import Any

from experiments.comparing.tuning import Trial, is_tied
from experiments.spec import ExperimentSpec
from tests.experiments.comparing.test_design import BASE, Play, design

TWO = BASE.replace("[sigmoid, tanh, relu]", "[tanh, relu]")


def flip(seed: int, rate: float) -> float:
    """±0.01, another pattern for each rate."""
    return 0.01 if (seed + round(math.log10(rate))) % 2 else -0.01


def test_told_apart_by_hand() -> None:
    """Differences 0.05, 0.04: t = 0.045/0.005 = 9. Differences 0.03, 0.01: t = 0.02/0.01 = 2, below 3.08."""
    assert not is_tied(Trial(("a",), (0.95, 0.94)), Trial(("b",), (0.90, 0.90)))
    assert is_tied(Trial(("a",), (0.93, 0.91)), Trial(("b",), (0.90, 0.90)))
    assert is_tied(Trial(("a",), (0.9,)), Trial(("b",), (0.1,))), "one seed has no spread"
    assert not is_tied(Trial(("a",), (0.9, 0.9)), Trial(("b",), (None, 0.9)))


def lucky(level: str, rate: float, seed: int) -> float:
    """relu is alike at 0.01 and 0.1 but for noise; tanh is best at 0.1."""
    if level == "relu" and rate in (0.01, 0.1):
        return 0.90 + flip(seed, rate) + 0.001 * (seed % 3)
    return 0.9 - 0.05 * abs(math.log10(rate) + 1) + 0.001 * (seed % 4)


def test_tied_settings_are_tuned_on_more_seeds_and_then_both_compared() -> None:
    play = Play(design(TWO), lucky)
    end = play.play()
    names = [name for name, _ in play.stages]
    assert names[:3] == ["tune", "tune-again-1", "tune-again-2"]
    assert dict(play.stages)["tune-again-1"] == 2 * 2, "two settings of one level, two seeds more"
    assert dict(play.stages)["tune-again-2"] == 2 * 4
    assert end.tuned["relu", ()].settings in ((("0.01",), ("0.1",)), (("0.1",), ("0.01",)))
    assert end.tuned["tanh", ()].settings == (("0.1",),)
    assert dict(play.stages)["look-1"] == 5 * 3


def test_a_verdict_that_depends_on_the_setting_says_so() -> None:
    def score(level: str, rate: float, seed: int) -> float:
        """On the tuning seeds relu's two rates are alike; on the fresh ones one is ahead of tanh, one behind."""
        if level == "relu" and rate in (0.01, 0.1) and seed in range(2, 12):
            return (0.95 if rate == 0.1 else 0.85) + 0.0005 * (seed % 3)
        return lucky(level, rate, seed)

    (judged,) = Play(design(TWO), score).play().judgements
    assert judged.verdict == "tuned within noise"
    assert "relu better than tanh" in judged.text
    assert "tanh better than relu" in judged.text


def test_a_verdict_that_holds_at_both_settings_is_claimed() -> None:
    def score(level: str, rate: float, seed: int) -> float:
        return lucky(level, rate, seed) - (0.3 if level == "tanh" else 0.0)

    (judged,) = Play(design(TWO), score).play().judgements
    assert judged.verdict == "better"
    assert judged.text == "relu better than tanh (at each of the settings that tuning could not tell apart)"


def test_the_budget_comes_before_a_tie() -> None:
    """16 tuning runs and 15 of the first look: nothing is left to tune again."""
    text = TWO.replace("looks: [5, 10]", "looks: [5, 10]\n  budget: 33")
    play = Play(design(text), lucky)
    play.play()
    assert [name for name, _ in play.stages] == ["tune", "look-1"]


def test_one_tuning_seed_is_warned_about() -> None:
    warnings = ExperimentSpec.parse(TWO.replace("seeds: 2", "seeds: 1")).warnings()
    assert any("compare.tune.seeds is 1" in warning for warning in warnings)


def test_one_tuning_seed_is_doubled_until_it_tells() -> None:
    """The best rate by far is confirmed by the second seed."""

    def score(level: str, rate: float, seed: int) -> Any:
        return 0.9 - 0.05 * abs(math.log10(rate) + 1) + 0.0001 * (seed % 4)

    play = Play(design(TWO.replace("seeds: 2", "seeds: 1")), score)
    play.play()
    assert [name for name, _ in play.stages][:3] == ["tune", "tune-again-1", "look-1"]
