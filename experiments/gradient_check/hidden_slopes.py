"""Do the points of a check show the slope of an activation of which a pool uses only the largest value of a whole map?

The largest of many values of ReLU lies above 0, where the slope is 1, at nearly every point: a gradient that forgets the
slope is right there, and wrong only where a channel is 0 everywhere.
"""

from __future__ import annotations

from experiments.gradient_check.injected_faults import FaultError, changed, inject
from experiments.gradient_check.objective import Batch, Objective, Values
from experiments.layers import GlobalMaxPool1D, GlobalMaxPool2D


class HiddenSlope:
    """The program of an objective with the slope of its first activation forgotten, where a global max pool may hide that.

    It is traced at its first use, and never for other programs. Final.
    """

    def __init__(self, objective: Objective) -> None:
        self._right = objective
        self._possible = any(
            isinstance(layer, GlobalMaxPool1D | GlobalMaxPool2D) for layer in objective.spec.model.layers
        )
        self._forgetful: Objective | None = None

    def hidden(self, values: Values, batch: Batch) -> bool:
        """Whether a gradient without the slope would be right at these weights and points."""
        if not self._possible:
            return False
        if self._forgetful is None:
            right = self._right
            self._forgetful = Objective(right.spec, right.data, dtype=right.dtype)
            try:
                inject("slope", self._forgetful)
            except FaultError:  # no activation has a slope
                self._possible = False
                return False
        forgetful = self._forgetful.gradient("loss", values, batch)
        return not changed(self._right.gradient("loss", values, batch), forgetful)
