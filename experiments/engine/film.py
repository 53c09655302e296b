"""Films the lanes of a program: their outputs over a grid of inputs, all lanes in one pass, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import keras
import numpy as np

from experiments.engine import backend
from experiments.engine.backend import Tensor
from experiments.engine.evaluation import height
from experiments.engine.program import Program
from experiments.engine.states import State
from experiments.film import Array, Scene
from experiments.runs import RunSpec

SIDE, LINE = 32, 101
"""Points of the grid along each of two inputs, and along a single one."""
MARGIN = 0.15
"""Of the data's range, shown around it."""
MOST_POINTS = 300
MOST_UPDATES = 2_000
"""A single neuron is filmed per update where it is given at most so many."""


class Camera:
    """The filming program of a training program. Final."""

    def __init__(self, program: Program, data: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        self.program = program
        x, y = (backend.array(part) for part in data["train"])
        inputs = x.reshape(len(x), -1)
        low, high = inputs.min(axis=0), inputs.max(axis=0)
        air = MARGIN * np.where(high > low, high - low, 1.0)
        self.axes = tuple((float(a), float(b)) for a, b in zip(low - air, high + air, strict=True))
        self.size = (LINE,) if len(self.axes) == 1 else (SIDE, SIDE)
        along = [
            np.linspace(a, b, n, dtype=np.float32) for (a, b), n in zip(self.axes, self.size, strict=True)
        ]
        grid = np.stack(np.meshgrid(*along), axis=-1).reshape(-1, *x.shape[1:]).astype(x.dtype)
        self.points = inputs[:MOST_POINTS].astype(np.float32)
        self.targets = _targets(program.spec, y[:MOST_POINTS])
        with backend.on(program.device):
            self._grid = backend.tensor(grid)
        self._run = backend.compiled(self._outputs, fused=False)

    def scene(self, spec: RunSpec, updates_per_epoch: int) -> Scene:
        """What the film of a run begins with."""
        classes = spec.data_shape.classes if spec.measures_accuracy else 0
        bound = None
        if classes == 2:
            bound = float(spec.loss.threshold) if spec.encoding == "value" else 0.0
        names = [
            f"{layer.name}/{variable.name}{list(index)}"
            for layer in self.program.model.layers
            for variable in layer.trainable_variables
            for index in np.ndindex(*variable.shape)
        ]
        return Scene(
            unit="update" if per_update(spec, updates_per_epoch) else "epoch",
            axes=self.axes,
            size=self.size,
            bound=bound,
            classes=classes if classes > 2 else 0,
            names=tuple(names),
            points=self.points,
            targets=self.targets,
        )

    def shoot(self, state: State) -> list[tuple[Array, Array]]:
        """Per lane position: outputs over the grid (points,), and the trainable weights in one row (n,)."""
        with backend.on(self.program.device):
            outputs = np.atleast_2d(backend.array(self._run(state.parts()[:2], self._grid)))
        weights = [backend.array(value) for value in state.parts()[0]]
        width, part = self.program.layout.width, self.program.axis.slice
        rows = [np.concatenate([part(value, lane).ravel() for value in weights]) for lane in range(width)]
        return list(zip(outputs, rows, strict=True))

    def _outputs(self, parts: Any, grid: Tensor) -> Tensor:
        program = self.program
        lanes = [program.axis.flat(part) for part in parts]

        def of_lane(weights: list[Tensor], frozen: list[Tensor]) -> Tensor:
            outputs, _ = program.model.stateless_call(weights, frozen, grid, training=False)
            return keras.ops.cast(height(program.spec, outputs), "float32")

        return program.axis.over(of_lane, *lanes)


def camera(program: Program, data: Mapping[str, tuple[Tensor, Tensor]]) -> Camera:
    """The program's camera, made at the first call."""
    if "camera" not in program.instruments:
        program.instruments["camera"] = Camera(program, data)
    return cast(Camera, program.instruments["camera"])


def per_update(spec: RunSpec, updates_per_epoch: int) -> bool:
    """Whether a run is filmed per update: a single neuron that gets few of them."""
    single = len(spec.model.layers) == 1 and spec.forecast.output_shape[-1] == 1
    return single and spec.training.epochs * updates_per_epoch <= MOST_UPDATES


def _targets(spec: RunSpec, y: Any) -> Array:
    """One number a sample: the class, or the first target."""
    values = np.asarray(y)
    if spec.encoding == "one_hot":
        values = values.argmax(axis=-1)
    return values.reshape(len(values), -1)[:, 0].astype(np.float32)
