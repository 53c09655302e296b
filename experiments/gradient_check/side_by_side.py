"""Single derivatives, three ways beside each other: autodiff, the quotient at many steps, and backprop by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from experiments.datasets import Data
from experiments.gradient_check.by_hand import network_gradient
from experiments.gradient_check.differences import Differences
from experiments.gradient_check.injected_faults import inject, rewrites_layers
from experiments.gradient_check.objective import Array, Batch, Objective, Values
from experiments.gradient_check.step_study import STEPS
from experiments.runs import RunSpec

OF_EACH, MOST = 2, 12
"""Coordinates of a tensor, those with the largest derivatives, and of all tensors together."""


class Beside(BaseModel):
    """One coordinate. `quotients`: at each of the steps; None where a kink lies between the two points. `by_hand`: None
    where there is no formula."""

    model_config = ConfigDict(frozen=True)

    tensor: str
    index: tuple[int, ...]
    autodiff: float
    quotients: tuple[float | None, ...]
    by_hand: float | None


def side_by_side(spec: RunSpec, data: Data, fault: str | None = None) -> list[Beside]:
    """The largest derivatives of every tensor at the initial weights, with the fault in autodiff's.

    Args:
        spec: The run whose program is looked at.
        data: Its data set.
        fault: A name of `injected_faults.FAULTS`, put into autodiff's gradient alone; None: none.

    Raises:
        FaultError: The fault is unknown or has no place in the network.
    """
    objective = Objective(spec, data)
    values, batch = objective.start(), objective.batch()
    right = objective.gradient("loss", values, batch)
    shown = _spoilt(spec, data, objective, fault) if fault else right
    weights = [np.asarray(value, np.float64) for value in values]
    hand = network_gradient(spec, weights, np.asarray(batch.x), np.asarray(batch.t))
    chosen = _largest(right)
    quotients = _quotients(objective, values, batch, chosen)
    rows = []
    for tensor, (name, indices) in enumerate(zip(objective.names, chosen, strict=True)):
        for place, flat in enumerate(indices):
            at = tuple(int(i) for i in np.unravel_index(int(flat), right[tensor].shape))
            rows.append(
                Beside(
                    tensor=name,
                    index=at,
                    autodiff=float(shown[tensor][at]),
                    quotients=tuple(quotients[tensor][place]),
                    by_hand=None if hand is None else float(hand[tensor][at]),
                )
            )
    return rows[:MOST]


def _spoilt(spec: RunSpec, data: Data, objective: Objective, fault: str) -> list[Array]:
    source = Objective(spec, data) if rewrites_layers(fault) else objective
    spoil = inject(fault, source)
    return spoil("loss", source.gradient("loss", source.start(), source.batch()))


def _largest(gradient: Sequence[Array]) -> list[NDArray[np.int64]]:
    return [np.argsort(-np.abs(g.ravel()), kind="stable")[:OF_EACH] for g in gradient]


def _quotients(
    objective: Objective, values: Values, batch: Batch, chosen: Sequence[NDArray[np.int64]]
) -> list[list[list[float | None]]]:
    """Tensor -> coordinate -> quotient at each of STEPS."""
    differences = Differences(objective, "loss")
    at_steps = [differences.coordinates(values, batch, chosen, float(step)) for step in STEPS]
    return [
        [[_finite(at[tensor].slope[place]) for at in at_steps] for place in range(len(indices))]
        for tensor, indices in enumerate(chosen)
    ]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
