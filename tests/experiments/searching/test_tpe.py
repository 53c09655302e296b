"""TPE: Optuna's sampler, asked from the settings there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna
import pytest

from experiments.searching.tpe import STARTUP, suggestions
from experiments.searching.trials import Trial
from experiments.spec import ExperimentSpec
from experiments.spec.factors import Factor

SPEC = {
    "name": "search",
    "dataset": {"name": "digits"},
    "model": {"hidden": [8]},
    "optimizer": {"name": "sgd"},
}


def factors(**axes: object) -> tuple[Factor, ...]:
    spec = ExperimentSpec.parse(SPEC | {"sweep": {"strategy": "tpe", "runs": 8, **axes}})
    return spec.factors


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


SPACES: dict[str, tuple[dict[str, object], Callable[..., float]]] = {
    "a rate": ({"learning_rate": {"log": [1e-5, 10.0]}}, lambda r: abs(_log10(r) + 2)),
    "rate and momentum": (
        {"learning_rate": {"log": [1e-5, 10.0]}, "momentum": {"linear": [0.0, 0.99]}},
        lambda r, m: (_log10(r / (1 - m)) + 1) ** 2 + 0.3 * (m - 0.9) ** 2,
    ),
    "with a choice": (
        {"learning_rate": {"log": [1e-5, 10.0]}, "activation": ["sigmoid", "tanh", "relu", "elu"]},
        lambda r, a: abs(_log10(r) + {"sigmoid": 0.0, "tanh": 1.0, "relu": 2.0, "elu": 2.5}[a])
        + {"sigmoid": 0.3, "tanh": 0.1, "relu": 0.0, "elu": 0.05}[a],
    ),
    "whole numbers": (
        {"training.batch_size": {"linear": [1, 256]}, "learning_rate": {"log": [1e-4, 1.0]}},
        lambda b, r: (_log10(r * 32 / b) + 2) ** 2 + 0.001 * b,
    ),
    "five at once": (
        {
            "learning_rate": {"log": [1e-5, 10.0]}, "momentum": {"linear": [0.0, 0.99]},
            "training.batch_size": {"linear": [1, 256]}, "activation": ["sigmoid", "tanh", "relu"],
            "training.epochs": {"linear": [1, 20]},
        },
        lambda r, m, b, a, e: abs(_log10(r) + 2) + (m - 0.9) ** 2 + abs(b - 32) / 128
        + {"sigmoid": 0.4, "tanh": 0.1, "relu": 0.0}[a] + abs(e - 10) / 20,
    ),
}  # fmt: skip


def _log10(value: float) -> float:
    import math

    return math.log10(value)


def ours(axes: dict[str, object], score: Callable[..., float], seed: int, runs: int, batch: int) -> float:
    """The best after so many runs, asked for in batches as the service asks a fleet of that many workers."""
    varied, known = factors(**axes), list[Trial]()
    while len(known) < runs:
        number = STARTUP if not known else min(batch, runs - len(known))
        settings = suggestions(varied, known, number, metric="val/loss", seed=seed)
        known += [
            Trial(tuple(x.label for x in s), "finished", 1, score(*_values(varied, s))) for s in settings
        ]
    return min(trial.value for trial in known if trial.value is not None)


def _values(varied: Sequence[Factor], setting: Sequence[object]) -> list[object]:
    return [x.label if f.name == "activation" else x.value for f, x in zip(varied, setting, strict=True)]  # type: ignore[attr-defined]


def optunas(axes: dict[str, object], score: Callable[..., float], seed: int, runs: int) -> float:
    """The script that a person would write with Optuna."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        values: list[object] = []
        for name, axis in axes.items():
            if isinstance(axis, list):
                values.append(trial.suggest_categorical(name, axis))
            elif "log" in axis:  # type: ignore[operator]
                values.append(trial.suggest_float(name, *axis["log"], log=True))  # type: ignore[index]
            elif isinstance(axis["linear"][0], int):  # type: ignore[index]
                values.append(trial.suggest_int(name, *axis["linear"]))  # type: ignore[index]
            else:
                values.append(trial.suggest_float(name, *axis["linear"]))  # type: ignore[index]
        return score(*values)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=runs)
    return float(study.best_value)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("space", list(SPACES))
def test_the_best_after_40_runs_is_no_worse_than_optunas_own_script(space: str) -> None:
    """Median over 50 seeds, one setting at a time as the script does."""
    axes, score = SPACES[space]
    own = sorted(ours(axes, score, seed, 40, 1) for seed in range(50))
    theirs = sorted(optunas(axes, score, seed, 40) for seed in range(50))
    assert own[25] <= theirs[25] * 1.0 + 1e-12, (own[25], theirs[25])
