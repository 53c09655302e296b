"""TPE: Optuna's sampler, asked from the settings there are."""

from __future__ import annotations

import pytest

from bench.tpe import SPACES, both, factors
from experiments.searching.tpe import REPLAYED, STARTUP, suggestions
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
    suggested = suggestions(axes, known, 20, metric="val/loss", seed=0)
    assert len(suggested) == 8
    assert not suggestions(axes, [Trial(tuple(x.label for x in s), "waiting", 0, None) for s in suggested] + known, 1,
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


@pytest.mark.parametrize("space", list(SPACES))
def test_a_search_by_one_worker_is_that_of_optunas_own_script(space: str) -> None:
    """The best after 40 runs, but for the twelve digits that a value is kept with."""
    own, theirs = both(space, 1)
    assert own == pytest.approx(theirs, abs=1e-9)


def test_a_long_search_goes_on_with_other_draws() -> None:
    axes = factors(learning_rate={"log": [1e-4, 1.0]})
    known = [
        Trial((f"{0.001 * (i + 1):g}",), "finished", 1, abs(0.05 - 0.001 * i)) for i in range(REPLAYED + 1)
    ]
    later = suggestions(axes, known, 1, metric="val/loss", seed=0)
    assert later == suggestions(axes, known, 1, metric="val/loss", seed=0)
    assert later != suggestions(axes, known[:-1], 1, metric="val/loss", seed=0)
