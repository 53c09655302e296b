"""The function whose gradient is checked: weights -> loss, in double precision, at fixed points and fixed noise.

Two parts are checked apart: `loss`, on the data with regularisation off, and `penalty`, the regularisers alone. Each is
traced once as a graph. Points and noise are arguments of the graph, so that other ones need no new graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from experiments.datasets import Data
from experiments.engine import backend, models
from experiments.engine.evaluation import weighed
from experiments.engine.initial_weights import initial_weights
from experiments.gradient_check.certificates import Part
from experiments.gradient_check.kinks import Notes, Watch
from experiments.runs import RunSpec

Array = NDArray[np.float64]
Values = Sequence[Any]
"""One tensor per trainable variable, in the model's order."""

SEED = 0
POINTS = 3
HEAVY = 5_000_000
"""FLOPs of one forward pass of one point beyond which fewer points are taken: double precision is slow on images."""
HEAVY_POINTS, HEAVY_BURN_IN_POINTS = 2, 6
BURN_IN_STEPS = 100
BURN_IN_POINTS = 64
BURN_IN_RATE = 0.1
BIAS_NOISE = 0.01
"""Blank patches of an image sit exactly on ReLU's kink while a bias is 0: hence N(0, 0.01²) for every bias."""


@dataclass(frozen=True)
class Batch:
    """What the loss depends on besides the weights: inputs and targets (n, …), and the variables no gradient moves."""

    x: Any
    t: Any
    frozen: tuple[Any, ...]

    @property
    def tensors(self) -> list[Any]:
        return [self.x, self.t, *self.frozen]


