"""The function whose gradient is checked: weights -> loss, in double precision, at fixed points and fixed noise.

Two parts, checked apart: `loss`, on the data with regularisation off, and `penalty`, the regularisers alone.
Each is traced once as a graph; whatever is computed from it then calls that graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from experiments.datasets import Data
from experiments.engine import backend, models
from experiments.gradient_check.certificates import Part
from experiments.gradient_check.kinks import Notes, Watch, sides
from experiments.regularizers import Regularizer
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


class Objective:
    """The program of `spec` at the check's canonical points. Every array of weights is (tensor, ...) in float64."""

    def __init__(
        self,
        spec: RunSpec,
        data: Data,
        *,
        dtype: str = "float64",
        points: int | None = None,
        seed: int = SEED,
    ) -> None:
        self.spec, self.dtype, self.seed = spec, dtype, seed
        self.model = models.build(spec, seed=seed, dtype=dtype)
        self.watch = Watch(spec, self.model)
        self.loss = models.loss(spec.loss, dtype)
        self.variables = list(self.model.trainable_variables)
        self.names = [f"{self._layer(v)}/{v.name}" for v in self.variables]
        self.frozen = [backend.tensor(v.value) for v in self.model.non_trainable_variables]
        self.heavy = spec.forecast.flops > HEAVY
        few, many = (HEAVY_POINTS, HEAVY_BURN_IN_POINTS) if self.heavy else (POINTS, BURN_IN_POINTS)
        self.x, self.t = self._batch(data, 0, points or few)
        spare = len(data.x_train) >= few + many  # else the points of the check are learned too
        self.burn_x, self.burn_t = self._batch(data, few if spare else 0, many)
        self.has_penalty = bool(self._regularizers())
        self.smooth = not (self.watch.kinked or (self.has_penalty and self._penalty_kinked()))
        self.parts: dict[Part, Any] = {"loss": backend.compiled(self._loss, fused=False)}
        if self.has_penalty:
            self.parts["penalty"] = backend.compiled(self._penalty, fused=False)
        self._slope = {
            name: backend.compiled(partial(_gradient_of, part), fused=False)
            for name, part in self.parts.items()
        }
        self._burn = backend.compiled(self._burn_in, fused=False)

    # ------------------------------------------------------------------ evaluations

    def value(self, part: Part, values: Values) -> float:
        return float(self.parts[part](list(values))[0])

    def gradient(self, part: Part, values: Values) -> list[Array]:
        """By autodiff: one array per tensor; 0 where the part does not depend on a tensor."""
        return [np.asarray(g) for g in self._slope[part](list(values))]

    def start(self) -> list[Any]:
        """The initial weights of the canonical seed, biases shaken, rounded to what single precision can hold."""
        draw = np.random.default_rng(self.seed)
        values = []
        for variable in self.variables:
            value = np.asarray(variable.value, np.float64)
            if variable.name in ("bias", "beta"):
                value = value + draw.normal(0.0, BIAS_NOISE, value.shape)
            values.append(self.tensor(value.astype(np.float32)))
        return values

    def burned_in(self, values: Values) -> list[Any]:
        """After 100 plain gradient steps on a fixed batch; the rate is a tenth where the loss would rise."""
        before = self._burn(list(values), self.tensor(0.0))[1]
        rate = BURN_IN_RATE
        for _ in range(6):
            after, loss = self._burn(list(values), self.tensor(rate))
            if np.isfinite(loss) and loss <= max(float(before), 1e-12):
                break
            rate /= 10
        else:
            after = list(values)
        return [self.tensor(np.asarray(v).astype(np.float32)) for v in after]

    def tensor(self, value: Any) -> Any:
        return backend.tensor(np.asarray(value, self.dtype))

    # ------------------------------------------------------------------ inside the graphs

    def _loss(self, values: Values) -> tuple[Any, Notes]:
        return self._loss_at(values, self.x, self.t)

    def _loss_at(self, values: Values, x: Any, t: Any) -> tuple[Any, Notes]:
        (y, _), notes = self.watch.during(
            lambda: self.model.stateless_call(list(values), self.frozen, x, training=True)
        )
        return self.loss(t, y), [*notes, *self.watch.loss(t, y)]

    def _penalty(self, values: Values) -> tuple[Any, Notes]:
        penalties, notes = self._penalties(values)
        return sum(penalties), [*notes, *(note for v in values for note in sides(v, (0.0,)))]

    def _penalties(self, values: Values) -> tuple[list[Any], Notes]:
        (_, _, penalties), notes = self.watch.during(
            lambda: self.model.stateless_call(
                list(values), self.frozen, self.x, training=True, return_losses=True
            )
        )
        return list(penalties), notes

    def _penalty_kinked(self) -> bool:
        return not all(entry.smooth for entry in self._regularizers())

    def _regularizers(self) -> list[Regularizer]:
        return [
            value
            for layer in self.spec.model.layers
            for name in type(layer).model_fields
            if name.endswith("regularizer") and (value := getattr(layer, name)) is not None
        ]

    def _burn_in(self, values: Values, rate: Any) -> tuple[list[Any], Any]:
        def loss(at: Values) -> tuple[Any, None]:
            penalty = sum(self._penalties(at)[0]) if self.has_penalty else 0.0
            return self._loss_at(at, self.burn_x, self.burn_t)[0] + penalty, None

        def step(i: Any, at: list[Any]) -> list[Any]:
            _, slopes = backend.value_and_gradients(loss, at)
            return [v - rate * g for v, g in zip(at, slopes, strict=True)]

        first, last = (backend.tensor(np.int32(count)) for count in (0, BURN_IN_STEPS))
        after = backend.loop(first, last, step, list(values))
        return after, loss(after)[0]

    # ------------------------------------------------------------------ the points

    def _batch(self, data: Data, first: int, count: int) -> tuple[Any, Any]:
        """`count` training samples (all, where there are fewer) of a fixed order, classes mixed."""
        order = np.random.default_rng(self.seed).permutation(len(data.x_train))
        chosen = np.sort(order[first : first + count])
        t = models.targets(self.spec, data.y_train[chosen])
        kind = "int32" if self.spec.encoding == "integer" else self.dtype
        return self.tensor(data.x_train[chosen]), backend.tensor(np.asarray(t, kind))

    def _layer(self, variable: keras.Variable) -> str:
        return next(
            (
                layer.name
                for layer in self.model.layers
                if any(v is variable for v in layer.trainable_variables)
            ),
            str(self.model.name),
        )


def _gradient_of(part: Any, values: Values) -> list[Any]:
    """The gradient of a part of the objective by autodiff, one tensor per tensor of `values`."""
    _, slopes = backend.value_and_gradients(lambda at: (part(at)[0], None), list(values))
    return slopes
