"""Each level at its own best where no seeds were set aside for tuning: for every seed, the setting that is best on
the other seeds.

What follows from it is exploratory: the effects of two seeds share the runs they were tuned on, so they are not
independent, and whoever looks chose the question after the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from experiments.comparing.design import Place, Result
from experiments.comparing.effects import Score, State
from experiments.comparing.tuning import Setting, Trial, TuneAxis, Tuned, best


@dataclass(frozen=True)
class HeldOut:
    """scores: one per place and seed. chosen: the setting behind each, found without looking at its seed."""

    scores: tuple[Score, ...]
    chosen: Mapping[tuple[Place, int], Tuned]


def leave_one_out(results: Iterable[Result], axes: Sequence[TuneAxis], *, lower: bool) -> HeldOut | None:
    """Every place (level and cell) at every seed, at the setting with the best mean validation metric over the
    other seeds.

    Only seeds at which every run of every level has finished are tuned on, so that all levels have equal numbers of
    points and seeds; at the others a score says what it waits for.

    Returns:
        None where that cannot be: fewer than two seeds or settings, not every place at every setting and seed (a
        random draw, say), or no validation data.
    """
    table = {(r.level, r.cell, r.setting, r.seed): r for r in results}
    places = list(dict.fromkeys((r.level, r.cell) for r in table.values()))
    settings = list(dict.fromkeys(r.setting for r in table.values()))
    seeds = sorted({r.seed for r in table.values()})
    whole = len(places) * len(settings) * len(seeds)
    if min(len(seeds), len(settings)) < 2 or len(table) < whole:
        return None
    if any(r.state == "finished" and r.validation is None and not r.diverged for r in table.values()):
        return None
    open_ = {r.seed for r in table.values() if r.state != "finished"}
    complete = [seed for seed in seeds if seed not in open_]
    scores: list[Score] = []
    chosen: dict[tuple[Place, int], Tuned] = {}
    for place in places:
        for seed in seeds:
            own = {setting: table[(*place, setting, seed)] for setting in settings}
            others = [other for other in complete if other != seed]
            if seed in open_ or not others:
                scores.append(_open(place, seed, own.values()))
                continue
            trials = [_trial(table, place, setting, others) for setting in settings]
            found = best(trials, axes, lower=lower)
            chosen[place, seed] = found
            run = own[found.setting]
            scores.append(Score(place[0], " / ".join(place[1]), seed, run.value, run.state, run.diverged))
    return HeldOut(tuple(scores), chosen)


def _trial(
    table: Mapping[tuple[str, tuple[str, ...], Setting, int], Result],
    place: Place,
    setting: Setting,
    seeds: Sequence[int],
) -> Trial:
    runs = [table[(*place, setting, seed)] for seed in seeds]
    return Trial(setting, tuple(None if run.diverged else run.validation for run in runs))


def _open(place: Place, seed: int, runs: Iterable[Result]) -> Score:
    """The score of a seed that is not complete: failed where a run of this place is, else it waits."""
    states = {run.state for run in runs}
    lost: tuple[State, ...] = ("failed", "killed")
    state: State = next((one for one in lost if one in states), "waiting")
    return Score(place[0], " / ".join(place[1]), seed, None, state)
