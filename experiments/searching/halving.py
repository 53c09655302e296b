"""Successive halving: every setting trains a little, the best 1/η of them go on, and so again at every rung.

Jamieson & Talwalkar 2016, *Non-stochastic Best Arm Identification and Hyperparameter Optimization*. A rung is a number
of epochs. A setting goes on from where it stopped; nothing is trained twice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from experiments.searching.trials import Labels, Trial

ETA = 2
"""η where the spec names none. With η = 3 the winner of the whole grid was lost in 20 % of the repeats of `bench/halving.py`,
since one epoch tells the best third badly; with 2 in 2 %.
"""
SHARES = (9, 3, 1)
"""Rungs where the spec names none: a ninth, a third and all of the epochs."""


def rungs_of(epochs: int) -> tuple[int, ...]:
    """The rungs of a search that names none: a ninth, a third and all of the epochs, whole numbers that rise.

    Args:
        epochs: of the last rung, at least 1.
    """
    return tuple(sorted({max(1, round(epochs / share)) for share in SHARES}))


def promoted(
    settings: Sequence[Trial], eta: int, metric: str, group: Callable[[Labels], Hashable]
) -> list[Labels]:
    """The settings that go on to the next rung: of every group the best 1/η, and at least one.

    Args:
        settings: those of this rung, all of them ended.
        eta: η.
        metric: what they are ranked by. Between equal ones the earlier goes on.
        group: the group of a setting. No group is starved by another.

    Returns:
        Settings that have a value: one that failed or diverged never goes on.
    """
    groups: dict[Hashable, list[Trial]] = {}
    for trial in settings:
        groups.setdefault(group(trial.setting), []).append(trial)
    going_on: list[Labels] = []
    for own in groups.values():
        ranked = sorted((trial for trial in own if trial.value is not None), key=lambda t: t.rank(metric))
        going_on += [trial.setting for trial in ranked[: max(1, len(own) // eta)]]
    return going_on


def updates_share(settings: int, rungs: Sequence[int], eta: int) -> float:
    """The share of the full grid's updates that halving takes, where all settings are one group.

    Args:
        settings: how many begin.
        rungs: epochs of each.
        eta: η.
    """
    trained, before, left = 0, 0, settings
    for epochs in rungs:
        trained += left * (epochs - before)
        before, left = epochs, max(1, left // eta)
    return trained / (settings * rungs[-1])
