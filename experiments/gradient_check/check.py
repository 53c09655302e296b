"""The gradient check: does the program's gradient equal what a difference quotient measures?

Three independent ways to one gradient are compared: autodiff (what training uses), central differences in double
precision, and where the network is dense layers in a row, backprop by hand; and beside them the training engine's
own single-precision gradient. docs/gradient-check.md gives the rules and the reasons.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.activations import ACTIVATIONS
from experiments.datasets import Data, Source
from experiments.gradient_check.by_hand import by_hand
from experiments.gradient_check.certificates import (
    EngineReport,
    GradientReport,
    Part,
    StateReport,
    TensorReport,
    Verdict,
    certificate_key,
    versions,
)
from experiments.gradient_check.differences import Differences
from experiments.gradient_check.engine_check import engine_check
from experiments.gradient_check.injected_faults import Spoil, inject
from experiments.gradient_check.objective import SEED, Array, Objective, Values
from experiments.gradient_check.taylor import taylor_slope
from experiments.gradient_check.tensor_check import Gate, check_tensor
from experiments.runs import RunSpec

SAMPLED = 24
"""Coordinates per tensor in the sampled mode: half of them at random, half at random by size of the gradient."""
SAMPLED_HEAVY = 8
"""The same where one evaluation takes long (objective.HEAVY)."""
FULL_LIMIT = 300_000
"""Parameters up to which `full` takes every coordinate; beyond it takes 1,000 of each tensor."""
HAND_BOUND = 1e-8
"""Largest |by hand − autodiff| as a share of the tensor's largest derivative; 1e-13 is usual."""
TRUSTED_STEPS = (1e-7, 1e-3)
"""Outside, a quotient is off by more than the gates allow whatever the gradient is."""


def check(
    spec: RunSpec,
    source: Source | None = None,
    *,
    inject_fault: str | None = None,
    data: Data | None = None,
    device: str = "cpu",
    dtype: str = "float64",
    seed: int = SEED,
    engine: bool = True,
) -> GradientReport:
    """The certificate of the spec's program, or why there is none.

    data: the spec's own, where it is loaded already (else it is loaded from `source`). dtype: `float32` shows why
    single precision certifies nothing. seed: another canonical point (of weights, points, coordinates), for tests.
    engine: compare the training engine's gradient too (not where a fault is injected: it would have none of it).
    Raises DataError; FaultError where `inject_fault` is unknown or has no place in the network.
    """
    began = time.perf_counter()
    jumps = sorted({name for name in _activations(spec) if ACTIVATIONS[name].smoothness == "jump"})
    if jumps:
        names = " and ".join(jumps)
        return _report(spec, device, dtype, "refused", f"{names} jumps: at a jump there is no derivative to check",
                       seed=seed, began=began)  # fmt: skip
    if data is None:
        data = spec.dataset.load(source or Source(), spec.model.data_format)
    objective = Objective(spec, data, dtype=dtype, seed=seed)
    spoil = None if inject_fault is None else inject(inject_fault, objective)
    differences = {part: Differences(objective, part) for part in objective.parts}
    draw = np.random.default_rng([SEED, seed, 1])
    start = objective.start()
    points = {"at the start": start, "after 100 steps": objective.burned_in(start)}
    states, exact = [], []
    for name, values in points.items():
        gradients = {part: _gradient(objective, part, values, spoil) for part in objective.parts}
        states.append(_state(name, objective, differences, values, gradients, draw))
        exact.append([sum(column) for column in zip(*gradients.values(), strict=True)])
    beside = engine and inject_fault is None and dtype == "float64"
    single = engine_check(objective, list(points.values()), exact, device) if beside else None
    verdict, reason = _verdict(spec, states, single, dtype)
    return _report(spec, device, dtype, verdict, reason, seed=seed, began=began, states=tuple(states), engine=single,
                   points=len(objective.x), injected=inject_fault)  # fmt: skip


def _activations(spec: RunSpec) -> set[str]:
    return {
        getattr(layer, name)
        for layer in spec.model.layers
        for name in ("activation", "recurrent_activation")
        if getattr(layer, name, None) is not None
    }


def _gradient(objective: Objective, part: Part, values: Values, spoil: Spoil | None) -> list[Array]:
    gradient = objective.gradient(part, values)
    return gradient if spoil is None else spoil(part, gradient)


def _state(
    name: str, objective: Objective, differences: dict[Part, Differences], values: Values,
    gradients: dict[Part, list[Array]], draw: np.random.Generator,
) -> StateReport:  # fmt: skip
    losses = {part: objective.value(part, values) for part in objective.parts}
    again = {part: objective.value(part, values) for part in objective.parts}
    tensors: list[TensorReport] = []
    for part, gradient in gradients.items():
        hand = by_hand(objective, values) if part == "loss" else None
        tensors += _tensors(objective, differences[part], part, values, gradient, losses[part], hand, draw)
    slope, note = None, "kinks: the test needs a function without any"
    if objective.smooth:
        slope, note = taylor_slope(differences["loss"], values, gradients["loss"], losses["loss"], draw)
    return StateReport(
        name=name, loss=losses["loss"], penalty=losses.get("penalty", 0.0), repeatable=losses == again, slope=slope,
        slope_note=note, tensors=tuple(tensors),
    )  # fmt: skip


