"""Which swept factor matters where the runs fill no grid: the variance of a forest of regression trees, shared out.

Hutter, Hoos & Leyton-Brown 2014, *An Efficient Approach for Assessing Hyperparameter Importance*: a tree is constant on
boxes, so the mean over all other factors, and with it the share of every factor and pair, is exact for the tree; the forest's
is the mean over its trees. A factor counts by the order of its values among those that were tried, which makes the answer the
same for a rate and for its logarithm. Names are ordered by their mean in each split.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from experiments.comparing.importance import Combination, Importance
from experiments.numbers import parsed

TREES = 16
BINS = 32
"""Values of a number that are told apart: where more were tried, neighbours count as one."""
LEAST = 10
"""Combinations below which nothing is said."""
MOST = 300
"""Combinations that the trees are grown from, drawn where there are more: more would only take longer."""
LEAF = 2
"""Fewest combinations of a leaf."""
Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Box = tuple[NDArray[np.bool_], ...]
"""Which values of each factor lie in a leaf."""


def estimated_importance(
    factors: Sequence[str], values: Mapping[Combination, Sequence[float]]
) -> list[Importance]:
    """The share of the variance that each factor and each pair of factors explains, by a forest.

    Args:
        factors: The names of the factors.
        values: Combination to its values over the seeds.

    Returns:
        The largest share first, each marked as estimated. Empty where fewer than two factors vary, there are fewer than
        LEAST combinations, or the values do not vary.
    """
    means = {combination: fmean(own) for combination, own in values.items() if own}
    varying = [at for at in range(len(factors)) if len({combination[at] for combination in means}) > 1]
    draw = random.Random("gradus forest")  # noqa: S311  reproducible on purpose
    chosen = sorted(means)
    chosen = draw.sample(chosen, MOST) if len(chosen) > MOST else chosen
    if len(varying) < 2 or len(chosen) < LEAST:
        return []
    tried = [_ordered({combination[at] for combination in chosen}) for at in varying]
    numeric = [all(parsed(text) is not None for text in own) for own in tried]
    bins = [min(len(own), BINS) if ordered else len(own) for own, ordered in zip(tried, numeric, strict=True)]
    places = [
        {text: place * size // len(own) for place, text in enumerate(own)}
        for own, size in zip(tried, bins, strict=True)
    ]
    x = np.array([[places[i][c[at]] for i, at in enumerate(varying)] for c in chosen], np.intp)
    y = np.array([means[combination] for combination in chosen])
    sums: dict[tuple[int, ...], float] = {}
    trees = 0
    for _ in range(TREES):
        rows = np.array(draw.choices(range(len(y)), k=len(y)))
        leaves = _leaves(x[rows], y[rows], tuple(np.ones(size, np.bool_) for size in bins), numeric)
        shares = _shares(leaves)
        trees += bool(shares)
        for members, share in shares.items():
            sums[members] = sums.get(members, 0.0) + share
    averages = [
        Importance(tuple(factors[varying[i]] for i in members), total / trees, estimated=True)
        for members, total in sums.items()
    ]
    return sorted(averages, key=lambda share: -share.share)


def _ordered(texts: set[str]) -> list[str]:
    """Numbers by size, names by the alphabet."""
    numbers = {text: parsed(text) for text in texts}
    if all(number is not None for number in numbers.values()):
        return sorted(texts, key=lambda text: numbers[text] or 0.0)
    return sorted(texts)


def _leaves(x: Integers, y: Floats, box: Box, numeric: Sequence[bool]) -> list[tuple[Box, float]]:
    """The leaves of a regression tree: boxes and the mean of what lies in them."""
    sizes = [len(own) for own in box]
    split = _best_split(x, y, numeric, sizes) if len(y) >= 2 * LEAF and float(np.ptp(y)) > 0 else None
    if split is None:
        return [(box, float(y.mean()))]
    factor, left = split
    # A value of which this node has no row goes with the values below the first of the right side.
    below, above = (
        tuple(own & side if at == factor else own for at, own in enumerate(box)) for side in (left, ~left)
    )
    mask = left[x[:, factor]]
    return [*_leaves(x[mask], y[mask], below, numeric), *_leaves(x[~mask], y[~mask], above, numeric)]


def _best_split(
    x: Integers, y: Floats, numeric: Sequence[bool], sizes: Sequence[int]
) -> tuple[int, NDArray[np.bool_]] | None:
    """The factor and its values of the left side that leave the least squared error; None where nothing can be split."""
    best: tuple[float, int, NDArray[np.bool_]] | None = None
    for factor, ordered in enumerate(numeric):
        column = x[:, factor]
        size = sizes[factor]
        counts = np.bincount(column, minlength=size)
        totals = np.bincount(column, weights=y, minlength=size)
        present = np.flatnonzero(counts)
        order = present if ordered else present[np.argsort(totals[present] / counts[present], kind="stable")]
        n = np.cumsum(counts[order])[:-1]
        s = np.cumsum(totals[order])[:-1]
        rest, s_rest = len(y) - n, y.sum() - s
        with np.errstate(divide="ignore", invalid="ignore"):
            explained = np.where((n >= LEAF) & (rest >= LEAF), s * s / n + s_rest * s_rest / rest, -np.inf)
        if not len(explained) or not np.isfinite(explained.max()):
            continue
        at = int(explained.argmax())
        if best is None or explained[at] > best[0]:
            best = (float(explained[at]), factor, _left(order[: at + 1], order[at + 1 :], ordered, size))
    return None if best is None else (best[1], best[2])


def _left(low: Integers, high: Integers, ordered: bool, size: int) -> NDArray[np.bool_]:
    """As a mask over all values of the factor; of an ordered one every value below the right side's first."""
    mask = np.zeros(size, np.bool_)
    if ordered:
        mask[: int(high.min())] = True
    else:
        mask[low] = True
    return mask


def _shares(leaves: Sequence[tuple[Box, float]]) -> dict[tuple[int, ...], float]:
    """Factor or pair -> its share of the tree's variance, every value of a factor counting alike; empty without any."""
    value = np.array([mean for _, mean in leaves])
    masks = [np.array([box[at] for box, _ in leaves], float) for at in range(len(leaves[0][0]))]
    widths = np.array([mask.mean(axis=1) for mask in masks])  # factors x leaves
    weight = widths.prod(axis=0)
    mean = float(value @ weight)
    total = float((value * value) @ weight) - mean * mean
    if total <= 1e-24 * max(1.0, mean * mean):
        return {}
    single = [(value * weight / widths[at]) @ mask for at, mask in enumerate(masks)]
    shares: dict[tuple[int, ...], float] = {
        (at,): float(np.var(effect)) / total for at, effect in enumerate(single)
    }
    for a, b in itertools.combinations(range(len(masks)), 2):
        together = masks[a].T @ ((value * weight / (widths[a] * widths[b]))[:, None] * masks[b])
        interaction = together - single[a][:, None] - single[b][None, :] + mean
        shares[a, b] = float(np.mean(interaction**2)) / total
    return shares
