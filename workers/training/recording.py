"""What training says, carried to the database (numbers, tags) and the spool (files)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from experiments.recording import WEIGHTS
from service.entities import MetricPoint, Run
from service.tracking.spool import Spool
from workers.training.lease_keeper import CheckpointRef, LeaseKeeper

KEPT_IN_MEMORY = (WEIGHTS,)
"""Artifacts that the worker reads again right after the training."""


class TileRecorder:
    """The `Recorder` of one tile: lane i is runs[i]. Called by the training thread only.

    A value that is not finite is stored as "not a number", and a tag says which value it was and since when.

    Args:
        width: the tile's width, which a checkpoint can only be resumed with.
    """

    def __init__(self, runs: Sequence[Run], keeper: LeaseKeeper, spool: Spool, width: int) -> None:
        self._runs = runs
        self._keeper = keeper
        self._spool = spool
        self._width = width
        self.history: dict[int, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        self.kept: dict[int, dict[str, bytes]] = defaultdict(dict)

    def metrics(self, lane: int, step: int, values: Mapping[str, float]) -> None:
        points = [MetricPoint(key, step, float(value)) for key, value in values.items()]
        tags = {}
        for key, value in values.items():
            known = self.history[lane][key]
            if not math.isfinite(value) and all(map(math.isfinite, known.values())):
                tags[f"gradus.not_finite.{key}"] = f"{value} at step {step}"
            known[step] = float(value)
        self._keeper.record(self._runs[lane].id, points, tags)

    def tags(self, lane: int, values: Mapping[str, str]) -> None:
        self._keeper.record(self._runs[lane].id, tags=values)

    def artifact(self, lane: int, path: str, content: bytes) -> None:
        """Raises OSError where the spool's disk is full."""
        run = self._runs[lane]
        self._spool.put(run.id, run.attempt, path, content)
        if path in KEPT_IN_MEMORY:
            self.kept[lane][path] = content

    def checkpoint(self, lane: int, epoch: int, state: bytes) -> None:
        run = self._runs[lane]
        name = self._spool.put_checkpoint(run.id, run.attempt, epoch, state)
        location = {"spool": self._spool.id, "name": name, "epoch": epoch, "width": self._width}
        ref = CheckpointRef(location, lambda: self._spool.forget_checkpoints(run.id, before=name))
        self._keeper.checkpoint(run.id, ref)
