"""What usually goes wrong while a network learns, as a table of rules. No Keras.

A rule reads what `probe` measured and gives a diagnosis: what was seen, the number, the bound, and what helps. The advice
follows the cause that the numbers tell (`causes`). Bounds: AUTOTRAINER (Zhang et al., ICSE 2021), Amazon SageMaker
Debugger's built-in rules, Stanford's CS231n notes.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from experiments import causes, theory
from experiments.activations import activation
from experiments.causes import History
from experiments.layers import BatchNormalization
from experiments.runs import RunSpec

VANISHED_RATIO, VANISHED_NORM, EXPLODED_NORM, EXPLODED_GROWTH = 1e-3, 1e-4, 70.0, 10.0
MOST = 0.5
SMALLEST_STEP, LARGEST_STEP = 1e-5, 1e-1
LOSS_MARGIN, LOSS_GROWTH = 0.5, 10.0
LEARNED = 0.9
"""A loss below this share of the initial one has learned something."""
FAR, EPOCHS_TO_JUDGE = 0.5, 5
"""A loss above this share of the initial one is far from done, if it still falls after so many epochs."""
SETTLED, PARTED = 0.95, 1.5
"""Batch normalisation's averages are settled at this share; a validation loss this many times the training loss has
parted from it."""
PROBE_LOSS = "probe/loss"
"""The loss on the probe's points, without penalties; kept for the rules, not recorded."""
TRAIN_ERRORS = "train/errors"
"""Training points classified wrongly in an epoch, each before the update it led to; kept for the rules, not recorded.
"""


@dataclass(frozen=True)
class Finding:
    """What a rule found: the sentence for a person; where, "" for the whole network; the value beyond its bound."""

    sentence: str
    layer: str
    value: float
    bound: float


@dataclass(frozen=True)
class Diagnosis(Finding):
    """A finding with the name of its rule."""

    name: str

    def tag(self) -> dict[str, str]:
        """The run's tag."""
        return {f"gradus.diagnosis.{self.name}": self.sentence}


@dataclass(frozen=True)
class Rule:
    """name: of the diagnosis; when, source: for docs/diagnostics.md; find: the finding in a run's history, or None."""

    name: str
    when: str
    source: str
    find: Callable[[RunSpec, History], Finding | None]


def diagnose(spec: RunSpec, history: History) -> list[Diagnosis]:
    """All that is wrong with a run.

    Args:
        spec: The run.
        history: What was measured so far, in all attempts.

    Returns:
        At most one diagnosis per rule, in the order of RULES.
    """
    findings = ((rule.name, rule.find(spec, history)) for rule in RULES)
    return [
        Diagnosis(finding.sentence, finding.layer, finding.value, finding.bound, name)
        for name, finding in findings
        if finding is not None
    ]


def layers(history: History, what: str) -> dict[str, Mapping[int, float]]:
    """Layer name -> its series of `what`, in the network's order."""
    series_of = {}
    for key, series in history.items():
        match = re.fullmatch(rf"layers/((\d+)-.+)/{what}", key)
        if match and series:
            series_of[match[1]] = (int(match[2]), series)
    return {name: series for name, (_, series) in sorted(series_of.items(), key=lambda item: item[1][0])}


def when(step: int) -> str:
    """A number of completed epochs in words."""
    return "before training" if step == 0 else f"after epoch {step}"


def _ends(series: Mapping[int, float]) -> Iterable[int]:
    return dict.fromkeys((min(series), max(series)))


def _learned(history: History) -> bool:
    """Whether the loss on the probe's points fell."""
    probed = history.get(PROBE_LOSS, {})
    return 0 in probed and probed[max(probed)] < LEARNED * probed[0]


def _vanishing(spec: RunSpec, history: History) -> Finding | None:
    norms = layers(history, "grad_norm")
    if len(norms) < 2:
        return None
    first, *_, last = norms
    for step in _ends(norms[first]):
        g, top = norms[first][step], norms[last].get(step, math.nan)
        if 0 < g < VANISHED_NORM and g < VANISHED_RATIO * top:
            cause = causes.small_weights(spec, history)
            shortcuts = "" if spec.model.inputs else ", shortcuts around layers (type: residual)"
            advice = f"{_carries(spec)}, batch normalisation{shortcuts} or fewer layers usually help."
            sentence = (
                f"The gradient vanishes: {when(step)} the first layer ({first}) gets {g:.2g}, the last {top:.2g}, a "
                f"share of {g / top:.1g} (bound {VANISHED_RATIO:g}). The first layers hardly learn. "
                f"{cause.sentence if cause else advice}"
            )
            return Finding(sentence, first, g / top, VANISHED_RATIO)
    return None


