"""Each level at its own best where no seeds were set aside for tuning: for every seed, the setting that is best on
the other seeds.

What follows from it is exploratory. The effects of two seeds share the runs they were tuned on, so they are not
independent, and the question was chosen after the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from experiments.comparing.design import Arm, Observation
from experiments.comparing.effects import Score, State
from experiments.comparing.statistics import half_width
from experiments.comparing.tuning import TOLD_APART, Setting, Trial, TuneAxis, Tuned, best

FEWEST_SUMMED = 8
"""Seeds from which on the best settings are found from sums."""
ROUNDING = 1e-7
"""Means that differ by less than this share of the largest value are compared number by number."""


@dataclass(frozen=True)
class HeldOut:
    """One score per arm and seed, and the setting behind each, which was chosen without its seed."""

    scores: tuple[Score, ...]
    chosen: Mapping[tuple[Arm, int], Tuned]


def leave_one_out(
    observations: Iterable[Observation], axes: Sequence[TuneAxis], *, lower: bool
) -> HeldOut | None:
    """Every arm at every seed, at the setting with the best mean validation metric over the other seeds.

    Only seeds at which every run of every level has finished are tuned on, so that all levels have equal numbers of
    points and seeds. At the other seeds a score says what it waits for.

    Args:
        observations: The runs.
        axes: The tuned axes, in the order of the settings' labels.
        lower: Whether a lower validation metric is better.

    Returns:
        None where it cannot be done: fewer than two seeds or settings, an arm without some setting and seed (as in
        a random draw), or no validation data.
    """
    table: dict[Arm, dict[Setting, dict[int, Observation]]] = {}
    for run in observations:
        table.setdefault((run.level, run.cell), {}).setdefault(run.setting, {})[run.seed] = run
    cells = [by_seed for by_setting in table.values() for by_seed in by_setting.values()]
    settings = list(dict.fromkeys(setting for by_setting in table.values() for setting in by_setting))
    seeds = sorted(set().union(*cells))
    if min(len(seeds), len(settings)) < 2:
        return None
    if sum(map(len, cells)) < len(table) * len(settings) * len(seeds):
        return None
    runs = [run for by_seed in cells for run in by_seed.values()]
    if any(run.validation is None and run.state == "finished" and not run.diverged for run in runs):
        return None
    open_seeds = {run.seed for run in runs if run.state != "finished"}
    complete = [seed for seed in seeds if seed not in open_seeds]
    scores: list[Score] = []
    chosen: dict[tuple[Arm, int], Tuned] = {}
    for arm, by_setting in table.items():
        measured = tuple(
            Trial(setting, tuple([_validation(by_setting[setting][seed]) for seed in complete]))
            for setting in settings
        )
        choose = _chosen if all(axis.spacing != "none" for axis in axes) else _chosen.__wrapped__
        cell = " / ".join(arm[1])
        best_without = dict(zip(complete, choose(measured, tuple(axes), lower), strict=False))
        for seed in seeds:
            if seed not in best_without:
                own = [by_seed[seed] for by_seed in by_setting.values()]
                scores.append(_open_score(arm, seed, own))
                continue
            tuned = chosen[arm, seed] = best_without[seed]
            run = by_setting[tuned.setting][seed]
            scores.append(Score(arm[0], cell, seed, run.value, run.state, run.diverged))
    return HeldOut(tuple(scores), chosen)


@lru_cache(maxsize=64)
def _chosen(trials: tuple[Trial, ...], axes: tuple[TuneAxis, ...], lower: bool) -> tuple[Tuned, ...]:
    """The best setting without each of the seeds in turn; empty for fewer than two seeds.

    Kept, because a page asks again whenever a run ends, and then at most one arm has other values. Only for axes of
    numbers: another value may have no hash.
    """
    count = len(trials[0].values)
    if count < 2:
        return ()
    clear = _clearly_best(trials, axes, lower)
    return tuple(
        clear.get(at) or best([trial.without(at) for trial in trials], axes, lower=lower)
        for at in range(count)
    )


def _clearly_best(trials: Sequence[Trial], axes: Sequence[TuneAxis], lower: bool) -> dict[int, Tuned]:
    """What `best` says without a seed, for each seed at which no rounding can change it.

    `best` adds up all values again for every seed. Here one sum does for all: with n seeds, the mean m and the deviations c
    from it, the mean without seed i is m − c_i / (n − 1), and the squares about that add up to Σc² − c_i²·n / (n − 1).
    """
    count, whole = len(trials[0].values), [trial for trial in trials if not trial.diverged]
    if len(whole) < 2 or count < FEWEST_SUMMED:
        return {}
    values = np.array([trial.values for trial in whole], np.float64)
    near = ROUNDING * float(np.abs(values).max())
    without = (values.sum(axis=1, keepdims=True) - values) / (count - 1)
    worth = without if lower else -without
    order = np.argsort(worth, axis=0)
    gaps = np.diff(np.take_along_axis(worth, order, axis=0), axis=0)[:2].min(axis=0)
    clear = {}
    for first, second in set(zip(order[0].tolist(), order[1].tolist(), strict=True)):
        differences = values[first] - values[second]
        deviations = differences - differences.mean()
        mean = differences.mean() - deviations / (count - 1)
        squares = deviations @ deviations - deviations**2 * count / (count - 1)
        sd = np.sqrt(np.maximum(squares, 0.0) / (count - 2))
        margin = np.abs(mean) - half_width(1.0, count - 1, TOLD_APART) * sd
        own = (order[0] == first) & (order[1] == second) & (gaps > near) & (np.abs(margin) > near)
        for at in np.flatnonzero(own & ~_whole_without(trials)).tolist():
            tied = whole[second].setting if margin[at] < 0 else None
            clear[at] = Tuned.of(whole[first].setting, float(without[first, at]), tied, axes)
    return clear


def _whole_without(trials: Sequence[Trial]) -> npt.NDArray[np.bool_]:
    """For every seed whether some setting diverged at it and at no other seed."""
    values = np.array([trial.values for trial in trials], np.float64)
    lost = ~np.isfinite(values)
    only: npt.NDArray[np.bool_] = (lost & (lost.sum(axis=1, keepdims=True) == 1)).any(axis=0)
    return only


def _validation(run: Observation) -> float | None:
    return None if run.diverged else run.validation


def _open_score(arm: Arm, seed: int, runs: Iterable[Observation]) -> Score:
    """The score of a seed that is not complete: failed where a run of this arm failed, else waiting."""
    states = {run.state for run in runs}
    lost: tuple[State, ...] = ("failed", "killed")
    state: State = next((name for name in lost if name in states), "waiting")
    return Score(arm[0], " / ".join(arm[1]), seed, None, state)
