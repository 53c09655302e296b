"""The gradient check: does the program's gradient equal what a difference quotient measures?

Three independent ways to one gradient are compared: autodiff (which training uses), central differences in double
precision, and backprop by hand where the network is dense layers in a row. The training engine's own
single-precision gradient is compared with them too. docs/gradient-check.md gives the rules and the reasons.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.activations import activation
from experiments.datasets import Data, Source
from experiments.gradient_check import verdicts
from experiments.gradient_check.by_hand import network_gradient
from experiments.gradient_check.certificates import (
    EngineReport,
    GradientReport,
    Part,
    StateReport,
    TensorReport,
)
from experiments.gradient_check.differences import Differences
from experiments.gradient_check.engine_check import NOTHING, EngineCheck
from experiments.gradient_check.hidden_slopes import HiddenSlope
from experiments.gradient_check.injected_faults import Spoil, inject, rewrites_layers
from experiments.gradient_check.objective import SEED, Array, Batch, Objective, Values
from experiments.gradient_check.point import Gate, Point
from experiments.gradient_check.redundant import removed_biases
from experiments.gradient_check.taylor import taylor_slope
from experiments.gradient_check.tensor_check import check_tensor
from experiments.runs import RunSpec

SAMPLED = 24
"""Coordinates per tensor in the sampled mode: half of them at random, half at random by size of the gradient."""
SAMPLED_HEAVY = 8
"""The same where one evaluation takes long (objective.HEAVY)."""
FULL_LIMIT = 300_000
"""Parameters up to which `full` takes every coordinate; beyond it takes 1,000 of each tensor."""
ATTEMPTS = ((0, 1), (1, 1), (2, 1), (0, 4), (1, 4), (0, 32))
"""(which other seed, how many times the points), in this order, until every tensor was assessed somewhere and every slope seen."""
OTHER_SEED = 1000
"""Distance between the seeds of two attempts."""


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
    if names := jumps(spec):
        reason = f"{' and '.join(names)} jumps: at a jump there is no derivative to check"
        return verdicts.report(spec, device, dtype, seed, verdict="refused", reason=reason, began=began)
    if data is None:
        data = spec.dataset.load(source or Source(), spec.model.data_format)
    checker = Checker(spec, data, device=device, dtype=dtype)
    if inject_fault is not None:
        checker = checker.with_fault(inject_fault)
    return checker.report(seed, engine=engine)


def jumps(spec: RunSpec) -> list[str]:
    """The activations of a run that jump, so that its program is refused."""
    chosen = {
        getattr(layer, name)
        for layer in spec.model.layers
        for name in ("activation", "recurrent_activation")
        if getattr(layer, name, None) is not None
    }
    return sorted(str(choice) for choice in chosen if activation(choice).smoothness == "jump")


@dataclass(frozen=True)
class Attempt:
    """One choice of seed and points: the weights at the start and after 100 steps, and the gradients there."""

    batch: Batch
    weights: Sequence[Values]
    gradients: list[dict[Part, list[Array]]]
    draw: np.random.Generator


class Checker:
    """The check of one program. Its graphs are traced once and serve every seed and every fault. Final.

    The arguments are those of `check`.
    """

    def __init__(self, spec: RunSpec, data: Data, *, device: str = "cpu", dtype: str = "float64") -> None:
        self.spec, self.device = spec, device
        self.fault: str | None = None
        self.objective = self._source = Objective(spec, data, dtype=dtype)
        self._spoil: Spoil | None = None
        self._differences = {part: Differences(self.objective, part) for part in self.objective.parts}
        self._slope = HiddenSlope(self.objective)
        self._removed = removed_biases(spec, self.objective.names)
        self._engine: EngineCheck | None = None
        self._weights: dict[int, list[Values]] = {}
        """Seed -> weights at the start and after 100 steps, which no fault changes."""

    def with_fault(self, name: str) -> Checker:
        """The same check with a fault in the gradient; the loss stays as it is.

        Args:
            name: A name of `injected_faults.FAULTS`.

        Raises:
            FaultError: The fault is unknown or has no place in the network.
        """
        faulty = copy(self)
        faulty.fault = name
        if rewrites_layers(name):
            faulty._source = Objective(self.spec, self.objective.data, dtype=self.objective.dtype)
        faulty._spoil = inject(name, faulty._source)
        return faulty

    def gradient(self, other: int = 0, times: int = 1) -> list[Array]:
        """The gradient at the start, with the fault where there is one.

        Args:
            other, times: A row of ATTEMPTS.
        """
        seed = SEED + OTHER_SEED * other
        batch, start = self._batch(seed, times), self.objective.start(seed)
        parts = [self._gradient(part, start, batch) for part in self.objective.parts]
        return [sum(of_tensor[1:], of_tensor[0]) for of_tensor in zip(*parts, strict=True)]

    def report(self, seed: int = SEED, *, engine: bool = True) -> GradientReport:
        """The report at the canonical points of a seed, and at others where a tensor could not be assessed there or a
        forgotten slope could not be seen."""
        began = time.perf_counter()
        objective, double = self.objective, self.objective.dtype == "float64"
        states: list[StateReport] = []
        for other, times in ATTEMPTS:
            attempt = self._attempt(seed + OTHER_SEED * other, times)
            where = [f"seed {seed + OTHER_SEED * other}"] * (other > 0)
            where += [f"{len(attempt.batch.x)} points"] * (times > 1)
            states += self._states(attempt, where)
            hidden = self._slope.hidden(attempt.weights[0], attempt.batch)
            if not double or (verdicts.settled(states) and not hidden):
                break
        engine_report: EngineReport | None = None
        if engine and double and self.fault is None:
            self._engine = self._engine or EngineCheck(objective, self.device)
            exact = [[sum(parts) for parts in zip(*g.values(), strict=True)] for g in attempt.gradients]
            engine_report = self._engine.report(attempt.weights, attempt.batch, exact, attempt.draw)
        verdict, reason = verdicts.verdict(self.spec, states, engine_report, objective.dtype)
        return verdicts.report(
            self.spec, self.device, objective.dtype, seed, verdict=verdict, reason=reason, began=began,
            states=tuple(states), engine=engine_report, points=len(attempt.batch.x), injected=self.fault,
        )  # fmt: skip

    def _attempt(self, seed: int, times: int) -> Attempt:
        """The weights of both states at a seed, `times` as many points, and the gradients there."""
        objective, batch = self.objective, self._batch(seed, times)
        if seed not in self._weights:
            start = objective.start(seed)
            self._weights[seed] = [start, objective.burned_in(start, seed)]
        weights = self._weights[seed]
        gradients = [
            {part: self._gradient(part, values, batch) for part in objective.parts} for values in weights
        ]
        return Attempt(batch, weights, gradients, np.random.default_rng([SEED, seed, times]))

    def _batch(self, seed: int, times: int) -> Batch:
        batch = self.objective.batch(seed)
        return batch if times == 1 else self.objective.batch(seed, times * len(batch.x))

    def _states(self, attempt: Attempt, where: list[str]) -> list[StateReport]:
        return [
            self._state(", ".join([name, *where]), values, attempt.batch, gradients, attempt.draw)
            for name, values, gradients in zip(
                (verdicts.START, verdicts.LATER), attempt.weights, attempt.gradients, strict=True
            )
        ]

    def _gradient(self, part: Part, values: Values, batch: Batch) -> list[Array]:
        gradient = self._source.gradient(part, values, batch)
        return gradient if self._spoil is None else self._spoil(part, gradient)

    def _state(
        self, name: str, values: Values, batch: Batch, gradients: dict[Part, list[Array]],
        draw: np.random.Generator,
    ) -> StateReport:  # fmt: skip
        """All tensors of all parts at one set of weights."""
        objective, step = self.objective, self.spec.gradient_check.step
        losses = {part: objective.value(part, values, batch) for part in objective.parts}
        again = {part: objective.value(part, values, batch) for part in objective.parts}
        gate = Gate.smooth() if objective.smooth else Gate.kinked()
        points = {
            part: Point(
                part, self._differences[part], values, batch, gradient, losses[part], step, gate, draw
            )
            for part, gradient in gradients.items()
        }
        tensors = [report for point in points.values() for report in self._tensors(point)]
        slope, note = None, "kinks: the test needs a function without any"
        if objective.smooth:
            slope, note = taylor_slope(points["loss"])
        return StateReport(
            name=name, loss=losses["loss"], penalty=losses.get("penalty", 0.0), repeatable=losses == again,
            slope=slope, slope_note=note, tensors=tuple(tensors),
        )  # fmt: skip

    def _tensors(self, point: Point) -> Iterator[TensorReport]:
        """The report on every tensor; of the penalties, on every tensor that they depend on."""
        objective = self.objective
        total = sum(gradient.size for gradient in point.gradient)
        chosen = [self._choose(gradient, total, point.draw) for gradient in point.gradient]
        quotients = point.differences.coordinates(point.values, point.batch, chosen, point.step)
        hand = self._by_hand(point) if point.part == "loss" else None
        largest = max(float(np.max(np.abs(gradient), initial=0.0)) for gradient in point.gradient)
        for index, name in enumerate(objective.names):
            report = check_tensor(name, index, point, quotients[index])
            penalised = objective.watch.regularizers[index] is not None
            if point.part == "penalty" and not penalised and report.flat == report.checked:
                continue
            if name in self._removed and verdicts.still(report, point.gradient[index], largest):
                report = report.model_copy(update={"status": "passed", "reason": self._removed[name]})
            if hand is not None:
                error = _share(hand[index], point.gradient[index], NOTHING * largest)
                report = report.model_copy(update={"by_hand": error})
            yield report

    def _by_hand(self, point: Point) -> list[Array] | None:
        weights = [np.asarray(value, np.float64) for value in point.values]
        x, t = np.asarray(point.batch.x, np.float64), np.asarray(point.batch.t, np.float64)
        gradient = network_gradient(self.spec, weights, x, t)
        return None if gradient is None else [np.asarray(array, np.float64) for array in gradient]

    def _choose(self, gradient: Array, total: int, draw: np.random.Generator) -> NDArray[np.int64]:
        """The coordinates of one tensor to check: flat indices, sorted, without repetition."""
        size, mode = gradient.size, self.spec.gradient_check.mode
        if mode == "full" and total <= FULL_LIMIT:
            return np.arange(size)
        sampled = SAMPLED_HEAVY if self.objective.heavy else SAMPLED
        wanted = min(size, 1000 if mode == "full" else sampled)
        if wanted == size:
            return np.arange(size)
        uniform = draw.choice(size, wanted // 2, replace=False)
        weight = np.abs(gradient.ravel())
        if not np.isfinite(weight).all() or np.count_nonzero(weight) <= wanted:
            return np.unique(np.concatenate([uniform, np.flatnonzero(weight)[:wanted]]))
        by_size = draw.choice(size, wanted - len(uniform), replace=False, p=weight / weight.sum())
        return np.unique(np.concatenate([uniform, by_size]))


def _share(hand: Array, gradient: Array, nothing: float) -> float:
    """max |by hand − autodiff| over the tensor's largest derivative. A tensor below `nothing` consists of rounding; its
    difference counts as a share of the network's largest derivative."""
    largest = float(np.max(np.abs(hand), initial=0.0))
    difference = float(np.max(np.abs(hand - gradient), initial=0.0))
    if largest <= nothing:
        largest = nothing / NOTHING
    return difference / largest if largest else difference
