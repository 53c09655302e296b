"""The training engine's own gradient, single precision, vectorised and compiled, beside autodiff's in double.

A certificate of the double-precision program says nothing about the program that trains. This compares the two at
the same weights: the double-precision ones were rounded to single precision, so both start from the same numbers.

Where a network magnifies rounding (the circle loss exponentiates 80 times a cosine), single precision is off by more
than the bound though the program is right. How much is measured, not guessed: there the plain program, neither
vectorised nor fused, is evaluated in single precision too, and the engine may be off by as much as that and a margin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from experiments.engine import backend
from experiments.engine.layouts import Layout
from experiments.engine.program import Program
from experiments.gradient_check.certificates import EngineReport, Status
from experiments.gradient_check.objective import Array, Batch, Objective, Values

BOUND = 1e-4
"""Largest difference allowed, as a share of the tensor's largest derivative."""
LOOSEST = 1e-2
"""The bound never grows beyond this; where it would, single precision is too coarse to judge by."""
MARGIN = 10.0
"""The engine may be off by this many times what the plain program is off by in single precision."""
MOVES = 3
"""Points, one unit in the last place apart, at which the plain program's error is measured: at one it may be 0."""

NOTHING = 1e-12
"""A tensor whose derivatives are a smaller share of the network's largest consists of rounding (a bias before batch
normalisation): its errors are measured against the network's largest instead."""


class EngineCheck:
    """The engine's gradient of a program, compiled once. Final."""

    def __init__(self, objective: Objective, device: str) -> None:
        self.objective = objective
        self._float32: Objective | None = None
        self.lanes = 4 if objective.spec.max_width() > 1 else 1
        self.program = Program(objective.spec, Layout(1, self.lanes), device)
        program = self.program

        def single(weights: Any, frozen: Any, x: Any, t: Any) -> Any:
            return program.gradients(weights, frozen, x, t)[1]

        def vectorised(weights: Any, frozen: Any, x: Any, t: Any) -> Any:
            return backend.over_lanes(lambda w, f: single(w, f, x, t), weights, frozen)

        self._run: Callable[..., Any] = backend.compiled(
            vectorised if self.lanes > 1 else single, fused=program.fused
        )

    def report(
        self,
        states: Sequence[Values],
        batch: Batch,
        exact: Sequence[Sequence[Array]],
        draw: np.random.Generator,
    ) -> EngineReport:
        """The engine's gradient compared with autodiff's at every state.

        Args:
            states: Weights, one list of tensors per state, at most four.
            batch: Points and noise.
            exact: The double-precision gradient at each state, penalties included.
            draw: For the moves by rounding.

        Returns:
            The tensor that comes nearest to its bound, or is furthest beyond it.
        """
        worst = self._reported(0.0, 0, BOUND)
        for values, ours, right in zip(states, self._gradients(states, batch), exact, strict=True):
            scales = _scales(right)
            errors = [_share(a - b, scale) for a, b, scale in zip(ours, right, scales, strict=True)]
            bounds = [BOUND] * len(errors)
            if not max(errors) <= BOUND:
                plain = self._plain(values, batch, draw)
                bounds = [max(BOUND, MARGIN * error) for error in plain]
            for index, (error, bound) in enumerate(zip(errors, bounds, strict=True)):
                if not error / bound <= worst.error / worst.bound:
                    worst = self._reported(error, index, bound)
        return worst

    def _reported(self, error: float, index: int, bound: float) -> EngineReport:
        status: Status = "passed" if error <= min(bound, LOOSEST) else "failed"
        if status == "failed" and bound > LOOSEST:
            status = "not assessed"
        return EngineReport(
            error=error, tensor=self.objective.names[index], width=self.lanes, status=status, bound=bound
        )

    def _gradients(self, states: Sequence[Values], batch: Batch) -> list[list[Array]]:
        x, t = _single(batch.x), _single(batch.t)
        with backend.on(self.program.device):
            if self.lanes == 1:
                frozen = [_single(value) for value in batch.frozen]
                results = [self._run([_single(v) for v in values], frozen, x, t) for values in states]
                return [[backend.array(g).astype(np.float64) for g in gradient] for gradient in results]
            rows = [states[lane % len(states)] for lane in range(self.lanes)]
            columns = zip(*rows, strict=True)
            weights = [_single(np.stack([backend.array(v) for v in column])) for column in columns]
            frozen = [_single(np.stack([backend.array(value)] * self.lanes)) for value in batch.frozen]
            gradients = self._run(weights, frozen, x, t)
        return [[backend.array(g)[lane].astype(np.float64) for g in gradients] for lane in range(len(states))]

    def _plain(self, values: Values, batch: Batch, draw: np.random.Generator) -> list[float]:
        """Per tensor the largest error of the plain program's gradient in single precision."""
        double = self.objective
        self._float32 = self._float32 or Objective(double.spec, double.data, dtype="float32")
        single = self._float32
        frozen = tuple(_single(value) for value in batch.frozen)
        rounded = replace(batch, x=_single(batch.x), t=_single(batch.t), frozen=frozen)
        errors = [0.0] * len(double.variables)
        for _ in range(MOVES):
            at = [_neighbour(backend.array(value), draw) for value in values]
            exact = double.total_gradient([double.tensor(value) for value in at], batch)
            coarse = single.total_gradient([single.tensor(value) for value in at], rounded)
            for index, scale in enumerate(_scales(exact)):
                errors[index] = max(errors[index], _share(coarse[index] - exact[index], scale))
        return errors


def _scales(gradient: Sequence[Array]) -> list[float]:
    """Per tensor its largest derivative, or the network's largest where the tensor's consist of rounding."""
    largest = [float(np.max(np.abs(g), initial=0.0)) for g in gradient]
    return [own if own > NOTHING * max(largest) else max(largest) for own in largest]


def _neighbour(value: Array, draw: np.random.Generator) -> Array:
    """Single-precision numbers at most one unit in the last place away."""
    array = np.asarray(value, np.float32)
    towards = draw.choice([-np.inf, np.inf], size=array.shape).astype(np.float32)
    moved: Array = np.where(
        (array != 0) & (draw.random(array.shape) < 0.5), np.nextafter(array, towards), array
    )
    return moved


def _share(difference: Array, scale: float) -> float:
    """The largest |difference| over `scale`; where there is no derivative at all, any difference counts whole."""
    largest = float(np.max(np.abs(difference), initial=0.0))
    return largest / scale if scale > 0 else float(largest > BOUND)


def _single(value: Any) -> Any:
    array = backend.array(value)
    return backend.tensor(array if array.dtype.kind in "iu" else array.astype(keras.config.floatx()))