class Objective:
    """The program of a run in double precision. Final.

    smooth: whether neither network, loss nor penalties have kinks. heavy: whether an evaluation is expensive.
    """

    def __init__(self, spec: RunSpec, data: Data, *, dtype: str = "float64") -> None:
        self.spec, self.data, self.dtype = spec, data, dtype
        self.model, self._draws = models.blank(spec, dtype)
        self.watch = Watch(spec, self.model)
        self.loss = models.loss(spec.loss, dtype)
        self.variables = list(self.model.trainable_variables)
        self.names = [f"{self._layer(v)}/{v.name}" for v in self.variables]
        self.heavy = spec.forecast.flops > HEAVY
        self.smooth = not self.watch.kinked
        self.parts: dict[Part, Any] = {"loss": backend.compiled(self._loss, fused=False)}
        if self.watch.penalties:
            self.parts["penalty"] = backend.compiled(self._penalty, fused=False)
        self._gradients = {
            name: backend.compiled(partial(_gradient_of, part), fused=False)
            for name, part in self.parts.items()
        }
        self._burn = backend.compiled(self._burn_in, fused=False)

    # ------------------------------------------------------------------ the points

    def batch(self, seed: int = SEED, count: int | None = None) -> Batch:
        """`count` training samples and the noise of a seed: the points of the check.

        Args:
            seed: Of the choice and of the noise.
            count: Default 3, or 2 where an evaluation is expensive; all samples where there are fewer.
        """
        return self._samples(seed, 0, count or (HEAVY_POINTS if self.heavy else POINTS))

    def start(self, seed: int = SEED) -> list[Any]:
        """The initial weights of a seed, biases shaken, rounded to what single precision can hold."""
        draw = np.random.default_rng(seed)
        values = []
        for variable, value in self._initial(seed, self.variables):
            value = np.asarray(value, np.float64)
            if variable.name.endswith(("bias", "beta")):
                value = value + draw.normal(0.0, BIAS_NOISE, value.shape)
            values.append(self.tensor(value.astype(np.float32)))
        return values

    def burned_in(self, values: Values, seed: int = SEED) -> list[Any]:
        """The weights after 100 plain gradient steps on a fixed batch; the rate is a tenth where the loss would rise."""
        few, many = (HEAVY_POINTS, HEAVY_BURN_IN_POINTS) if self.heavy else (POINTS, BURN_IN_POINTS)
        spare = len(self.data.x_train) >= few + many  # else the points of the check are learned too
        batch = self._samples(seed, few if spare else 0, many).tensors
        before = self._burn(list(values), batch, self.tensor(0.0))[1]
        rate = BURN_IN_RATE
        for _ in range(6):
            after, loss = self._burn(list(values), batch, self.tensor(rate))
            if np.isfinite(loss) and loss <= max(float(before), 1e-12):
                return [self.tensor(np.asarray(v).astype(np.float32)) for v in after]
            rate /= 10
        return list(values)

    def tensor(self, value: Any) -> Any:
        return backend.tensor(np.asarray(value, self.dtype))

    def _samples(self, seed: int, first: int, count: int) -> Batch:
        """Samples of a fixed order, classes mixed."""
        order = np.random.default_rng(seed).permutation(len(self.data.x_train))
        chosen = np.sort(order[first : first + count])
        t = models.targets(self.spec, self.data.y_train[chosen])
        kind = "int32" if self.spec.encoding == "integer" else self.dtype
        frozen = self._initial(seed, self.model.non_trainable_variables)
        return Batch(
            self.tensor(self.data.x_train[chosen]),
            backend.tensor(np.asarray(t, kind)),
            tuple(backend.tensor(np.asarray(value, variable.dtype)) for variable, value in frozen),
        )

    def _initial(self, seed: int, variables: Sequence[Any]) -> list[tuple[Any, Any]]:
        """(variable, its initial value) of a seed."""
        values = initial_weights(self._draws, seed)
        by_id = {id(draw.variable): value for draw, value in zip(self._draws, values, strict=True)}
        return [(variable, by_id[id(variable)]) for variable in variables]

    # ------------------------------------------------------------------ evaluations

    def value(self, part: Part, values: Values, batch: Batch) -> float:
        return float(self.parts[part](list(values), batch.tensors)[0])

    def gradient(self, part: Part, values: Values, batch: Batch) -> list[Array]:
        """By autodiff: one array per tensor; 0 where the part does not depend on a tensor."""
        return [np.asarray(g) for g in self._gradients[part](list(values), batch.tensors)]

    def total_gradient(self, values: Values, batch: Batch) -> list[Array]:
        """The gradient of all parts together, which training follows."""
        gradients = [self.gradient(part, values, batch) for part in self.parts]
        return [sum(of_tensor[1:], of_tensor[0]) for of_tensor in zip(*gradients, strict=True)]

    # ------------------------------------------------------------------ inside the graphs

    def _loss(self, values: Values, batch: Sequence[Any]) -> tuple[Any, Notes]:
        x, t, *frozen = batch
        (y, _), notes = self.watch.during(
            lambda: self.model.stateless_call(list(values), frozen, x, training=True)
        )
        return self.loss(t, y, sample_weight=weighed(self.spec, t)), [*notes, *self.watch.loss(t, y)]

    def _penalty(self, values: Values, batch: Sequence[Any]) -> tuple[Any, Notes]:
        x, _, *frozen = batch
        (_, _, penalties), notes = self.watch.during(
            lambda: self.model.stateless_call(list(values), frozen, x, training=True, return_losses=True)
        )
        return sum(penalties), [*notes, *self.watch.weights(values)]

    def _burn_in(self, values: Values, batch: Sequence[Any], rate: Any) -> tuple[list[Any], Any]:
        def loss(at: Values) -> tuple[Any, None]:
            penalty = self._penalty(at, batch)[0] if "penalty" in self.parts else 0.0
            return self._loss(at, batch)[0] + penalty, None

        def step(i: Any, at: list[Any]) -> list[Any]:
            _, slopes = backend.value_and_gradients(loss, at)
            return [v - rate * g for v, g in zip(at, slopes, strict=True)]

        first, last = (backend.tensor(np.int32(count)) for count in (0, BURN_IN_STEPS))
        after = backend.loop(first, last, step, list(values))
        return after, loss(after)[0]

    def _layer(self, variable: keras.Variable) -> str:
        return next(
            (
                layer.name
                for layer in self.model.layers
                if any(v is variable for v in layer.trainable_variables)
            ),
            str(self.model.name),
        )


def _gradient_of(part: Any, values: Values, batch: Sequence[Any]) -> list[Any]:
    """The gradient of a part of the objective by autodiff, one tensor per tensor of `values`."""
    _, slopes = backend.value_and_gradients(lambda at: (part(at, batch)[0], None), list(values))
    return slopes
