"""How one lane fares: where it is, and whether it is done, decided on the host between epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from experiments.comparing.effects import lower_is_better
from experiments.engine.checkpoints import Position
from experiments.film import Film
from experiments.runs import RunSpec

Status = Literal["FINISHED", "KILLED", "FAILED", "RELEASED"]
StopAsked = Literal["cancelled", "drain", "lost", "time", "memory"]
STATUS_OF: dict[StopAsked, Status] = {
    "cancelled": "KILLED",
    "drain": "RELEASED",
    "lost": "RELEASED",
    "time": "FAILED",
    "memory": "FAILED",
}
"""What becomes of a lane that is stopped from outside."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    reason: `epochs`, `error`, `train_errors`, `patience`, `diverged` (a loss that is not finite) where it
        ended by itself, else what was asked for. updates: of the weights. metrics: the last of each, and
        `time/train_s`, `time/compile_s`: this run's share of its tile's seconds.
    """

    lane: int
    status: Status
    reason: str
    epochs: int
    updates: int
    metrics: dict[str, float]


START = Position(0, 0)


@dataclass
class Progress:
    """One lane of a running tile. Final; changed by training.py alone."""

    lane: int
    spec: RunSpec
    lane_position: int
    starts: Position = START
    best: float = math.inf
    waited: int = 0
    train_s: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    history: dict[str, dict[int, float]] = field(default_factory=dict)
    """What diagnoses are made of: metric -> epochs completed -> value, of all attempts."""
    film: Film | None = None

    def active(self, position: Position) -> bool:
        """A lane that was resumed further on waits until the tile has come to where it is."""
        return self.outcome is None and self.starts <= position

    def remember(self, epochs: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.history.setdefault(name, {})[epochs] = value

    def ended(self, metrics: Mapping[str, float], train_errors: int | None, epochs: int) -> str | None:
        """The reason to stop after `epochs` epochs, or None. Counts the epochs without a better loss."""
        stop = self.spec.training.stop
        losses = [value for name, value in metrics.items() if name.endswith("/loss")]
        if not all(math.isfinite(value) for value in losses):
            return "diverged"
        watched = metrics.get("val/loss", metrics["train/loss"])
        if stop.monitor is not None:  # the smaller the better, as a loss
            value = metrics[stop.monitor]
            watched = value if lower_is_better(stop.monitor) else -value
        self.waited = 0 if watched < self.best else self.waited + 1
        self.best = min(self.best, watched)
        if stop.error is not None and metrics["train/loss"] <= stop.error:
            return "error"
        if stop.train_errors is not None and train_errors is not None and train_errors <= stop.train_errors:
            return "train_errors"
        if stop.patience is not None and self.waited >= stop.patience:
            return "patience"
        return "epochs" if epochs >= self.spec.training.epochs else None
