"""Which level is the best, and levels against a control."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.comparing.statistics import t_quantile
from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from tests.experiments.comparing.test_design import Play, design
from tests.present import present

LEVELS = ["sigmoid", "tanh", "relu", "gelu", "elu"]
MANY = {"sweep": {"activation": LEVELS}}
WORTH = {"sigmoid": 0.80, "tanh": 0.85, "relu": 0.90, "gelu": 0.901, "elu": 0.70}


def asked(**compare: Any) -> Any:
    """Five levels without tuning."""
    return design(
        {
            "name": "q",
            "dataset": {"name": "digits"},
            "model": {"hidden": [32]},
            "optimizer": {"name": "sgd"},
            **MANY,
            "compare": {"factor": "activation", "delta": 0.01, "looks": [5, 10], **compare},
        }
    )


def noisy(level: str, rate: float, seed: int) -> float:
    """Levels apart by WORTH, with a spread of about 0.002 over seeds that differs between them."""
    return WORTH[level] + 0.002 * (((seed * 7 + 3 * LEVELS.index(level)) % 5) - 2)


def test_with_a_control_the_others_are_compared_with_it_alone() -> None:
    compared = asked(control="relu")
    assert compared.pairs == (("sigmoid", "relu"), ("tanh", "relu"), ("gelu", "relu"), ("elu", "relu"))
    assert compared.error == 0.05 / (2 * 4), "m = levels − 1"
    end = Play(compared, noisy).play()
    assert [judgement.verdict for judgement in end.judgements] == [
        "better",
        "better",
        "equivalent within δ",
        "better",
    ]


def test_the_best_is_among_the_set_and_the_others_get_no_further_seeds() -> None:
    play = Play(asked(best=True, delta=0.0005), noisy)
    end = play.play()
    assert play.stages == [("look-1", 25), ("look-2", 10)], "two levels go on"
    assert set(present(end.best).levels) == {"relu", "gelu"}
    assert present(end.best).text == "undecided: 2 of 5 may be the best: gelu and relu"
    assert end.wait == "last look"


def test_levels_within_delta_of_the_best_end_the_question() -> None:
    end = Play(asked(best=True), noisy).play()
    assert (end.wait, present(end.best).decided) == ("decided", True)
    assert present(end.best).text == "gelu and relu are the best of 5: each is within 0.01 of the best"
    assert all(most < 0.01 for most in present(end.best).behind.values())


def test_one_level_that_beats_all_is_the_best() -> None:
    end = Play(
        asked(best=True), lambda level, rate, seed: noisy(level, rate, seed) + 0.05 * (level == "elu") * 5
    ).play()
    assert present(end.best).text == "elu is the best of 5"


def test_only_one_end_of_an_interval_can_lose_the_best() -> None:
    """k − 1 = 4 one-sided statements at 2 looks, each at α/8: a two-sided interval at twice that."""
    assert asked(best=True).error == pytest.approx(2 * 0.05 / 8)
    assert t_quantile(asked(best=True).error, 5) < t_quantile(asked().error, 5)


@pytest.mark.parametrize(
    ("compare", "path"),
    [({"control": "swish"}, "compare.control"), ({"control": "relu", "best": True}, "compare")],
)
def test_what_cannot_be_asked_is_refused(compare: Any, path: str) -> None:
    with pytest.raises(SpecError) as refused:
        asked(**compare)
    assert refused.value.problems[0].path == path


SEEDS = """
name: explicit-seeds
dataset: {name: digits}
model: {hidden: [16]}
optimizer: {name: sgd, learning_rate: 0.1}
sweep: {activation: [relu, tanh], seeds: [100, 300, 200]}
compare: {factor: activation, delta: 0.05, looks: [3]}
"""


def test_named_seeds_are_used_as_given() -> None:
    stage = present(Play(design(SEEDS), noisy).now().next)
    assert [run.seed for run in stage.runs] == [100, 300, 200] * 2


def test_the_first_named_seeds_are_for_tuning() -> None:
    text = SEEDS.replace("looks: [3]", "looks: [2], tune: {learning_rate: [0.01, 0.1, 1.0], seeds: 1}")
    named = design(text)
    assert (named.tune_seeds, tuple(named.fresh), tuple(named.spare)) == ((100,), (300, 200), ())


@pytest.mark.parametrize("looks", ["[2]", "[4]"])
def test_named_seeds_that_cannot_be_used_are_refused(looks: str) -> None:
    with pytest.raises(SpecError) as refused:
        design(SEEDS.replace("looks: [3]", f"looks: {looks}"))
    assert refused.value.problems[0].path == "sweep.seeds"
    assert "3 seeds are named" in refused.value.problems[0].message


def test_a_count_of_seeds_beside_a_question_is_warned_about() -> None:
    spec = ExperimentSpec.parse(SEEDS.replace("[100, 300, 200]", "3"))
    assert any("sweep.seeds is left out" in warning for warning in spec.warnings())
