"""How the dots of runs are coloured: by status, or by the metric that the experiment is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.comparing.effects import lower_is_better
from experiments.numbers import finite
from service.analysis.exploration import METRICS
from service.entities import Experiment, RunMark

Colour = Literal["status", "metric"]
COLOURS: tuple[Colour, Colour] = ("status", "metric")
STATUS, METRIC = COLOURS
SHADES = 6
"""Colours from the lowest value to the highest."""


@dataclass(frozen=True)
class Shaded:
    """The dots of finished runs in the colours of a metric; the others keep those of their status."""

    metric: str
    low: float
    high: float
    values: Mapping[str, float]
    """Run id -> its value."""

    @property
    def less_is_better(self) -> bool:
        return lower_is_better(self.metric)

    def shade(self, run_id: str) -> int | None:
        """The number of its colour; None for a run that has none."""
        value = self.values.get(run_id)
        if value is None:
            return None
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return min(SHADES - 1, int(SHADES * share))


def shaded(experiment: Experiment, marks: Sequence[RunMark], colour: Colour) -> Shaded | None:
    """The runs in the colours of the metric that was asked about, or of the first that they all have; None where dots
    are coloured by status, or nothing was measured yet."""
    finished = [mark for mark in marks if mark.state == "finished"] if colour == METRIC else []
    if not finished:
        return None
    metric = str((experiment.design or experiment.search or {}).get("metric", ""))
    if not metric:
        metric = next(
            (name for name in METRICS if all(name in mark.metrics for mark in finished)), METRICS[-1]
        )
    known = {mark.id: finite(mark.metrics.get(metric)) for mark in finished}
    values = {id: value for id, value in known.items() if value is not None}
    return Shaded(metric, min(values.values()), max(values.values()), values) if values else None
