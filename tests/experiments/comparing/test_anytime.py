"""Looking after every seed: the confidence sequence, the sequential sign test, and designs with `looks: any`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.comparing.sign_tests import sequential_sign_test
from experiments.comparing.statistics import (
    PRIOR_PRECISION,
    half_width,
    half_width_of_sequence,
)
from experiments.comparing.verdicts import ANYTIME, judge
from tests.experiments.comparing.test_design import BASE, Play, design, good
from tests.present import present


def evidence(values: np.ndarray, mean: float) -> float:
    """The likelihood ratio of the sequence itself: √(c²/(n + c²))·(V / (V − S²/(n + c²)))^(n/2) about `mean`."""
    shifted, n = values - mean, len(values)
    total, squares = shifted.sum(), (shifted**2).sum()
    share = PRIOR_PRECISION / (n + PRIOR_PRECISION)
    return float(math.sqrt(share) * (squares / (squares - total**2 / (n + PRIOR_PRECISION))) ** (n / 2))


@pytest.mark.parametrize("n", [6, 12, 40])
@pytest.mark.parametrize("level", [0.05, 0.05 / 21])
def test_at_the_end_of_the_interval_the_evidence_is_one_over_the_level(n: int, level: float) -> None:
    values = np.random.default_rng(n).normal(1.0, 2.0, n)
    half = half_width_of_sequence(float(values.std(ddof=1)), n, level)
    for end in (values.mean() - half, values.mean() + half):
        assert evidence(values, end) == pytest.approx(1 / level, rel=1e-6)


def test_the_freedom_has_a_price() -> None:
    """Wider than Student's interval, by less than twice from 8 seeds on."""
    for n in (8, 16, 47, 200):
        assert 1.0 < half_width_of_sequence(1.0, n, 0.05) / half_width(1.0, n, 0.05) < 2.0
    assert half_width_of_sequence(1.0, 1, 0.05) == math.inf


def test_a_coin_by_hand() -> None:
    """Six heads: 7·C(6, 6)/2⁶ = 7/64; three and three: 7·20/64 > 1."""
    assert sequential_sign_test(6, 0) == pytest.approx(7 / 64)
    assert sequential_sign_test(3, 3) == 1.0
    assert judge("A", "B", [0.25] * 8, delta=0.01, level=0.05, method=ANYTIME).verdict == "better"  # 9/256
    assert judge("A", "B", [0.25] * 7, delta=0.01, level=0.05, method=ANYTIME).verdict == "undecided"  # 8/128


def test_a_design_may_be_looked_at_after_every_seed() -> None:
    asked = design(BASE.replace("looks: [5, 10]", "looks: any"))
    assert asked.error == pytest.approx(0.05 / 3), "one share for all moments"
    play = Play(asked, good)
    end = play.play()
    assert [name for name, _ in play.stages][:2] == ["tune", "look-1"]
    assert end.wait == "decided"
    assert {judgement.verdict for judgement in end.judgements} == {"better", "equivalent within δ"}


def test_the_verdict_uses_the_seeds_that_are_complete_in_their_order() -> None:
    asked = design(BASE.replace("looks: [5, 10]", "looks: any").replace("delta: 0.01", "delta: 0.0001"))
    play = Play(asked, good)
    play.run(present(play.now().next))
    play.state = lambda level, rate, seed: (
        "waiting" if seed == asked.fresh[2] and level == "relu" else "finished"
    )
    play.run(present(play.now().next))
    seeds = {frozenset((judgement.a, judgement.b)): judgement.seeds for judgement in play.now().judgements}
    assert seeds[frozenset(("relu", "tanh"))] == 2, "relu's third seed has not ended"
    assert seeds[frozenset(("sigmoid", "tanh"))] == 4


def test_no_more_seeds_than_planned_unless_somebody_asks() -> None:
    asked = design(BASE.replace("looks: [5, 10]", "looks: any").replace("delta: 0.01", "delta: 0.00001"))
    play = Play(asked, lambda level, rate, seed: 0.9 + 0.001 * ((seed * (7 + len(level))) % 5))
    end = play.play()
    assert end.wait == "last look"
    assert max(judgement.seeds for judgement in end.judgements) == 47
