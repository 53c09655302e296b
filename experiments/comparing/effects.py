"""From the scores of runs to one effect per seed, and what stands in the way of calling it the factor's.

The unit is the seed: d_s is the mean over the other factors' cells of A − B at seed s, signed so that
positive favours A. (Pairs over seed × cell are not independent: they gave 17 to 33 % false positives at a
nominal 5 % in simulation.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.comparing.statistics import (
    Judgement,
    judge,
    judge_signs,
    repeated_interval,
    share_of_error,
    t_quantile,
)

State = Literal["finished", "failed", "killed", "waiting"]
Facets = Mapping[str, str]
"""Everything else that decides a run's result (field path to value), without the factor asked about and the
seed.
"""

_LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "rel_err", "_s")


@dataclass(frozen=True)
class Score:
    """One run as a comparison sees it."""

    level: str
    cell: str
    """The other factors' levels, one label; runs of one cell differ in level and seed alone."""
    seed: int
    value: float | None
    """The metric at its last epoch; None where it is not finite or was never measured."""
    state: State = "finished"
    diverged: bool = False

    @property
    def waits(self) -> bool:
        """No result yet, or none at all: the run has not ended, or never measured the metric."""
        return self.state == "waiting" or (
            self.state == "finished" and self.value is None and not self.diverged
        )


def lower_is_better(metric: str) -> bool:
    """Losses, errors and times are better when smaller; accuracy and everything else when larger."""
    return metric.rsplit("/", 1)[-1].endswith(_LOWER_IS_BETTER)


def validation_of(metric: str) -> str:
    """The same on validation data, by which settings are chosen."""
    return "val/" + metric.rsplit("/", 1)[-1]


def chance_level(metric: str, classes: int | None) -> float | None:
    """What a diverged run scores: 1/C for an accuracy, and nothing (None) for a loss."""
    return 1.0 / classes if metric.rsplit("/", 1)[-1] == "accuracy" and classes else None


def largest_difference(metric: str) -> float:
    """How far apart two runs can be: 1 for an accuracy, and no bound for a loss."""
    return 1.0 if metric.rsplit("/", 1)[-1] == "accuracy" else math.inf


@dataclass(frozen=True)
class Paired:
    """The effects of A over B, seed by seed (as many entries in each tuple as there are complete seeds)."""

    a: str
    b: str
    seeds: tuple[int, ...]
    effects: tuple[float | None, ...]
    """d_s; None at a seed where a loss diverged."""
    signs: tuple[int, ...]
    incomplete: tuple[int, ...]
    """Seeds with a FAILED or KILLED cell."""
    waiting: tuple[int, ...]
    """Seeds with a cell that has not ended, was never asked for, or never measured the metric."""
    diverged_a: int
    diverged_b: int
    runs: int
    """Runs of each level among the complete seeds."""
    largest: float
    """What an effect can be at most."""


def pair(
    scores: Iterable[Score],
    a: str,
    b: str,
    *,
    metric: str,
    chance: float | None,
    seeds: Sequence[int] | None = None,
) -> Paired:
    """Pairs A with B by seed over all cells that either of them has; `seeds` limits and orders what is
    looked at.
    """
    table: dict[tuple[int, str, str], Score] = {}
    for score in scores:
        if score.level in (a, b) and (seeds is None or score.seed in seeds):
            table[score.seed, score.cell, score.level] = score
    cells = sorted({cell for _, cell, _ in table})
    every = list(seeds) if seeds is not None else sorted({seed for seed, _, _ in table})
    complete, effects, signs, incomplete, waiting = [], [], [], [], []
    diverged = {a: 0, b: 0}
    for seed in every:
        found = [(table.get((seed, cell, a)), table.get((seed, cell, b))) for cell in cells]
        flat = [score for couple in found for score in couple]
        if any(s is not None and s.state in ("failed", "killed") for s in flat):
            incomplete.append(seed)
            continue
        couples = [(x, y) for x, y in found if x is not None and y is not None]
        if len(couples) < len(cells) or not cells or any(s is None or s.waits for s in flat):
            waiting.append(seed)
            continue
        for x, y in couples:
            diverged[a] += x.diverged
            diverged[b] += y.diverged
        complete.append(seed)
        effect, sign = _at_seed(couples, lower=lower_is_better(metric), chance=chance)
        effects.append(effect)
        signs.append(sign)
    return Paired(
        a,
        b,
        tuple(complete),
        tuple(effects),
        tuple(signs),
        tuple(incomplete),
        tuple(waiting),
        diverged[a],
        diverged[b],
        len(complete) * len(cells),
        largest_difference(metric),
    )


def value_of(score: Score, chance: float | None) -> float | None:
    """The score with rule 6 applied: chance for a diverged accuracy, None for a diverged loss. What was never
    measured is None too, whatever the chance: a number that nobody saw is no result.
    """
    lost = score.diverged or (score.value is not None and not math.isfinite(score.value))
    return chance if lost else score.value


