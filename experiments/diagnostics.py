"""What usually goes wrong while a network learns, and the rules that say which of it is happening. No Keras.

Measurements come from `probe`; a rule reads a run's history and returns a diagnosis: what was seen, the number,
the bound, and what usually helps. Bounds: AUTOTRAINER (Zhang et al., ICSE 2021), Amazon SageMaker Debugger's
built-in rules, Stanford's CS231n notes (numerics, section 4).
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from experiments import theory
from experiments.activations import ACTIVATIONS
from experiments.runs import RunSpec

History = Mapping[str, Mapping[int, float]]
"""Metric -> step (epochs completed) -> value."""

VANISHED_RATIO, VANISHED_NORM, EXPLODED_NORM = 1e-3, 1e-4, 70.0
MOST = 0.5
SMALLEST_STEP, LARGEST_STEP = 1e-5, 1e-1
LOSS_MARGIN, LOSS_GROWTH = 0.5, 10.0
PROBE_LOSS = "probe/loss"
"""The loss on the probe's points, without penalties; kept for the rules, not recorded."""
TRAIN_ERRORS = "train/errors"
"""Training points classified wrongly in an epoch, each before the update it led to; kept for the rules, not recorded.
"""


@dataclass(frozen=True)
class Diagnosis:
    """name: what it is called; layer: where, "" for the whole network; value beyond bound."""

    name: str
    sentence: str
    layer: str
    value: float
    bound: float

    def tag(self) -> dict[str, str]:
        return {f"gradus.diagnosis.{self.name}": self.sentence}


def diagnose(spec: RunSpec, history: History) -> list[Diagnosis]:
    """All that is wrong with a run, by its history so far; at most one diagnosis of each name."""
    return [found for rule in RULES if (found := rule(spec, history)) is not None]


def layers(history: History, what: str) -> dict[str, Mapping[int, float]]:
    """Layer name -> its series of `what`, in the network's order."""
    found = {}
    for key, series in history.items():
        match = re.fullmatch(rf"layers/((\d+)-.+)/{what}", key)
        if match and series:
            found[match[1]] = (int(match[2]), series)
    return {name: series for name, (_, series) in sorted(found.items(), key=lambda item: item[1][0])}


def _ends(series: Mapping[int, float]) -> Iterable[int]:
    return dict.fromkeys((min(series), max(series)))


def when(step: int) -> str:
    """A number of completed epochs in words."""
    return "before training" if step == 0 else f"after epoch {step}"


def _vanishing(spec: RunSpec, history: History) -> Diagnosis | None:
    norms = layers(history, "grad_norm")
    if len(norms) < 2:
        return None
    first, *_, last = norms
    for step in _ends(norms[first]):
        g, top = norms[first][step], norms[last].get(step, math.nan)
        if 0 < g < VANISHED_NORM and g < VANISHED_RATIO * top:
            sentence = (
                f"The gradient vanishes: {when(step)} the first layer ({first}) gets {g:.1e}, the last {top:.1e}, a "
                f"share of {g / top:.0e} (bound {VANISHED_RATIO:g}). The first layers hardly learn. {_carries(spec)}, "
                "batch normalisation or fewer layers usually help."
            )
            return Diagnosis("vanishing_gradient", sentence, first, g / top, VANISHED_RATIO)
    return None


def _carries(spec: RunSpec) -> str:
    """What carries a gradient further: another function where a hidden layer's slope is below 1 everywhere, as the
    sigmoid's is; else initial weights of the size that suits the function (Glorot & Bengio 2010, He et al. 2015).
    """
    hidden = dict.fromkeys(spec.model.activations[:-1] or spec.model.activations)
    flat = [name for name in hidden if ACTIVATIONS[name].derivative_bound < 1]
    if flat:
        return f"ReLU or tanh in place of {' and '.join(flat)}"
    suited = ", ".join(f"{ACTIVATIONS[name].initializer} for {name}" for name in hidden)
    return f"Initial weights of the right size ({suited})"


def _exploding(spec: RunSpec, history: History) -> Diagnosis | None:
    """A steep start is no explosion: where targets are large, so is the first gradient, and training tames it. The
    measurement before training counts where none followed.
    """
    for name, series in layers(history, "grad_norm").items():
        trained = {step: g for step, g in series.items() if step > 0} or series
        for step, g in sorted(trained.items()):
            if not g <= EXPLODED_NORM:
                sentence = (
                    f"The gradient explodes: in layer {name} its norm is {g:.3g} {when(step)} (bound "
                    f"{EXPLODED_NORM:g}). A smaller learning rate, gradient clipping (clipnorm), scaled inputs or "
                    "smaller initial weights usually help."
                )
                return Diagnosis("exploding_gradient", sentence, name, g, EXPLODED_NORM)
    return None


def _dead(spec: RunSpec, history: History) -> Diagnosis | None:
    for name, series in layers(history, "dead").items():
        step = max(series)
        if series[step] > MOST:
            sentence = (
                f"Dead units: in layer {name}, {series[step]:.0%} of the units are 0 for every point that was looked "
                f"at {when(step)} (bound {MOST:.0%}); they pass no gradient and cannot come back. A smaller "
                "learning rate, a bias that does not start negative, or leaky_relu usually help."
            )
            return Diagnosis("dead_relu", sentence, name, series[step], MOST)
    return None


