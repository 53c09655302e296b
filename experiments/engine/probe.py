"""Measurements of every layer on a fixed batch, for all lanes of a program at once.

Measured before training and at the ends of epochs, on the first points of the validation data (training data
where nothing is set aside). A plain graph, not compiled by XLA: it runs once an epoch, and compiling would cost
more than it saves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from keras import ops

from experiments import causes
from experiments.activations import activation
from experiments.diagnostics import PROBE_LOSS
from experiments.engine import activity, backend
from experiments.engine.backend import Tensor
from experiments.engine.program import Program
from experiments.engine.states import State
from experiments.runs import RunSpec

POINTS, GRADIENT_POINTS = 512, 128
SATURATED: dict[str, tuple[float, float]] = {"tanh": (-9.5, 9.5), "sigmoid": (-23.0, 17.0)}
"""Weighted sums outside these give outputs that single precision can hardly tell from the ends."""


class Probe:
    """The measuring program of a training program."""

    def __init__(self, program: Program, data: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        self.program = program
        x, y = data.get("val", data["train"])
        self.x, self.y = x[:POINTS], y[:POINTS]
        layers = program.model.layers
        self.active = {i: layers[i] for i in activity.active(program.spec.model.layers)}
        owner = {id(v): i for i, layer in enumerate(layers) for v in layer.trainable_variables}
        self.owners = [owner[id(v)] for v in program.model.trainable_variables]
        self.kernels = ["kernel" in v.name for v in program.model.trainable_variables]
        self.fans = {
            i: entry.fan_in(kernels[0])
            for i, entry in enumerate(program.spec.model.layers)
            if (kernels := [tuple(v.shape) for v in layers[i].trainable_variables if "kernel" in v.name])
        }
        self._facts = _facts(program.spec, backend.array(self.x), backend.array(self.y))
        self._run = backend.compiled(self._measure_all, fused=False)

    def measure(self, state: State, numbers: Mapping[str, Tensor]) -> list[dict[str, float]]:
        """Per lane position: `layers/<i>-<type>/…` and the probe's loss."""
        with backend.on(self.program.device):
            result = self._run(state.parts()[:3], dict(numbers), self.x, self.y)
        columns = {name: np.atleast_1d(backend.array(value)) for name, value in result.items()}
        return [
            {**self._facts, **{name: float(column[position]) for name, column in columns.items()}}
            for position in range(self.program.layout.width)
        ]

    def _measure_all(self, parts: Any, numbers: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        program = self.program
        lanes = [program.axis.flat(part) for part in parts]
        settings = dict(zip(numbers, program.axis.flat(list(numbers.values())), strict=True))
        each = lambda w, f, o, n: self._measure_lane(w, f, o, numbers=n, x=x, y=y)  # noqa: E731
        return dict(program.axis.over(each, *lanes, settings))

    def _measure_lane(
        self, weights: list[Tensor], frozen: list[Tensor], optimizer: list[Tensor], *,
        numbers: dict[str, Tensor], x: Tensor, y: Tensor,
    ) -> dict[str, Tensor]:  # fmt: skip
        """One lane's measurements, each a number."""
        program, names = self.program, self.program.spec.model.names
        with activity.noted(self.active) as sums:
            outputs, _ = program.model.stateless_call(weights, frozen, x, training=False)
        values: dict[str, Tensor] = {PROBE_LOSS: program.loss(y, outputs)}
        for index, (z, a) in sums.items():
            values |= {f"layers/{names[index]}/{k}": v for k, v in self._activations(index, z, a).items()}
        _, slopes = program.gradients(weights, frozen, x[:GRADIENT_POINTS], y[:GRADIENT_POINTS])
        moved, _ = program.optimizer.updated(optimizer, slopes, weights, numbers)
        for index in dict.fromkeys(self.owners):
            own = [i for i, owner in enumerate(self.owners) if owner == index]
            values[f"layers/{names[index]}/grad_norm"] = _norm([slopes[i] for i in own])
            kernels = [i for i in own if self.kernels[i]]
            if kernels:
                values[causes.GAIN + names[index]] = _gain(weights[kernels[0]], self.fans[index])
                values[causes.SPREAD + names[index]] = _spread(weights[kernels[0]])
                size = _norm([weights[i] for i in kernels])
                change = _norm([moved[i] - weights[i] for i in kernels])
                values[f"layers/{names[index]}/update_ratio"] = change / size
        return values

    def _activations(self, index: int, z: Tensor, a: Tensor) -> dict[str, Tensor]:
        """Mean, standard deviation, share of zeros, of saturated values and of units that are always 0."""
        entry = self.program.spec.model.layers[index]
        known = activation(getattr(entry, "activation"))  # noqa: B009
        zero = ops.cast(ops.equal(a, 0.0), a.dtype)
        measured = {"mean": ops.mean(a), "std": ops.std(a), "zeros": ops.mean(zero)}
        if known.name in SATURATED:
            low, high = SATURATED[known.name]
            measured["saturated"] = ops.mean(ops.cast(ops.logical_or(z < low, z > high), a.dtype))
        if known.low == 0 and known.smoothness == "C0":
            image = len(a.shape) == 4 and self.program.spec.model.data_format == "channels_first"
            unit = 1 if image else len(a.shape) - 1
            rest = [axis for axis in range(len(a.shape)) if axis != unit]
            measured["dead"] = ops.mean(ops.min(zero, axis=rest))
        return measured


def probe(program: Program, data: Mapping[str, tuple[Tensor, Tensor]]) -> Probe | None:
    """The program's probe, made at the first call; None where the spec wants no diagnostics."""
    if program.spec.diagnostics.every == "off":
        return None
    if "probe" not in program.instruments:
        program.instruments["probe"] = Probe(program, data)
    return cast(Probe, program.instruments["probe"])


def recorded(values: Mapping[str, float]) -> dict[str, float]:
    """What of a lane's measurements is recorded as metrics."""
    return {name: value for name, value in values.items() if name.startswith("layers/")}


def _norm(parts: list[Tensor]) -> Tensor:
    return ops.sqrt(sum(ops.sum(ops.square(part)) for part in parts))


def _gain(kernel: Tensor, fan_in: int) -> Tensor:
    """sqrt(fan_in · mean w²): how many times the kernel magnifies independent inputs."""
    return ops.sqrt(fan_in * ops.mean(ops.square(kernel)))


def _spread(kernel: Tensor) -> Tensor:
    """The largest difference between two units' weights from one input over the largest |w|; 1 for a single unit."""
    if kernel.shape[-1] == 1:
        return ops.sum(0.0 * kernel) + 1.0
    widest = ops.max(ops.max(kernel, axis=-1) - ops.min(kernel, axis=-1))
    largest = ops.max(ops.abs(kernel))
    return backend.where(
        largest > 0, widest / backend.where(largest > 0, largest, ops.ones_like(largest)), widest
    )


def _facts(spec: RunSpec, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> dict[str, float]:
    """The scale of the probe's inputs, and of a regression's targets."""
    facts = {causes.LARGEST_INPUT: float(np.max(np.abs(x), initial=0.0))}
    if spec.data_shape.kind == "regression":
        facts |= {causes.TARGET_LOW: float(np.min(y)), causes.TARGET_HIGH: float(np.max(y))}
    return facts
