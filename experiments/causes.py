"""The root cause behind several troubles at once: inputs, initial weights or targets of a wrong scale. No Keras.

A gradient that explodes, a layer that dies and a loss that starts too high all follow from weights that are ten times too
large, and a smaller learning rate mends none of them. So the diagnoses ask here first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.activations import activation
from experiments.layers import BatchNormalization, LayerNormalization
from experiments.runs import RunSpec

History = Mapping[str, Mapping[int, float]]
"""Metric -> step (epochs completed) -> value."""

LARGEST_INPUT = "probe/largest_input"
"""The largest |x| of the probe's points. Names under `probe/` are kept for the rules, not recorded."""
TARGET_LOW, TARGET_HIGH = "probe/target_low", "probe/target_high"
"""Of a regression's targets."""
GAIN, SPREAD = "probe/gain/", "probe/spread/"
"""Per layer name. Gain: how many times a kernel magnifies independent inputs, sqrt(fan_in · mean w²). Spread: the largest
difference between two units' weights from one input, as a share of the largest weight."""

SCALED = 10.0
"""Inputs and targets beyond this are called unscaled; the initialisers are made for inputs around 1 (LeCun et al. 1998,
Efficient BackProp, section 4.3)."""
LARGE_GAIN, SMALL_GAIN = 3.0, 0.1
"""Of a layer's initial weights. Glorot's have 1, He's 1.4 (Glorot & Bengio 2010; He et al. 2015)."""


@dataclass(frozen=True)
class Cause:
    """kind: `inputs`, `large weights`, `small weights` or `targets`; sentence: what is wrong and what to do about it."""

    kind: str
    sentence: str


def at_start(history: History, key: str) -> float:
    """The value before training; NaN where it was not measured."""
    return history.get(key, {}).get(0, math.nan)


def inputs(spec: RunSpec, history: History) -> Cause | None:
    """Inputs that are not scaled, unless the first layer scales them."""
    largest = at_start(history, LARGEST_INPUT)
    normalised = any(
        isinstance(layer, BatchNormalization | LayerNormalization) for layer in spec.model.layers[:2]
    )
    if not largest > SCALED or normalised:
        return None
    return Cause(
        "inputs",
        f"The inputs reach {largest:.3g}, and the initial weights are made for inputs around 1: inputs divided by "
        "their largest value, or standardised, help.",
    )


def large_weights(spec: RunSpec, history: History) -> Cause | None:
    """The layer whose initial weights magnify most, where that is too much."""
    gains = _gains(history)
    layer = max(gains, key=gains.__getitem__, default="")
    if not gains.get(layer, 0.0) > LARGE_GAIN:
        return None
    return Cause(
        "large weights", f"{_multiplied(layer, gains)} Smaller initial weights ({suited(spec)}) help."
    )


def small_weights(spec: RunSpec, history: History) -> Cause | None:
    """The layer whose initial weights shrink most, where that is too much."""
    gains = {layer: gain for layer, gain in _gains(history).items() if gain > 0}
    layer = min(gains, key=gains.__getitem__, default="")
    if not gains.get(layer, 1.0) < SMALL_GAIN:
        return None
    return Cause(
        "small weights", f"{_multiplied(layer, gains)} Larger initial weights ({suited(spec)}) help."
    )


def _gains(history: History) -> dict[str, float]:
    """Layer name -> gain of its initial weights."""
    measured = {key.removeprefix(GAIN): series for key, series in history.items() if key.startswith(GAIN)}
    return {layer: series[0] for layer, series in measured.items() if 0 in series}


def _multiplied(layer: str, gains: Mapping[str, float]) -> str:
    return (
        f"The initial weights of layer {layer} multiply the size of what they are given by {gains[layer]:.2g}; about 1 "
        "is usual."
    )


def targets(spec: RunSpec, history: History) -> Cause | None:
    """A regression's targets that are not scaled."""
    low, high = at_start(history, TARGET_LOW), at_start(history, TARGET_HIGH)
    largest = max(abs(low), abs(high))
    if not largest > SCALED:
        return None
    return Cause(
        "targets",
        f"The targets go from {low:.3g} to {high:.3g}, and with them grow the loss and its gradient: targets "
        "standardised to mean 0 and deviation 1 help, or a learning rate that suits their scale.",
    )


def too_large(spec: RunSpec, history: History) -> Cause | None:
    """What makes sums, activations or gradients too large from the start, the first of the chain."""
    return inputs(spec, history) or large_weights(spec, history)


def suited(spec: RunSpec) -> str:
    """The initialisers that the literature pairs with the hidden activations."""
    hidden = dict.fromkeys(spec.model.activations[:-1] or spec.model.activations)
    return ", ".join(f"{activation(choice).initializer} for {choice}" for choice in hidden)
