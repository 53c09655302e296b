"""TPE: the next settings by Optuna's sampler, which is asked anew each time from the settings there are.

Bergstra et al. 2011, *Algorithms for Hyper-Parameter Optimization*. Optuna keeps nothing between two calls: the study is
made in memory from the runs, so a restart loses nothing and the same runs give the same next settings.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.comparing.effects import lower_is_better
from experiments.searching.trials import Labels, Trial
from experiments.spec.factors import Factor
from experiments.spec.levels import Level, level_label
from experiments.spec.sweeps import LogAxis

if TYPE_CHECKING:
    import optuna

STARTUP = 10
"""Settings that the sampler draws at random before it has anything to learn from, as Optuna has it."""
REPLAYED = 64
"""Settings up to which the sampler's draws are repeated from the first. A search by one worker is then the very one that
Optuna's own script makes with that seed. After that it begins a new sequence, since repeating costs the square of their number.
"""
REPEATED = 30
"""Suggestions in a row that are known already, after which an unknown setting is drawn at random."""
DRAWS = 1000
"""Random draws after which there is nothing new to find."""


def suggestions(
    factors: Sequence[Factor], known: Sequence[Trial], number: int, *, metric: str, seed: int
) -> list[tuple[Level, ...]]:
    """The next settings to try.

    Args:
        factors: what varies, in the order of the settings.
        known: the settings so far, also those that still train: they keep the next ones apart from them.
        number: how many are wanted.
        metric: what is to be improved.
        seed: of the search.

    Returns:
        Up to `number` settings that are not known, each as one level per factor; fewer where there are no more.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    lower = lower_is_better(metric)
    distributions = {factor.name: _distribution(factor) for factor in factors}
    replayed = len(known) <= REPLAYED
    # The sampler draws what it drew for the settings that are known, so that its next draw is the next one.
    drawn_with = seed % 2**32 if replayed else (seed * 100_003 + len(known)) % 2**32
    sampler = optuna.samplers.TPESampler(seed=drawn_with, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler, direction="minimize" if lower else "maximize")
    values = [trial.value for trial in known if trial.value is not None]
    worst = (max if lower else min)(values) if values else None
    for trial in known:
        if replayed:
            study.tell(study.ask(distributions), state=_state("FAIL"))
        study.add_trial(_told(factors, trial, distributions, worst))
    seen = {trial.setting for trial in known}
    draw = random.Random(f"gradus tpe {seed} {len(known)}")  # noqa: S311  reproducible on purpose
    chosen: list[tuple[Level, ...]] = []
    while len(chosen) < number:
        setting = _asked(study, factors, distributions, seen) or _drawn(factors, draw, seen)
        if setting is None:
            break
        seen.add(tuple(level.label for level in setting))
        chosen.append(setting)
    return chosen


def _asked(
    study: optuna.Study, factors: Sequence[Factor], distributions: dict[str, Any], seen: set[Labels]
) -> tuple[Level, ...] | None:
    """A setting that the sampler suggests and nobody has tried; None where it only repeats itself."""
    for _ in range(REPEATED):
        trial = study.ask(distributions)
        setting = tuple(_level(factor, trial.params[factor.name]) for factor in factors)
        if tuple(level.label for level in setting) not in seen:
            return setting
        study.tell(trial, state=_state("FAIL"))
    return None


def _drawn(factors: Sequence[Factor], draw: random.Random, seen: set[Labels]) -> tuple[Level, ...] | None:
    """A setting that nobody has tried, at random; None where none is found."""
    for _ in range(DRAWS):
        setting = tuple(
            factor.levels()[int(draw.random() * factor.size)]
            if factor.size
            else _level(factor, factor.at(draw.random()))
            for factor in factors
        )
        if tuple(level.label for level in setting) not in seen:
            return setting
    return None


def _distribution(factor: Factor) -> optuna.distributions.BaseDistribution:
    """What a factor's values are drawn from: a range as itself, levels by their index."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if factor.size:
        ordered = not isinstance(factor.axis, list | dict)
        return IntDistribution(0, factor.size - 1) if ordered else CategoricalDistribution(range(factor.size))
    low, high = factor.axis.ends  # type: ignore[attr-defined]
    log = isinstance(factor.axis, LogAxis)
    if factor.whole:
        return IntDistribution(round(low), round(high), log=log)
    return FloatDistribution(low, high, log=log)


def _level(factor: Factor, value: Any) -> Level:
    """The level of a value that the sampler gave."""
    if factor.size:
        return factor.levels()[int(value)]
    rounded = int(value) if factor.whole else float(f"{value:.12g}")
    return Level(level_label(rounded), rounded)


def _told(
    factors: Sequence[Factor], trial: Trial, distributions: dict[str, Any], worst: float | None
) -> optuna.trial.FrozenTrial:
    """A setting as the sampler knows it. One without a value counts as the worst so far."""
    import optuna

    params = {
        factor.name: _value(factor, label) for factor, label in zip(factors, trial.setting, strict=True)
    }
    if trial.state == "waiting":
        return optuna.trial.create_trial(state=_state("RUNNING"), params=params, distributions=distributions)
    value = worst if trial.value is None else trial.value
    if value is None:
        return optuna.trial.create_trial(state=_state("FAIL"), params=params, distributions=distributions)
    return optuna.trial.create_trial(value=value, params=params, distributions=distributions)


def _value(factor: Factor, label: str) -> Any:
    """What the sampler calls a level: the number of a range, the index of another level."""
    if factor.size:
        return next(index for index, level in enumerate(factor.levels()) if level.label == label)
    return int(label) if factor.whole else min(max(float(label), factor.axis.ends[0]), factor.axis.ends[1])  # type: ignore[attr-defined]


def _state(name: str) -> optuna.trial.TrialState:
    import optuna

    return optuna.trial.TrialState[name]