def _carries(spec: RunSpec) -> str:
    """What carries a gradient further: another function where a hidden layer's slope is below 1 everywhere, as the
    sigmoid's is; else initial weights of the size that suits the function (Glorot & Bengio 2010, He et al. 2015).
    """
    hidden = dict.fromkeys(spec.model.activations[:-1] or spec.model.activations)
    flat = [str(choice) for choice in hidden if activation(choice).derivative_bound < 1]
    if flat:
        return f"ReLU or tanh in place of {' and '.join(flat)}"
    return f"Initial weights of the right size ({causes.suited(spec)})"


def _exploding(spec: RunSpec, history: History) -> Finding | None:
    """A gradient's size follows the scale of the targets, so that a large one alone is no explosion: it counts where it
    is not finite, where it grew tenfold, or where the network learns nothing by it. Of a run that was trained, the
    measurement before training does not count: a steep start is tamed by the first epoch.
    """
    learns = _learned(history) or _unfinished(spec, history) is not None
    for name, series in layers(history, "grad_norm").items():
        trained = {step: g for step, g in series.items() if step > 0} or series
        start = series.get(0, math.nan)
        for step, g in sorted(trained.items()):
            tame = math.isfinite(g) and learns and not g > EXPLODED_GROWTH * start
            if not g <= EXPLODED_NORM and not tame:
                cause = causes.too_large(spec, history) or causes.targets(spec, history)
                advice = "A smaller learning rate or gradient clipping (clipnorm) usually helps."
                sentence = (
                    f"The gradient explodes: in layer {name} its norm is {g:.3g} {when(step)} (bound "
                    f"{EXPLODED_NORM:g}). {cause.sentence if cause else advice}"
                )
                return Finding(sentence, name, g, EXPLODED_NORM)
    return None


def _dead(spec: RunSpec, history: History) -> Finding | None:
    for name, series in layers(history, "dead").items():
        step = max(series)
        if series[step] > MOST:
            cause = causes.too_large(spec, history)
            started = series.get(0, 0.0) > MOST
            advice = (
                "They were so before training: a bias that does not start negative, or other initial weights, help."
                if started
                else "They died in training: a smaller learning rate, or leaky_relu, usually helps."
            )
            sentence = (
                f"Dead units: in layer {name}, {series[step]:.0%} of the units are 0 for every point that was looked "
                f"at {when(step)} (bound {MOST:.0%}); they pass no gradient and cannot come back. "
                f"{cause.sentence if cause and not started else advice}"
            )
            return Finding(sentence, name, series[step], MOST)
    return None


def _identical(spec: RunSpec, history: History) -> Finding | None:
    """Units that start equal get equal gradients and stay one unit (Goodfellow et al. 2016, section 8.4)."""
    pairs = zip(spec.model.names, spec.model.layers, strict=True)
    names = [name for name, layer in pairs if hasattr(layer, "activation")]
    for name in names[:-1]:
        series = history.get(causes.SPREAD + name, {})
        if series and series[max(series)] < 1e-6:
            norms = layers(history, "grad_norm").get(name, {})
            silent = bool(norms) and max(norms.values()) < 1e-12
            sentence = (
                f"Identical units: {when(max(series))} all units of layer {name} have the same weights (largest "
                f"difference {series[max(series)]:.0e}, bound 1e-06), so that they compute one number and learn as one. "
                + ("No gradient reaches this layer. " if silent else "")
                + "Random initial weights (glorot_uniform, he_normal) help: they make the units differ."
            )
            return Finding(sentence, name, series[max(series)], 1e-6)
    return None


def _saturated(spec: RunSpec, history: History) -> Finding | None:
    for name, series in layers(history, "saturated").items():
        for step in _ends(series):
            if series[step] > MOST:
                cause = causes.too_large(spec, history)
                advice = "Batch normalisation or a smaller learning rate usually helps."
                sentence = (
                    f"Saturation: in layer {name}, {series[step]:.0%} of the activations sit on the flat ends of the "
                    f"function {when(step)} (bound {MOST:.0%}), where its slope is nearly 0. "
                    f"{cause.sentence if cause else advice}"
                )
                return Finding(sentence, name, series[step], MOST)
    return None


