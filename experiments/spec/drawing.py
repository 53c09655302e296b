"""The random draw: a number of different runs out of all combinations."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from experiments.errors import SpecError
from experiments.spec.factors import Factor
from experiments.spec.levels import Level, level_label

Choice = tuple[list[tuple[int, Level]], int]
"""One run: (index, level) of every factor in order, and the seed."""
MISSES = 30
"""The draw is given up after this many tries in a row, per run asked for, that gave nothing new. Where there are as
many equally likely runs as asked for, the last of them is missed that often with probability e^-30.
"""


def drawn(
    factors: Sequence[Factor], levels: Sequence[Sequence[Level]], seeds: Sequence[int], draws: int, seed: int
) -> Iterator[Choice]:
    """`draws` different runs, the same for the same spec.

    Args:
        factors: what varies; a continuous range is drawn from directly
        levels: the levels of each factor in order, empty for a continuous range
        seeds: the seeds to choose from
        draws: how many runs
        seed: seed of the draw itself

    Raises:
        SpecError: a continuous range holds too few values, since values are rounded to 12 digits.
    """
    draw = random.Random(f"gradus {seed}")  # noqa: S311  reproducible on purpose
    seen: set[tuple[object, ...]] = set()
    misses = 0
    while len(seen) < draws:
        choice = [_choose(factor, own, draw, len(seen)) for factor, own in zip(factors, levels, strict=True)]
        run_seed = seeds[int(draw.random() * len(seeds))]
        key = (*(level.label for _, level in choice), run_seed)
        if key not in seen:
            seen.add(key)
            misses = 0
            yield choice, run_seed
        elif (misses := misses + 1) > MISSES * draws:
            raise _exhausted(factors, seen, draws)


def _choose(factor: Factor, levels: Sequence[Level], draw: random.Random, n: int) -> tuple[int, Level]:
    if factor.size:
        index = int(draw.random() * factor.size)
        return index, levels[index]
    value = factor.at(draw.random())
    return n, Level(level_label(value), value)


def _exhausted(factors: Sequence[Factor], seen: set[tuple[object, ...]], draws: int) -> SpecError:
    """The refusal of a draw that finds nothing new. It blames the continuous range with the fewest values."""
    runs = len(seen)
    held = {
        factor.source: len({key[position] for key in seen})
        for position, factor in enumerate(factors)
        if not factor.size
    }
    if not held:
        return SpecError.one("sweep.runs", f"only {runs:,} of {draws:,} different runs", f"at most {runs:,}")
    source = min(held, key=lambda name: held[name])
    values = held[source]
    return SpecError.one(
        source,
        f"the range holds only {values:,} different value{'s' * (values != 1)}, which make{'s' * (values == 1)}"
        f" {runs:,} run{'s' * (runs != 1)} of the {draws:,} to draw",
        f"a wider range, or runs: {runs}",
    )
