"""TPE: Optuna's sampler, asked from the settings there are."""

from __future__ import annotations

from statistics import median

import pytest

from bench.tpe import SPACES, both, factors, worse_by
from experiments.searching.tpe import STARTUP, suggestions
from experiments.searching.trials import Trial

MIXED = {
    "learning_rate": {"log": [1e-4, 1.0]},
    "activation": ["relu", "tanh", "sigmoid"],
    "training.batch_size": {"linear": [16, 64]},
    "momentum": {"linear": [0.0, 0.9], "points": 4},
}


def test_settings_are_levels_of_the_factors_and_all_different() -> None:
    axes = factors(**MIXED)
    chosen = suggestions(axes, (), 20, metric="val/loss", seed=0)
    assert len({tuple(level.label for level in setting) for setting in chosen}) == 20
    for rate, activation, batch, momentum in chosen:
        assert isinstance(rate.value, float)
        assert 1e-4 <= rate.value <= 1.0
        assert activation.label in ("relu", "tanh", "sigmoid")
        assert isinstance(batch.value, int)
        assert momentum.value in (0.0, 0.3, 0.6, 0.9)


def test_the_same_runs_give_the_same_next_settings() -> None:
    axes = factors(**MIXED)
    first = suggestions(axes, (), STARTUP, metric="val/loss", seed=3)
    told = [
        Trial(tuple(level.label for level in setting), "finished", 1, 0.1 * i)
        for i, setting in enumerate(first)
    ]
    assert suggestions(axes, told, 2, metric="val/loss", seed=3) == suggestions(
        axes, told, 2, metric="val/loss", seed=3
    )


def test_a_small_space_is_searched_to_its_end_and_no_further() -> None:
    axes = factors(activation=["relu", "tanh", "sigmoid"], momentum=[0.0, 0.5, 0.9])
    known = [Trial(tuple(factor.levels()[0].label for factor in axes), "finished", 1, 0.1)]
    found = suggestions(axes, known, 20, metric="val/loss", seed=0)
    assert len(found) == 8
    assert not suggestions(axes, [Trial(tuple(x.label for x in s), "waiting", 0, None) for s in found] + known, 1,
                           metric="val/loss", seed=0)  # fmt: skip


def test_a_diverged_setting_keeps_the_search_away() -> None:
    """Rates above 0.1 diverge: the later settings keep below more often than by chance."""
    axes = factors(learning_rate={"log": [1e-4, 1e4]})
    known: list[Trial] = []
    for _ in range(30):
        ((rate,),) = suggestions(axes, known, 1, metric="val/loss", seed=1)
        value = None if float(rate.value) > 0.1 else abs(float(rate.value) - 0.05)  # type: ignore[arg-type]
        known.append(Trial((rate.label,), "failed" if value is None else "finished", 1, value))
    assert sum(trial.value is not None for trial in known[20:]) >= 6  # by chance 3 of 8 decades
    assert min(trial.value for trial in known if trial.value is not None) < 0.02


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("space", list(SPACES))
def test_the_best_after_40_runs_is_no_worse_than_optunas_own_script(space: str) -> None:
    """50 seeds, one setting at a time as the script does. The two draw other random numbers, so that of their medians either
    may be the lower; worse it would be by 2.6 standard errors, in 1 of 200 where they are alike."""
    own, theirs = both(space, 50)
    assert worse_by(own, theirs) < 2.6, (median(own), median(theirs))


def test_how_much_worse_by_hand() -> None:
    """Of 9 pairs all, none, and half: (9 − 4.5) / √(9·7/12) = 1.96."""
    assert worse_by([4, 5, 6], [1, 2, 3]) == pytest.approx(1.964, abs=1e-3)
    assert worse_by([1, 2, 3], [4, 5, 6]) == pytest.approx(-1.964, abs=1e-3)
    assert worse_by([1, 2, 3], [1, 2, 3]) == 0