def _step_size(spec: RunSpec, history: History) -> Finding | None:
    ratios = list(layers(history, "update_ratio").values())
    steps = sorted({step for series in ratios for step in series})
    medians = [
        statistics.median(known)
        for step in steps
        # A layer that gets no gradient at all is dead, identical or cut off, which no rate mends.
        if (known := [series[step] for series in ratios if 0 < series.get(step, math.nan) < math.inf])
    ]
    if not medians:
        return None
    low, high = all(m < SMALLEST_STEP for m in medians), all(m > LARGEST_STEP for m in medians)
    if not (low or (high and not _learned(history))):
        return None
    bound = SMALLEST_STEP if low else LARGEST_STEP
    sentence = (
        f"The steps are too {'small' if low else 'large'}: one update changes a layer's weights by a share of "
        f"{medians[-1]:.2g} in the median, {'below' if low else 'above'} {bound:g} whenever it was measured; about "
        f"1e-3 is usual. A {'larger' if low else 'smaller'} learning rate usually helps."
    )
    return Finding(sentence, "", medians[-1], bound)


def _initial_loss(spec: RunSpec, history: History) -> Finding | None:
    expected = theory.expected_initial_loss(spec.loss, spec.data_shape)
    start = history.get(PROBE_LOSS, {}).get(0, math.nan)
    if expected is None or not math.isfinite(start) or abs(start - expected) <= LOSS_MARGIN:
        return None
    choices = round(math.exp(expected))
    cause = causes.too_large(spec, history)
    advice = "Smaller initial weights (glorot_uniform, he_normal) or scaled inputs usually help."
    sentence = (
        f"The initial loss is off: {start:.3g} before training, while guessing among {choices} answers costs "
        f"ln {choices} = {expected:.3g} (± {LOSS_MARGIN:g}). The untrained network is already sure of itself. "
        f"{cause.sentence if cause else advice}"
    )
    return Finding(sentence, "", start, expected)


def _diverged(spec: RunSpec, history: History) -> Finding | None:
    """Growth is judged on the probe's loss alone: the others contain the weight penalties, it does not, and only it
    is known from before training.
    """
    cause = causes.inputs(spec, history) or causes.targets(spec, history)
    advice = "Each step overshoots. A smaller learning rate, by a factor of ten to begin with, usually helps."
    helps = f"Each step overshoots. {cause.sentence}" if cause else advice
    for key in (PROBE_LOSS, "train/loss", "val/loss", "test/loss"):
        series = history.get(key, {})
        if series and not math.isfinite(last := series[max(series)]):
            sentence = (
                f"Diverged: the loss is {last:.3g} {when(max(series))}, no number to learn from. {helps}"
            )
            return Finding(sentence, "", last, math.inf)
    probed = history.get(PROBE_LOSS, {})
    first, last = probed.get(0, 0.0), probed[max(probed)] if probed else 0.0
    if first > 0 and last > LOSS_GROWTH * first:
        sentence = (
            f"Diverged: the loss is {last:.3g} {when(max(probed))}, at the start it was {first:.3g} (bound: "
            f"{LOSS_GROWTH:g} times that). {helps}"
        )
        return Finding(sentence, "", last, LOSS_GROWTH * first)
    return None


def _unfinished(spec: RunSpec, history: History) -> Finding | None:
    """Far from done: most of the loss is left, and it falls as fast at the end as at the beginning."""
    losses, start = history.get("train/loss", {}), history.get(PROBE_LOSS, {}).get(0, math.nan)
    values = [losses[step] for step in sorted(losses)]
    if len(values) < EPOCHS_TO_JUDGE or not values[-1] > FAR * start or not math.isfinite(values[-1]):
        return None
    half = len(values) // 2
    early, late = (values[0] - values[half]) / half, (values[half] - values[-1]) / (len(values) - 1 - half)
    if not (early > 0 and late > 0.5 * early and values[-1] == min(values)):
        return None
    cause = causes.targets(spec, history)
    sentence = (
        f"Far from done: after {len(values)} epochs the loss is {values[-1]:.3g}, {values[-1] / start:.1%} of what it "
        f"was before training (bound {FAR:.0%}), and it still falls as fast as at first; at this pace it needs about "
        f"{math.ceil(values[-1] / late):,} epochs more. A larger learning rate helps, or more epochs. "
        f"{cause.sentence if cause else ''}"
    )
    return Finding(sentence.rstrip(), "", values[-1] / start, FAR)


