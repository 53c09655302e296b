"""Which swept factor matters: functional analysis of variance over all runs, and where over two of them the winner turns.

The values are averaged over the seeds in each combination of levels. On a full grid the decomposition is exact (Hooker
2007; Hutter, Hoos & Leyton-Brown 2014, *An Efficient Approach for Assessing Hyperparameter Importance*): the variance
of the combinations is the sum of that of every factor's own effect, of every pair's, and of the rest. What differs
between seeds is not counted: noise is no factor.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance

Combination = tuple[str, ...]
"""A level per factor, in the factors' order."""


@dataclass(frozen=True)
class Importance:
    """The share of the variance that factors or pairs of them explain, in [0, 1]."""

    factors: tuple[str, ...]
    """One factor, or a pair: then what the two do together beyond what each does by itself."""
    share: float
    estimated: bool = False
    """Whether a forest was asked, because the runs fill no grid."""


def importance(factors: Sequence[str], values: Mapping[Combination, Sequence[float]]) -> list[Importance]:
    """The share of the variance between combinations that each factor and each pair of factors explains.

    Args:
        factors: The names of the factors.
        values: Combination to its values over the seeds; at least one each.

    Returns:
        The largest share first. Empty where the combinations are no full grid of two levels or more, or all have the
        same mean: then nothing can be shared out.
    """
    means = {combination: fmean(own) for combination, own in values.items() if own}
    levels = [sorted({combination[at] for combination in means}) for at in range(len(factors))]
    varying = [at for at, own in enumerate(levels) if len(own) > 1]
    full = 1
    for own in levels:
        full *= len(own)
    if not varying or len(means) < full:
        return []
    total = pvariance(means.values())
    grand = fmean(means.values())
    if total <= 1e-24 * max(1.0, grand * grand):
        return []
    single = {at: _marginal(means, (at,)) for at in varying}
    shares = [Importance((factors[at],), pvariance(effect.values()) / total) for at, effect in single.items()]
    for a, b in itertools.combinations(varying, 2):
        together = _marginal(means, (a, b))
        interaction = [mean - single[a][x,] - single[b][y,] + grand for (x, y), mean in together.items()]
        shares.append(Importance((factors[a], factors[b]), fmean([d * d for d in interaction]) / total))
    return sorted(shares, key=lambda share: -share.share)


def _marginal(means: Mapping[Combination, float], at: tuple[int, ...]) -> dict[Combination, float]:
    """The mean over all other factors, for each combination of levels of these."""
    groups: dict[Combination, list[float]] = {}
    for combination, mean in means.items():
        groups.setdefault(tuple(combination[position] for position in at), []).append(mean)
    return {key: fmean(own) for key, own in groups.items()}


@dataclass(frozen=True)
class FlipMap:
    """Which level of the compared factor is ahead at each combination of two numeric factors."""

    x: str
    y: str
    winners: Mapping[tuple[float, float], str]

    @property
    def flips(self) -> bool:
        """Whether the winner is not the same everywhere."""
        return len(set(self.winners.values())) > 1


def flip_map(
    factors: Sequence[str],
    compared: str,
    axes: tuple[str, str],
    values: Mapping[Combination, Sequence[float]],
    *,
    lower: bool,
) -> FlipMap:
    """The winning level over two numeric factors, by the mean over everything else.

    Args:
        factors: The names of the factors, in the order of a combination's levels.
        compared: The factor whose levels compete.
        axes: Two factors whose levels are numbers.
        values: Combination to its values over the seeds.
        lower: Whether a lower value is better.
    """
    positions = [factors.index(name) for name in (*axes, compared)]
    means = _marginal({key: fmean(own) for key, own in values.items() if own}, tuple(positions))
    best: dict[tuple[float, float], tuple[float, str]] = {}
    for (x, y, level), mean in means.items():
        entry = (mean if lower else -mean, level)
        place = (float(x), float(y))
        best[place] = min(best.get(place, entry), entry)
    return FlipMap(axes[0], axes[1], {place: level for place, (_, level) in best.items()})
