"""What a run gives: the history of its metrics, and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from gradus.tables import as_frame
from gradus.wire import MetricOut

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Prediction:
    """What a trained network answers.

    Attributes:
        outputs: one row per input, shape (inputs, units…), on the scale of the data set's targets.
        classes: the index of the largest output per input, for a classification; else None.
        labels: the classes' own names, for a file of one's own.
        warnings: what the service says of the inputs, for example that they lie outside the training data.
    """

    outputs: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64] | None
    warnings: tuple[str, ...]
    labels: tuple[str, ...] | None = None


class History(Sequence[MetricOut]):
    """The values of one or more metrics in the order of their steps."""

    def __init__(self, points: Sequence[MetricOut]) -> None:
        self._points = tuple(points)

    @overload
    def __getitem__(self, index: int) -> MetricOut: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...
    def __getitem__(self, index: int | slice) -> MetricOut | History:
        return History(self._points[index]) if isinstance(index, slice) else self._points[index]

    def __len__(self) -> int:
        return len(self._points)

    @property
    def steps(self) -> list[int]:
        """Completed epochs of every value."""
        return [point.step for point in self._points]

    @property
    def values(self) -> list[float]:
        """The values; NaN where one was not a number."""
        return [float("nan") if point.value is None else point.value for point in self._points]

    def frame(self) -> Any:
        """The same with columns key, step, value, at, attempt: a DataFrame where pandas is installed, else rows."""
        return as_frame([point.model_dump() for point in self._points])
