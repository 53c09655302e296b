"""The training engine's own gradient, single precision, vectorised and compiled, beside autodiff's in double.

A certificate of the double-precision program says nothing about the program that trains. This compares the two at
the same weights: the double-precision ones were rounded to single precision, so both start from the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from experiments.engine import backend
from experiments.engine.layouts import Layout
from experiments.engine.program import Program
from experiments.gradient_check.certificates import EngineReport
from experiments.gradient_check.objective import Array, Objective, Values

BOUND = 1e-4
"""Largest difference allowed, as a share of the tensor's largest derivative."""

NOTHING = 1e-12
"""A tensor whose derivatives are a smaller share of the network's largest consists of rounding (a bias before batch
normalisation): its errors are measured against the network's largest instead."""


def engine_check(
    objective: Objective, states: Sequence[Values], exact: Sequence[Sequence[Array]], device: str
) -> EngineReport:
    """The engine's gradient compared with autodiff's at every state.

    Args:
        objective: The program in double precision.
        states: Weights, one list of tensors per state, at most four.
        exact: The double-precision gradient at each state, penalties included.
        device: `cpu` or `gpu`.

    Returns:
        The largest difference over all tensors and states, as a share of the tensor's largest derivative.
    """
    spec = objective.spec
    lanes = 4 if spec.max_width() > 1 else 1
    program = Program(spec, Layout(1, lanes), device)
    x, t = (_single(part) for part in (objective.x, objective.t))
    frozen = [backend.array(value) for value in objective.frozen]
    gradients = (
        _vectorised(program, states, frozen, x, t, lanes)
        if lanes > 1
        else _alone(program, states, frozen, x, t)
    )
    worst, name = 0.0, objective.names[0]
    for ours, right in zip(gradients, exact, strict=True):
        everywhere = max(float(np.max(np.abs(double), initial=0.0)) for double in right)
        for tensor, single, double in zip(objective.names, ours, right, strict=True):
            largest = float(np.max(np.abs(double), initial=0.0))
            if largest <= NOTHING * everywhere:
                largest = everywhere
            difference = float(np.max(np.abs(single - double), initial=0.0))
            error = difference / largest if largest > 0 else float(difference > BOUND)
            if not error <= worst:
                worst, name = error, tensor
    return EngineReport(
        error=worst, tensor=name, width=lanes, status="passed" if worst <= BOUND else "failed"
    )


def _single(value: Any) -> Any:
    array = backend.array(value)
    return backend.tensor(array if array.dtype.kind in "iu" else array.astype(keras.config.floatx()))


def _vectorised(
    program: Program, states: Sequence[Values], frozen: list[Any], x: Any, t: Any, lanes: int
) -> list[list[Array]]:
    rows = [states[i % len(states)] for i in range(lanes)]
    weights = [_single(np.stack([backend.array(v) for v in column])) for column in zip(*rows, strict=True)]
    still = [_single(np.stack([value] * lanes)) for value in frozen]

    def run(weights: Any, still: Any, x: Any, t: Any) -> Any:
        return backend.over_lanes(lambda w, f: program.gradients(w, f, x, t)[1], weights, still)

    with backend.on(program.device):
        gradients = backend.compiled(run, fused=program.fused)(weights, still, x, t)
    return [[backend.array(g)[i].astype(np.float64) for g in gradients] for i in range(len(states))]


def _alone(
    program: Program, states: Sequence[Values], frozen: list[Any], x: Any, t: Any
) -> list[list[Array]]:
    still = [_single(value) for value in frozen]
    with backend.on(program.device):
        run = backend.compiled(lambda w, f, x, t: program.gradients(w, f, x, t)[1], fused=program.fused)
        gradients = [run([_single(v) for v in state], still, x, t) for state in states]
    return [[backend.array(g).astype(np.float64) for g in gradient] for gradient in gradients]
