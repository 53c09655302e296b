"""From the reports on single tensors to the verdict on a program."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from experiments.engine import backend
from experiments.gradient_check.certificates import (
    EngineReport,
    GradientReport,
    StateReport,
    TensorReport,
    Verdict,
    certificate_key,
    versions,
)
from experiments.gradient_check.objective import Array
from experiments.runs import RunSpec

HAND_BOUND = 1e-8
"""Largest |by hand − autodiff| as a share of the tensor's largest derivative; 1e-13 is usual."""
TRUSTED_STEPS = (1e-7, 1e-3)
"""Outside, a quotient is off by more than the gates allow whatever the gradient is."""
START, LATER = "at the start", "after 100 steps"


def still(report: TensorReport, gradient: Array, largest: float) -> bool:
    """Whether neither the loss nor autodiff moves with a tensor, but for rounding.

    Args:
        report: Of the tensor.
        gradient: Autodiff's.
        largest: The largest derivative of the network.
    """
    nothing = float(np.max(np.abs(gradient), initial=0.0)) <= 1e-9 * largest
    return report.status != "failed" and not report.assessed and nothing


def settled(states: Sequence[StateReport]) -> bool:
    """Whether more points could not change the verdict: a failure, or every tensor assessed at some start."""
    failed = any(tensor.status == "failed" for state in states for tensor in state.tensors)
    return failed or not _unassessed(states)


def _unassessed(states: Sequence[StateReport]) -> list[tuple[StateReport, TensorReport]]:
    """The tensors that were assessed at no start, each with its first report.

    A start counts because training begins there: weights that are all 0 have derivatives after 100 steps from shaken
    biases, and none that a run ever follows.
    """
    starts = [state for state in states if state.name.startswith(START)]
    passed = {(t.name, t.part) for s in starts for t in s.tensors if t.status == "passed"}
    first: dict[tuple[str, str], tuple[StateReport, TensorReport]] = {}
    for state in states:
        for tensor in state.tensors:
            if (tensor.name, tensor.part) not in passed:
                first.setdefault((tensor.name, tensor.part), (state, tensor))
    return list(first.values())


def verdict(
    spec: RunSpec, states: Sequence[StateReport], engine: EngineReport | None, dtype: str
) -> tuple[Verdict, str]:
    """The verdict with its reason; the gravest finding decides.

    Args:
        spec: The run whose program was checked.
        states: Of every attempt.
        engine: The comparison with the engine, where it was made.
        dtype: Of the check.
    """
    if dtype != "float64":
        return "not assessed", f"{dtype} certifies nothing: rounding alone makes errors of 1e-2 at h = 1e-4"
    failures = _failures(states)
    step = spec.gradient_check.step
    if failures and not TRUSTED_STEPS[0] <= step <= TRUSTED_STEPS[1]:
        return (
            "not assessed",
            f"with h = {step:g} the quotient itself is too far off to judge by; 1e-4 is right",
        )
    if failures:
        return "failed", _first(failures)
    unassessed = [f"{t.name} ({t.part}), {s.name}: {t.reason}" for s, t in _unassessed(states)]
    if unassessed:
        return "not assessed", _first(unassessed)
    if not any(tensor.assessed for state in states for tensor in state.tensors):
        return "not assessed", "no derivative of any tensor could be assessed"
    if (
        engine is not None and engine.status == "failed"
    ):  # judged last: of a flat tensor, single precision is rounding
        return "failed", (
            f"the engine's float32 gradient of {engine.tensor} is off by {engine.error:.1e} of the largest "
            f"derivative (bound {engine.bound:.0e})"
        )
    if engine is not None and engine.status == "not assessed":
        return "not assessed", (
            f"single precision is too coarse for this network: moving {engine.tensor} by rounding changes its "
            f"gradient too much to judge the engine's by (the bound would be {engine.bound:.0e})"
        )
    return "certified", "autodiff agrees with central differences in every tensor"


def _failures(states: Sequence[StateReport]) -> list[str]:
    tensors = [(state, tensor) for state in states for tensor in state.tensors]
    return [
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


def _first(reasons: list[str]) -> str:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return reasons[0] + more


def report(
    spec: RunSpec, device: str, dtype: str, seed: int, *, verdict: Verdict, reason: str, began: float,
    states: tuple[StateReport, ...] = (), engine: EngineReport | None = None, points: int = 0,
    injected: str | None = None,
) -> GradientReport:  # fmt: skip
    """The report with its figures over all tensors; began: `time.perf_counter()` at the start."""
    tensors = [t for s in states for t in s.tensors]
    checked = max(1, sum(t.checked for t in tensors))
    hands = [t.by_hand for t in tensors if t.by_hand is not None]
    largest = [t.max for t in tensors if t.max is not None]
    medians = [t.median for t in tensors if t.median is not None]
    return GradientReport(
        verdict=verdict, reason=reason, key=certificate_key(spec, device, backend.name), mode=spec.gradient_check.mode,
        step=spec.gradient_check.step, dtype=dtype, seed=seed, points=points, device=device, versions=versions(backend.name),
        states=states, engine=engine, max_rel_err=max(largest, default=None),
        median_rel_err=float(np.median(medians)) if medians else None,
        discarded=sum(t.discarded for t in tensors) / checked,
        not_assessable=sum(t.not_assessable for t in tensors) / checked,
        by_hand=max(hands, default=None), injected=injected, seconds=time.perf_counter() - began,
    )  # fmt: skip
