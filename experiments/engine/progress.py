"""How one lane fares: where it is, and whether it is done, decided on the host between epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from experiments.comparing.effects import lower_is_better
from experiments.engine.checkpoints import BestEpoch, Position
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
        ended by itself, `halved` where it ended before its last epoch as it was told to (`train(until=…)`), else
        what was asked for. updates: of the weights. metrics: the last of each, or those of `best_epoch`, and
        `time/train_s`, `time/compile_s`: this run's share of its tile's seconds.
    best_epoch: the epoch whose weights and metrics these are, where `training.restore: best` chose it.
    """

    lane: int
    status: Status
    reason: str
    epochs: int
    updates: int
    metrics: dict[str, float]
    best_epoch: int | None = None


START = Position(0, 0)


@dataclass
class Progress:
    """One lane of a running tile. Final; changed by training.py alone."""

    lane: int
    spec: RunSpec
    lane_position: int
    until: int
    """Epochs after which it ends; fewer than the spec's where it may go on later."""
    starts: Position = START
    best: float = math.inf
    waited: int = 0
    train_s: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    history: dict[str, dict[int, float]] = field(default_factory=dict)
    """What diagnoses are made of: metric -> epochs completed -> value, of all attempts."""
    film: Film | None = None
    best_epoch: BestEpoch | None = None
    """What `restore: best` would restore."""
    widths: dict[int, int] = field(default_factory=dict)
    """Epochs completed -> width of the tile from then on."""

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
        self.waited += 1
        if watched + self.spec.training.min_delta < self.best:  # as Keras' EarlyStopping decides
            self.best, self.waited = watched, 0
        if stop.error is not None and metrics["train/loss"] <= stop.error:
            return "error"
        if stop.train_errors is not None and train_errors is not None and train_errors <= stop.train_errors:
            return "train_errors"
        if stop.patience is not None and self.waited >= stop.patience:
            return "patience"
        return self.end if epochs >= self.until else None

    @property
    def end(self) -> str:
        """The reason of a lane that has come to its last epoch for now."""
        return "epochs" if self.until >= self.spec.training.epochs else "halved"

    @property
    def improved(self) -> bool:
        """Whether the epoch that was judged last is the best one, and `restore: best` wants it."""
        return self.spec.training.restore == "best" and self.waited == 0

    def restore(self) -> None:
        """Take the metrics of the best epoch, where that is asked."""
        if self.best_epoch is not None:
            self.metrics = dict(self.best_epoch.metrics)