def _saturated(spec: RunSpec, history: History) -> Diagnosis | None:
    for name, series in layers(history, "saturated").items():
        for step in _ends(series):
            if series[step] > MOST:
                sentence = (
                    f"Saturation: in layer {name}, {series[step]:.0%} of the activations sit on the flat ends of the "
                    f"function {when(step)} (bound {MOST:.0%}), where its slope is nearly 0. Smaller initial "
                    "weights, scaled inputs, batch normalisation or a smaller learning rate usually help."
                )
                return Diagnosis("saturation", sentence, name, series[step], MOST)
    return None


def _step_size(spec: RunSpec, history: History) -> Diagnosis | None:
    ratios = list(layers(history, "update_ratio").values())
    steps = sorted({step for series in ratios for step in series})
    medians = [
        statistics.median(known)
        for step in steps
        if (known := [series[step] for series in ratios if math.isfinite(series.get(step, math.nan))])
    ]
    if not medians:
        return None
    low, high = all(m < SMALLEST_STEP for m in medians), all(m > LARGEST_STEP for m in medians)
    if not (low or high):
        return None
    bound = SMALLEST_STEP if low else LARGEST_STEP
    sentence = (
        f"The steps are too {'small' if low else 'large'}: one update changes a layer's weights by a share of "
        f"{medians[-1]:.1e} in the median, {'below' if low else 'above'} {bound:g} whenever it was measured; about "
        f"1e-3 is usual. A {'larger' if low else 'smaller'} learning rate usually helps."
    )
    return Diagnosis("step_size", sentence, "", medians[-1], bound)


def _initial_loss(spec: RunSpec, history: History) -> Diagnosis | None:
    expected = theory.expected_initial_loss(spec.loss, spec.data_shape)
    start = history.get(PROBE_LOSS, {}).get(0, math.nan)
    if expected is None or not math.isfinite(start) or abs(start - expected) <= LOSS_MARGIN:
        return None
    choices = round(math.exp(expected))
    sentence = (
        f"The initial loss is off: {start:.3g} before training, while guessing among {choices} answers costs "
        f"ln {choices} = {expected:.3g} (± {LOSS_MARGIN:g}). The untrained network is already sure of itself: "
        "smaller initial weights (glorot_uniform, he_normal) or scaled inputs usually help."
    )
    return Diagnosis("initial_loss", sentence, "", start, expected)


def _diverged(spec: RunSpec, history: History) -> Diagnosis | None:
    """Growth is judged on the probe's loss alone: the others contain the weight penalties, it does not, and only it
    is known from before training.
    """
    helps = "Each step overshoots. A smaller learning rate, by a factor of ten to begin with, usually helps."
    for key in (PROBE_LOSS, "train/loss", "val/loss", "test/loss"):
        series = history.get(key, {})
        if series and not math.isfinite(last := series[max(series)]):
            sentence = (
                f"Diverged: the loss is {last:.3g} {when(max(series))}, no number to learn from. {helps}"
            )
            return Diagnosis("diverged", sentence, "", last, math.inf)
    probed = history.get(PROBE_LOSS, {})
    first, last = probed.get(0, 0.0), probed[max(probed)] if probed else 0.0
    if first > 0 and last > LOSS_GROWTH * first:
        sentence = (
            f"Diverged: the loss is {last:.3g} {when(max(probed))}, at the start it was {first:.3g} (bound: "
            f"{LOSS_GROWTH:g} times that). {helps}"
        )
        return Diagnosis("diverged", sentence, "", last, LOSS_GROWTH * first)
    return None


def _unconverged(spec: RunSpec, history: History) -> Diagnosis | None:
    stop = spec.training.stop
    asked = (("train/loss", stop.error, "error"), (TRAIN_ERRORS, stop.train_errors, "train_errors"))
    missed = []
    for key, bound, name in asked:
        series = history.get(key, {})
        if bound is None or not series:
            continue
        last = series[max(series)]
        if last <= bound:
            return None
        missed.append((name, last, bound))
    if not missed or not math.isfinite(missed[0][1]):
        return None
    name, last, bound = missed[0]
    epochs = max(history["train/loss"])
    answers = f"{last:.0f} of {spec.data_shape.n_train} answers were wrong"
    found = f"the mean loss was {last:.3g}" if name == "error" else answers
    sentence = (
        f"Never converged: {epochs} epochs did not meet training.stop.{name}, at most {bound:g}. In epoch {epochs} "
        f"{found}, counted while the weights still changed: the finished network may answer otherwise. More "
        "epochs or another learning rate usually help. Where they do not, the network cannot do it: a single neuron "
        "separates only what a straight line separates, and needs a hidden layer before it for the rest."
    )
    return Diagnosis("not_converged", sentence, "", last, bound)


RULES: tuple[Callable[[RunSpec, History], Diagnosis | None], ...] = (
    _vanishing, _exploding, _dead, _saturated, _step_size, _initial_loss, _diverged,
    _unconverged,
)  # fmt: skip
