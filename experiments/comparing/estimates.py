"""The estimate of one level by itself: its mean over seeds, with an interval for orientation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from experiments.comparing.effects import Score, value_of
from experiments.comparing.statistics import repeated_interval


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
    """A level's own mean.

    Args:
        scores: The runs; those of other levels are ignored.
        level: The level's label.
        chance: The score of a diverged run; None for a loss, and then a diverged run leaves no mean.
        alpha: The error allowed to the interval.

    Returns:
        The estimate over the seeds at which every cell has finished.
    """
    own = [score for score in scores if score.level == level]
    cells_of: dict[int, list[Score]] = {}
    for score in own:
        cells_of.setdefault(score.seed, []).append(score)
    by_seed: list[tuple[int, float | None]] = []
    for seed, cells in sorted(cells_of.items()):
        if any(score.state != "finished" for score in cells):
            continue
        finite = [value for value in (value_of(score, chance) for score in cells) if value is not None]
        by_seed.append((seed, math.fsum(finite) / len(finite) if len(finite) == len(cells) else None))
    known = [value for _, value in by_seed if value is not None]
    mean = low = high = sd = None
    if known and len(known) == len(by_seed):
        interval = repeated_interval(known, alpha)
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
        runs=len(own),
        diverged=sum(score.diverged for score in own),
        failed=sum(score.state in ("failed", "killed") for score in own),
        waiting=sum(score.state == "waiting" for score in own),
        by_seed=tuple(by_seed),
    )
