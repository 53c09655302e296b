"""Where every random choice of a training comes from: integers, never global state.

Initial weights are a function of (run seed, layer) alone, the data order of (run seed, epoch) alone,
dropout of (run seed, layer, update, element) alone. So two runs of one seed share all that they can share,
and a run gives the same numbers whatever else trains beside it, and in whatever order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1
WEIGHTS, ORDER, NOISE = 1, 2, 3
"""Streams: draws for different purposes never share numbers."""


def mix(*words: int) -> int:
    """A 64-bit hash of integers (SplitMix64's finaliser over each in turn; Steele, Lea & Flood 2014)."""
    state = 0
    for word in words:
        state = (state + 0x9E3779B97F4A7C15 + (word & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def weights(seed: int, layer: int, weight: int) -> np.random.Generator:
    """The random numbers of one weight. layer: its index; weight: a hash of its name within the layer."""
    return np.random.Generator(np.random.Philox(key=mix(WEIGHTS, seed, layer, weight)))


def noise_seed(seed: int, layer: int) -> int:
    """The seed of a layer that is random while training (dropout, stochastic pooling): 32 bits."""
    return mix(NOISE, seed, layer) >> 32


def data_order(seed: int, epoch: int, samples: int) -> npt.NDArray[np.int32]:
    """The permutation of 0..samples-1 in which `epoch` (from 0) reads the training data. (samples,) int32."""
    generator = np.random.Generator(np.random.Philox(key=mix(ORDER, seed, epoch)))
    return generator.permutation(samples).astype(np.int32)
