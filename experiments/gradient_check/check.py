"""The gradient check: does the program's gradient equal what a difference quotient measures?

Three independent ways to one gradient are compared: autodiff (which training uses), central differences in double
precision, and backprop by hand where the network is dense layers in a row. The training engine's own
single-precision gradient is compared with them too. docs/gradient-check.md gives the rules and the reasons.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.activations import ACTIVATIONS
from experiments.datasets import Data, Source
from experiments.gradient_check.backprop import network_gradient
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
from experiments.gradient_check.tensor_check import Gate, Point, check_tensor
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

    Args:
        spec: A run of the program.
        source: Where the data set is read from.
        inject_fault: A name of `injected_faults.FAULTS`, put into the gradient. The engine's gradient, which would
            not have the fault, is then not compared.
        data: The spec's data set, where it is loaded already.
        device: `cpu` or `gpu`, for the engine's gradient.
        dtype: `float32` shows why single precision certifies nothing.
        seed: Of weights, points and coordinates. Certificates are made at the default one.
        engine: Compare the training engine's gradient too.

    Raises:
        DataError: The data set cannot be had.
        FaultError: The fault is unknown or has no place in the network.
    """
    began = time.perf_counter()
    jumps = sorted({name for name in _activations(spec) if ACTIVATIONS[name].smoothness == "jump"})
    if jumps:
        reason = f"{' and '.join(jumps)} jumps: at a jump there is no derivative to check"
        return _report(spec, device, dtype, "refused", reason, seed=seed, began=began)
    if data is None:
        data = spec.dataset.load(source or Source(), spec.model.data_format)
    objective = Objective(spec, data, dtype=dtype, seed=seed)
    spoil = None if inject_fault is None else inject(inject_fault, objective)
    differences = {part: Differences(objective, part) for part in objective.parts}
    draw = np.random.default_rng([SEED, seed, 1])
    start = objective.start()
    weights = {"at the start": start, "after 100 steps": objective.burned_in(start)}
    states: list[StateReport] = []
    totals: list[list[Array]] = []
    for name, values in weights.items():
        gradients = {part: _gradient(objective, part, values, spoil) for part in objective.parts}
        states.append(_state(name, objective, differences, values, gradients, draw))
        totals.append([sum(parts) for parts in zip(*gradients.values(), strict=True)])
    compare_engine = engine and inject_fault is None and dtype == "float64"
    engine_report = (
        engine_check(objective, list(weights.values()), totals, device) if compare_engine else None
    )
    verdict, reason = _verdict(spec, states, engine_report, dtype)
    return _report(
        spec, device, dtype, verdict, reason, seed=seed, began=began, states=tuple(states), engine=engine_report,
        points=len(objective.x), injected=inject_fault,
    )  # fmt: skip


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
    """All tensors of all parts at one set of weights."""
    losses = {part: objective.value(part, values) for part in objective.parts}
    again = {part: objective.value(part, values) for part in objective.parts}
    gate = Gate.smooth() if objective.smooth else Gate.kinked()
    step = objective.spec.gradient_check.step
    tensors: list[TensorReport] = []
    for part, gradient in gradients.items():
        tensors += _tensors(
            objective, Point(part, differences[part], values, gradient, losses[part], step, gate, draw)
        )
    slope, note = None, "kinks: the test needs a function without any"
    if objective.smooth:
        slope, note = taylor_slope(differences["loss"], values, gradients["loss"], losses["loss"], draw)
    return StateReport(
        name=name, loss=losses["loss"], penalty=losses.get("penalty", 0.0), repeatable=losses == again, slope=slope,
        slope_note=note, tensors=tuple(tensors),
    )  # fmt: skip


def _tensors(objective: Objective, point: Point) -> Iterator[TensorReport]:
    """The report on every tensor; of the penalties, on every tensor that has one."""
    total = sum(gradient.size for gradient in point.gradient)
    chosen = [_choose(objective, gradient, total, point.draw) for gradient in point.gradient]
    quotients = point.differences.coordinates(point.values, chosen, point.step)
    hand = _by_hand(objective, point.values) if point.part == "loss" else None
    for index, name in enumerate(objective.names):
        report = check_tensor(name, index, point, quotients[index])
        if point.part == "penalty" and report.flat == report.checked:
            continue  # a tensor without a regulariser
        if hand is not None:
            largest = float(np.max(np.abs(hand[index]), initial=0.0))
            difference = float(np.max(np.abs(hand[index] - point.gradient[index]), initial=0.0))
            report = report.model_copy(update={"by_hand": difference / largest if largest else difference})
        yield report


def _by_hand(objective: Objective, values: Values) -> list[Array] | None:
    weights = [np.asarray(value, np.float64) for value in values]
    x, t = np.asarray(objective.x, np.float64), np.asarray(objective.t, np.float64)
    gradient = network_gradient(objective.spec, weights, x, t)
    return None if gradient is None else [np.asarray(array, np.float64) for array in gradient]


def _choose(
    objective: Objective, gradient: Array, total: int, draw: np.random.Generator
) -> NDArray[np.int64]:
    """The coordinates of one tensor to check: flat indices, sorted, without repetition."""
    size, mode = gradient.size, objective.spec.gradient_check.mode
    if mode == "full" and total <= FULL_LIMIT:
        return np.arange(size)
    sampled = SAMPLED_HEAVY if objective.heavy else SAMPLED
    wanted = min(size, 1000 if mode == "full" else sampled)
    if wanted == size:
        return np.arange(size)
    uniform = draw.choice(size, wanted // 2, replace=False)
    weight = np.abs(gradient.ravel())
    if not np.isfinite(weight).all() or np.count_nonzero(weight) <= wanted:
        return np.unique(np.concatenate([uniform, np.flatnonzero(weight)[:wanted]]))
    by_size = draw.choice(size, wanted - len(uniform), replace=False, p=weight / weight.sum())
    return np.unique(np.concatenate([uniform, by_size]))


def _verdict(
    spec: RunSpec, states: Sequence[StateReport], engine: EngineReport | None, dtype: str
) -> tuple[Verdict, str]:
    """The verdict with its reason; the gravest finding decides."""
    step = spec.gradient_check.step
    tensors = [(state, tensor) for state in states for tensor in state.tensors]
    failures = [
        *(f"{s.name}: two evaluations at one point differ" for s in states if not s.repeatable),
        *(f"{s.name}: {t.name} ({t.part}): {t.reason}" for s, t in tensors if t.status == "failed"),
        *(
            f"{s.name}: {t.name}: autodiff differs from backprop by hand by {t.by_hand:.1e} of the largest derivative"
            for s, t in tensors
            if t.by_hand is not None and not t.by_hand <= HAND_BOUND
        ),
        *(
            f"{s.name}: the Taylor remainder falls with slope {s.slope:.2f}, that of a right gradient with 2"
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
    unassessed = [
        f"{s.name}: {t.name} ({t.part}): {t.reason}" for s, t in tensors if t.status == "not assessed"
    ]
    if unassessed:
        more = f" (and {len(unassessed) - 1} more)" if len(unassessed) > 1 else ""
        return "not assessed", unassessed[0] + more
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
