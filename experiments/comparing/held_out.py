"""Each level at its own best where no seeds were set aside for tuning: for every seed, the setting that is best on
the other seeds.

What follows from it is exploratory. The effects of two seeds share the runs they were tuned on, so they are not
independent, and the question was chosen after the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from experiments.comparing.design import Arm, Observation
from experiments.comparing.effects import Score, State
from experiments.comparing.tuning import Trial, TuneAxis, Tuned, best


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
    table = {(run.level, run.cell, run.setting, run.seed): run for run in observations}
    arms = list(dict.fromkeys((run.level, run.cell) for run in table.values()))
    settings = list(dict.fromkeys(run.setting for run in table.values()))
    seeds = sorted({run.seed for run in table.values()})
    if min(len(seeds), len(settings)) < 2 or len(table) < len(arms) * len(settings) * len(seeds):
        return None
    if any(run.state == "finished" and run.validation is None and not run.diverged for run in table.values()):
        return None
    open_seeds = {run.seed for run in table.values() if run.state != "finished"}
    complete = [seed for seed in seeds if seed not in open_seeds]
    scores: list[Score] = []
    chosen: dict[tuple[Arm, int], Tuned] = {}
    for arm in arms:
        values = {
            setting: [_validation(table[(*arm, setting, seed)]) for seed in complete] for setting in settings
        }
        measured = tuple(Trial(setting, tuple(of_setting)) for setting, of_setting in values.items())
        choose = _chosen if all(axis.spacing != "none" for axis in axes) else _chosen.__wrapped__
        best_without = dict(zip(complete, choose(measured, tuple(axes), lower), strict=False))
        for seed in seeds:
            own = {setting: table[(*arm, setting, seed)] for setting in settings}
            if seed not in best_without:
                scores.append(_open_score(arm, seed, own.values()))
                continue
            tuned = chosen[arm, seed] = best_without[seed]
            run = own[tuned.setting]
            scores.append(Score(arm[0], " / ".join(arm[1]), seed, run.value, run.state, run.diverged))
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
    return tuple(best([trial.without(at) for trial in trials], axes, lower=lower) for at in range(count))


def _validation(run: Observation) -> float | None:
    return None if run.diverged else run.validation


def _open_score(arm: Arm, seed: int, runs: Iterable[Observation]) -> Score:
    """The score of a seed that is not complete: failed where a run of this arm failed, else waiting."""
    states = {run.state for run in runs}
    lost: tuple[State, ...] = ("failed", "killed")
    state: State = next((name for name in lost if name in states), "waiting")
    return Score(arm[0], " / ".join(arm[1]), seed, None, state)