def _at_seed(
    couples: Sequence[tuple[Score, Score]], *, lower: bool, chance: float | None
) -> tuple[float | None, int]:
    """(d_s or None, its sign). Diverged is worst: fewer diverged cells win, then the mean over cells finite
    in both.
    """
    values = [(value_of(x, chance), value_of(y, chance)) for x, y in couples]
    differences = [(y - x if lower else x - y) for x, y in values if x is not None and y is not None]
    if len(differences) == len(values):
        d = math.fsum(differences) / len(differences)
        return d, (d > 0) - (d < 0)
    lost_a, lost_b = sum(x is None for x, _ in values), sum(y is None for _, y in values)
    if lost_a != lost_b:
        return None, 1 if lost_a < lost_b else -1
    d = math.fsum(differences)
    return None, (d > 0) - (d < 0)


def judge_pair(paired: Paired, *, delta: float, level: float) -> Judgement:
    """The verdict from complete seeds: the t interval where every effect is finite, else the sign test. Where no
    run is left that learned anything, chance equals chance and nothing is claimed.
    """
    effects = [d for d in paired.effects if d is not None]
    if not paired.seeds:
        return Judgement(
            paired.a, paired.b, "undecided", "undecided: no seed is complete yet", None, None, None, 0, 0
        )
    if paired.diverged_a == paired.diverged_b == paired.runs:
        text = "undecided: every run of both diverged"
        return Judgement(paired.a, paired.b, "undecided", text, None, None, None, len(paired.seeds), 0)
    if len(effects) == len(paired.effects):
        return judge(paired.a, paired.b, effects, delta=delta, level=level, largest=paired.largest)
    return judge_signs(paired.a, paired.b, paired.signs, delta=delta, level=level)


@dataclass(frozen=True)
class Estimate:
    """Mean of one level over seeds (each seed the mean over its cells) with the pointwise t interval."""

    level: str
    mean: float | None
    low: float | None
    high: float | None
    sd: float | None
    seeds: int
    runs: int
    diverged: int
    failed: int
    waiting: int
    by_seed: tuple[tuple[int, float | None], ...]


def estimate(scores: Iterable[Score], level: str, *, chance: float | None, alpha: float = 0.05) -> Estimate:
    """A level's own mean. Seeds with a failed or waiting cell are left out; a diverged loss leaves no
    mean.
    """
    mine = [score for score in scores if score.level == level]
    by_seed: list[tuple[int, float | None]] = []
    for seed in sorted({score.seed for score in mine}):
        cells = [score for score in mine if score.seed == seed]
        if any(score.state != "finished" for score in cells):
            continue
        values = [value_of(score, chance) for score in cells]
        finite = [v for v in values if v is not None]
        by_seed.append((seed, math.fsum(finite) / len(finite) if len(finite) == len(values) else None))
    known = [v for _, v in by_seed if v is not None]
    mean = low = high = sd = None
    if known and len(known) == len(by_seed):
        interval = repeated_interval(known, share_of_error(alpha, 1, 1))
        mean = interval.mean
        if len(known) > 1:
            low, high, sd = interval.low, interval.high, interval.sd
    return Estimate(
        level=level,
        mean=mean,
        low=low,
        high=high,
        sd=sd,
        seeds=len(by_seed),
        runs=len(mine),
        diverged=sum(score.diverged for score in mine),
        failed=sum(score.state in ("failed", "killed") for score in mine),
        waiting=sum(score.state == "waiting" for score in mine),
        by_seed=tuple(by_seed),
    )


def differing(a: Iterable[Facets], b: Iterable[Facets]) -> tuple[str, ...]:
    """The other fields in which the runs of A and of B differ; empty where both were run in the same cells.

    Where every single field has the same values on both sides but not in the same combinations, the fields
    that vary are named.
    """
    cells_a = {tuple(sorted(facets.items())) for facets in a}
    cells_b = {tuple(sorted(facets.items())) for facets in b}
    if cells_a == cells_b or not cells_a or not cells_b:
        return ()
    paths = sorted({path for cell in cells_a | cells_b for path, _ in cell})

    def values(cells: set[tuple[tuple[str, str], ...]], path: str) -> set[str | None]:
        return {dict(cell).get(path) for cell in cells}

    named = tuple(path for path in paths if values(cells_a, path) != values(cells_b, path))
    return named or tuple(path for path in paths if len(values(cells_a | cells_b, path)) > 1)


def half_width(sd: float, seeds: int, level: float) -> float:
    """t·s/√n: what an interval of `seeds` seeds would span on either side."""
    return t_quantile(level, seeds) * sd / math.sqrt(seeds)