def _tensors(
    objective: Objective, differences: Differences, part: Part, values: Values, gradient: list[Array], loss: float,
    hand: list[Array] | None, draw: np.random.Generator,
) -> Iterator[TensorReport]:  # fmt: skip
    gate = Gate.smooth() if objective.smooth else Gate.kinked()
    step = objective.spec.gradient_check.step
    sizes = [g.size for g in gradient]
    chosen = [_chosen(objective, g, sum(sizes), draw) for g in gradient]
    quotients = differences.coordinates(values, chosen, step)
    for place, (name, slopes) in enumerate(zip(objective.names, gradient, strict=True)):
        report = check_tensor(
            name, part, place, slopes, quotients[place], differences, values, loss, step, gate, draw
        )
        if part == "penalty" and report.flat == report.checked:
            continue  # a tensor without a regulariser
        if hand is not None:
            largest = float(np.max(np.abs(hand[place]), initial=0.0))
            off = float(np.max(np.abs(hand[place] - slopes), initial=0.0))
            report = report.model_copy(update={"by_hand": off / largest if largest else off})
        yield report


def _chosen(
    objective: Objective, gradient: Array, total: int, draw: np.random.Generator
) -> NDArray[np.int64]:
    """Flat indices, sorted, without repetition."""
    size, mode = gradient.size, objective.spec.gradient_check.mode
    if mode == "full" and total <= FULL_LIMIT:
        return np.arange(size)
    sampled = SAMPLED_HEAVY if objective.heavy else SAMPLED
    wanted = min(size, 1000 if mode == "full" else sampled)
    if wanted == size:
        return np.arange(size)
    blind = draw.choice(size, wanted // 2, replace=False)
    weight = np.abs(gradient.ravel())
    if not np.isfinite(weight).all() or np.count_nonzero(weight) <= wanted:
        return np.unique(np.concatenate([blind, np.flatnonzero(weight)[:wanted]]))
    seen = draw.choice(size, wanted - len(blind), replace=False, p=weight / weight.sum())
    return np.unique(np.concatenate([blind, seen]))


def _verdict(
    spec: RunSpec, states: Sequence[StateReport], engine: EngineReport | None, dtype: str
) -> tuple[Verdict, str]:
    """The verdict and its reason, the gravest first."""
    step = spec.gradient_check.step
    tensors = [(state, tensor) for state in states for tensor in state.tensors]
    failures = [
        *(f"{s.name}: two evaluations at one point differ" for s in states if not s.repeatable),
        *(f"{s.name}: {t.name} ({t.part}): {t.reason}" for s, t in tensors if t.status == "failed"),
        *(
            f"{s.name}: {t.name}: autodiff is off from backprop by hand by {t.by_hand:.1e} of the largest derivative"
            for s, t in tensors
            if t.by_hand is not None and not t.by_hand <= HAND_BOUND
        ),
        *(
            f"{s.name}: the Taylor remainder falls with slope {s.slope:.2f}, a right gradient's with 2"
            for s in states
            if s.slope is not None and not 1.9 <= s.slope <= 2.1
        ),
    ]
    if engine is not None and engine.status == "failed":
        failures.append(
            f"the engine's float32 gradient of {engine.tensor} is off by {engine.error:.1e} of the largest derivative"
        )
    if dtype != "float64":
        return "not assessed", f"{dtype} certifies nothing: rounding alone makes errors of 1e-2 at h = 1e-4"
    if failures and not TRUSTED_STEPS[0] <= step <= TRUSTED_STEPS[1]:
        return (
            "not assessed",
            f"with h = {step:g} the quotient itself is too far off to judge by; 1e-4 is right",
        )
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        return "failed", failures[0] + more
    open_ = [f"{s.name}: {t.name} ({t.part}): {t.reason}" for s, t in tensors if t.status == "not assessed"]
    if open_:
        more = f" (and {len(open_) - 1} more)" if len(open_) > 1 else ""
        return "not assessed", open_[0] + more
    return "certified", "autodiff agrees with central differences in every tensor"


def _report(
    spec: RunSpec, device: str, dtype: str, verdict: Verdict, reason: str, *, seed: int, began: float,
    states: tuple[StateReport, ...] = (), engine: EngineReport | None = None, points: int = 0,
    injected: str | None = None,
) -> GradientReport:  # fmt: skip
    tensors = [t for s in states for t in s.tensors]
    checked = max(1, sum(t.checked for t in tensors))
    hands = [t.by_hand for t in tensors if t.by_hand is not None]
    largest = [t.max for t in tensors if t.max is not None]
    medians = [t.median for t in tensors if t.median is not None]
    return GradientReport(
        verdict=verdict, reason=reason, key=certificate_key(spec, device), mode=spec.gradient_check.mode,
        step=spec.gradient_check.step, dtype=dtype, seed=seed, points=points, device=device, versions=versions(),
        states=states, engine=engine, max_rel_err=max(largest, default=None),
        median_rel_err=float(np.median(medians)) if medians else None,
        discarded=sum(t.discarded for t in tensors) / checked,
        not_assessable=sum(t.not_assessable for t in tensors) / checked,
        by_hand=max(hands, default=None), injected=injected, seconds=time.perf_counter() - began,
    )  # fmt: skip
