"""A Keras optimizer whose every numeric setting may differ from lane to lane.

The learning rate is a variable of the optimizer; the other numbers become `lane_numbers` while an update is
traced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from experiments.engine import backend
from experiments.engine.backend import Tensor
from experiments.engine.lane_numbers import settings
from experiments.engine.states import Array
from experiments.runs import RunSpec


@dataclass(frozen=True)
class _Slot:
    """One variable of the optimizer before the first update: a constant, a copy of a weight, or the rate."""

    start: Array
    copy_of: int | None = None
    rate: bool = False

    def value(self, weights: Sequence[Array], spec: RunSpec) -> Array:
        if self.rate:
            return np.asarray(spec.optimizer.rate, self.start.dtype)
        return self.start if self.copy_of is None else weights[self.copy_of].astype(self.start.dtype)


class LaneOptimizer:
    """The optimizer of a program. Final."""

    def __init__(self, spec: RunSpec, model: keras.Model) -> None:
        arguments = spec.optimizer.arguments()
        rate = arguments["learning_rate"]
        if isinstance(rate, dict):
            schedule = getattr(keras.optimizers.schedules, rate["class_name"])
            arguments["learning_rate"] = schedule(**rate["config"])
        self._keras = backend.functional(getattr(keras.optimizers, spec.optimizer.keras_name))(**arguments)
        self._slots = self._built(model)
        names = sorted(spec.optimizer.numeric - {"learning_rate"})
        self.numbers = tuple(name for name in names if getattr(spec.optimizer, name))
        """Names of the settings besides the rate that may differ from lane to lane."""

    def initial(self, weights: Sequence[Array], spec: RunSpec) -> list[Array]:
        """The state of one lane before its first update."""
        return [slot.value(weights, spec) for slot in self._slots]

    def updated(
        self,
        state: list[Tensor],
        gradients: list[Tensor],
        weights: list[Tensor],
        numbers: Mapping[str, Tensor],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """(weights, state) of one lane after one update. numbers: float64 scalars, by name."""
        with settings(self._keras, numbers):
            return backend.updated(self._keras, state, gradients, weights)

    def _built(self, model: keras.Model) -> list[_Slot]:
        """Build on the model, and see how each variable starts.

        What copies the weights is found by marking them with random numbers first.
        """
        random = np.random.default_rng(0)
        marks = [random.standard_normal(v.shape).astype(v.dtype) for v in model.trainable_variables]
        for variable, mark in zip(model.trainable_variables, marks, strict=True):
            variable.assign(mark)
        self._keras.build(model.trainable_variables)
        slots = []
        for variable in self._keras.variables:
            start = np.asarray(variable.numpy())
            same = (
                i for i, mark in enumerate(marks) if mark.shape == start.shape and np.array_equal(mark, start)
            )
            slots.append(_Slot(start, next(same, None), variable is self._keras._learning_rate))
        return slots