def _unsettled(spec: RunSpec, history: History) -> Finding | None:
    """Batch normalisation's moving averages after N updates are 1 − momentum^N of the way (Ioffe & Szegedy 2015)."""
    norms = [layer for layer in spec.model.layers if isinstance(layer, BatchNormalization)]
    train, val = history.get("train/loss", {}), history.get("val/loss", {})
    if not norms or not train or not val:
        return None
    momentum = max(layer.momentum for layer in norms)
    updates = max(train) * math.ceil(spec.data_shape.n_train / spec.training.batch_size)
    share, last = 1 - momentum**updates, max(train)
    if share >= SETTLED or not val.get(last, 0.0) > PARTED * train[last]:
        return None
    needed = math.ceil(math.log(1 - SETTLED) / math.log(momentum))
    fitting = (1 - SETTLED) ** (1 / max(1, updates))
    sentence = (
        f"Batch normalisation is not settled: with momentum {momentum:g}, its moving averages are {share:.0%} of the way "
        f"after {updates} updates (bound {SETTLED:.0%}). Training uses the batch's own mean and loses {train[last]:.3g}, "
        f"validation uses the averages and loses {val[last]:.3g}. A momentum of at most {fitting:.2g}, or {needed} "
        "updates and more, help."
    )
    return Finding(sentence, "", share, SETTLED)


def _unreachable(spec: RunSpec, history: History) -> Finding | None:
    """Targets outside the range of the output's activation."""
    low, high = (causes.at_start(history, key) for key in (causes.TARGET_LOW, causes.TARGET_HIGH))
    outputs = [
        name for layer in spec.model.layers if (name := getattr(layer, "activation", None)) is not None
    ]
    if not outputs or math.isnan(low):
        return None
    entry = activation(outputs[-1])
    beyond = max(high - entry.high, entry.low - low)
    if not beyond > 1e-6 * max(1.0, high - low):
        return None
    sentence = (
        f"Targets out of reach: they go from {low:.3g} to {high:.3g}, and the output's {entry.name} gives {entry.low:g} to "
        f"{entry.high:g}, {beyond:.3g} too little. A linear output helps, or targets scaled into that range."
    )
    return Finding(sentence, "", beyond, 0.0)


def _unconverged(spec: RunSpec, history: History) -> Finding | None:
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
    seen = f"the mean loss was {last:.3g}" if name == "error" else answers
    sentence = (
        f"Never converged: {epochs} epochs did not meet training.stop.{name}, at most {bound:g}. In epoch {epochs} "
        f"{seen}, counted while the weights still changed: the finished network may answer otherwise. More "
        "epochs or another learning rate usually help. Where they do not, the network cannot do it: a single neuron "
        "separates only what a straight line separates, and needs a hidden layer before it for the rest."
    )
    return Finding(sentence, "", last, bound)


DEBUGGER = "SageMaker Debugger"
RULES: tuple[Rule, ...] = (
    Rule("vanishing_gradient", "first layer's gradient norm below 1e-4 and below 1e-3 of the last layer's",
         "AUTOTRAINER, ICSE 2021", _vanishing),
    Rule("exploding_gradient", "after some epoch a layer's gradient norm is not finite, or above 70 and ten times that "
         "before training, or above 70 while the loss neither falls below 90 % of its start nor falls as fast as at first",
         "the same", _exploding),
    Rule("dead_relu", "more than half of a layer's units are 0 for every point",
         f"{DEBUGGER}, judged on activations", _dead),
    Rule("identical_units", "all units of a hidden layer have the same weights", "Goodfellow et al. 2016, section 8.4",
         _identical),
    Rule("saturation", "more than half of a layer's activations are saturated", DEBUGGER, _saturated),
    Rule("step_size", "median update ratio below 1e-5, or above 1e-1 while the loss does not fall, whenever it was "
         "measured", "CS231n", _step_size),
    Rule("initial_loss", "cross-entropy before training further than 0.5 from ln C; the binary one from ln 2", "CS231n",
         _initial_loss),
    Rule("diverged", "a loss that is not finite, or on the measured points more than ten times what it was before "
         "training (both without the weight penalties)", "", _diverged),
    Rule("unfinished", "after five epochs or more, over half of the initial loss is left and it still falls as fast as "
         "at first", "", _unfinished),
    Rule("batch_norm_unsettled", "moving averages less than 95 % of the way (1 − momentum^updates), and a validation "
         "loss above 1.5 times the training loss", "Ioffe & Szegedy 2015", _unsettled),
    Rule("unreachable_targets", "a regression's targets lie outside the range of the output's activation", "",
         _unreachable),
    Rule("not_converged", "`training.stop` has a bound (`error`, `train_errors`) that was never met",
         "the delta rule's own criterion", _unconverged),
)  # fmt: skip
