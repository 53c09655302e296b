"""What training says while it runs, and to whom.

Training knows no database and no MLflow: it speaks to a `Recorder`. `lane` is a run's index in its tile and
`step` the number of epochs completed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

WEIGHTS = "weights/model.weights.h5"
"""Path of the trained weights among a run's artifacts."""


SMALL_WEIGHTS = "weights/weights.json"
"""The weights of a small network as JSON: name of a tensor -> its values, for pages that show them."""
MOST_SMALL_WEIGHTS = 400


class Recorder(Protocol):
    """Receives a tile's results. Called from the training thread only; must not block for long."""

    def metrics(self, lane: int, step: int, values: Mapping[str, float]) -> None:
        """Values after `step` completed epochs; 0 is the state at initialisation. NaN and infinity occur."""

    def tags(self, lane: int, values: Mapping[str, str]) -> None:
        """Facts about the run as text; a later value of the same name replaces the earlier."""

    def artifact(self, lane: int, path: str, content: bytes) -> None:
        """A file of the run, e.g. `weights/model.weights.h5`; the same path again replaces it."""

    def checkpoint(self, lane: int, epoch: int, state: bytes) -> None:
        """All that is needed to go on after `epoch` completed epochs; replaces the earlier one."""


class MemoryRecorder:
    """Keeps everything in dictionaries by lane: for tests, and for training without a service."""

    def __init__(self) -> None:
        self.history: dict[int, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        self.tagged: dict[int, dict[str, str]] = defaultdict(dict)
        self.artifacts: dict[int, dict[str, bytes]] = defaultdict(dict)
        self.checkpoints: dict[int, tuple[int, bytes]] = {}

    def metrics(self, lane: int, step: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self.history[lane][key][step] = float(value)

    def tags(self, lane: int, values: Mapping[str, str]) -> None:
        self.tagged[lane].update(values)

    def artifact(self, lane: int, path: str, content: bytes) -> None:
        self.artifacts[lane][path] = content

    def checkpoint(self, lane: int, epoch: int, state: bytes) -> None:
        self.checkpoints[lane] = (epoch, state)

    def latest(self, lane: int) -> dict[str, float]:
        """Each metric's value at its last step."""
        return {key: points[max(points)] for key, points in self.history[lane].items()}
