"""Hopfield networks: every unit is connected with every other one, and the network falls into what it has stored.

A layered network computes an output once; an interconnected one (feedback) changes its state until nothing moves. States and
patterns are vectors of −1 and 1. Weights are Hebb's, without any training: units that agree in the patterns hold together.
Source: Hopfield 1982, "Neural networks and physical systems with emergent collective computational abilities", PNAS 79.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
RECALLED = 0.95
"""A pattern counts as recalled where the state agrees with it this far: overlap mᵤ = 1/N Σ sᵢ pᵢ."""
MOST_SWEEPS = 1000


@dataclass(frozen=True)
class Recall:
    """How a state fell.

    state: at the end, (units,)
    energies: before the first sweep and after each, the last one without a change
    """

    state: Array
    energies: tuple[float, ...]

    @property
    def sweeps(self) -> int:
        """Passes over all units in which some unit changed."""
        return len(self.energies) - 2


def hebbian(patterns: Array) -> Array:
    """W = 1/N Σ p pᵀ with a diagonal of 0. patterns: (patterns, units) of −1 and 1 -> (units, units)"""
    weights = patterns.T @ patterns / patterns.shape[1]
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)


def energy(weights: Array, state: Array) -> float:
    """E = −½ sᵀ W s. No update of a single unit raises it where W is symmetric with a diagonal of 0."""
    return float(-0.5 * state @ weights @ state)


def recall(weights: Array, start: Array, random: np.random.Generator) -> Recall:
    """Set one unit after the other to the sign of its weighted sum, in a new random order each sweep, until none changes.

    Args:
        weights: symmetric with a diagonal of 0, (units, units).
        start: −1 and 1, (units,); not changed.
        random: of the orders.

    Raises:
        ValueError: the weights are not symmetric, or their diagonal is not 0, so that the network may never settle.
    """
    if not np.array_equal(weights, weights.T) or np.any(np.diagonal(weights)):
        raise ValueError("a network settles only with symmetric weights whose diagonal is 0")
    state = start.astype(np.float64)
    sums = weights @ state  # of every unit, kept up to date
    energies = [energy(weights, state)]
    for _ in range(MOST_SWEEPS):
        changed = False
        for unit in random.permutation(len(state)):
            if sums[unit] * state[unit] < 0:  # a sum of 0 leaves the unit as it is
                state[unit] = -state[unit]
                sums += 2 * state[unit] * weights[:, unit]
                changed = True
        energies.append(energy(weights, state))
        if not changed:
            break
    return Recall(state, tuple(energies))


def disturbed(pattern: Array, share: float, random: np.random.Generator) -> Array:
    """The pattern with this share of its units turned over."""
    turned = random.permutation(len(pattern))[: round(share * len(pattern))]
    state = pattern.copy()
    state[turned] *= -1
    return state


def overlap(state: Array, pattern: Array) -> float:
    """1/N Σ sᵢ pᵢ: 1 where they agree, −1 where one is the other's negative."""
    return float(state @ pattern / len(pattern))


def capacity(units: int, loads: Sequence[float], trials: int, seed: int = 0) -> dict[float, float]:
    """Load P/N -> share of random patterns that stay where they are (overlap above RECALLED).

    Up to about 0.138 N patterns nearly all do, beyond that hardly any (Amit, Gutfreund & Sompolinsky 1985).

    Args:
        units: N; the step grows sharper with it.
        loads: patterns per unit.
        trials: networks per load.
    """
    random = np.random.default_rng(seed)
    shares = {}
    for load in loads:
        stayed = []
        for _ in range(trials):
            patterns = random.choice([-1.0, 1.0], (max(1, round(load * units)), units))
            weights = hebbian(patterns)
            for pattern in patterns[:10]:
                stayed.append(overlap(recall(weights, pattern, random).state, pattern) > RECALLED)
        shares[load] = float(np.mean(stayed))
    return shares


def binary(images: npt.NDArray[np.floating]) -> Array:
    """Images in [0, 1] as patterns: 1 where brighter than ½, else −1. (count, *image) -> (count, pixels)"""
    return np.where(images.reshape(len(images), -1) > 0.5, 1.0, -1.0)
