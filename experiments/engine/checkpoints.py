"""One lane's state as bytes: enough to go on bit for bit in a program of the same layout.

A NumPy archive (no pickle) of the lane's tensors and a JSON header. Nothing in it is run when it is read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from zipfile import BadZipFile

import numpy as np

from experiments.engine import backend
from experiments.engine.layouts import Layout
from experiments.engine.states import Array, LaneState
from experiments.errors import GradusError

FORMAT = 1


class CheckpointError(GradusError):
    """Bytes that are no checkpoint, or one of another program: the run has to start again."""


@dataclass(frozen=True)
class Position:
    """How far a lane is: epochs completed, updates done in the one that follows."""

    epoch: int
    update: int

    def __lt__(self, other: Position) -> bool:
        return (self.epoch, self.update) < (other.epoch, other.update)

    def __le__(self, other: Position) -> bool:
        return (self.epoch, self.update) <= (other.epoch, other.update)


@dataclass(frozen=True)
class BestEpoch:
    """The epoch with the lowest watched loss so far, for `training.restore: best`.

    Attributes:
        epoch: epochs completed at it.
        metrics: measured at its end.
        state: weights of the lane at its end; without the optimizer's.
    """

    epoch: int
    metrics: dict[str, float]
    state: LaneState


@dataclass(frozen=True)
class Checkpoint:
    """A lane's state and what decides when it ends.

    Attributes:
        program: key of the lane's program.
        best: the lowest loss that patience has seen.
        waited: epochs since then.
        train_s: seconds trained so far, over all attempts.
        history: what diagnoses are made of, metric -> epochs completed -> value, since the run's first attempt.
        film: the file of its film so far; empty where it has none.
        metrics: measured at the end of the last whole epoch.
        best_epoch: what `restore: best` would restore; None where that is not asked.
        widths: epochs completed -> width of the tile from then on.
    """

    program: str
    layout: Layout
    position: Position
    best: float
    waited: int
    train_s: float
    state: LaneState
    history: dict[str, dict[int, float]] = field(default_factory=dict)
    film: bytes = b""
    metrics: dict[str, float] = field(default_factory=dict)
    best_epoch: BestEpoch | None = None
    widths: dict[int, int] = field(default_factory=dict)


def dump(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as bytes, for `load`."""
    header = {
        "format": FORMAT,
        "program": checkpoint.program,
        "backend": backend.name,
        "layout": asdict(checkpoint.layout),
        "position": asdict(checkpoint.position),
        "best": checkpoint.best,
        "waited": checkpoint.waited,
        "train_s": checkpoint.train_s,
        "history": checkpoint.history,
        "loss": checkpoint.state.loss,
        "hits": checkpoint.state.hits,
        "metrics": checkpoint.metrics,
        "widths": checkpoint.widths,
    }
    arrays = _arrays(checkpoint.state)
    if (best := checkpoint.best_epoch) is not None:
        header["best_epoch"] = {"epoch": best.epoch, "metrics": best.metrics}
        arrays |= _arrays(best.state, "best-")
    arrays["film"] = np.frombuffer(checkpoint.film, np.uint8)
    file = io.BytesIO()
    np.savez(file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    return file.getvalue()


def load(content: bytes, program: str) -> Checkpoint:
    """Read a checkpoint.

    Args:
        content: what `dump` returned.
        program: the key of the program that is to go on (RunSpec.program_key).

    Raises:
        CheckpointError: the bytes are no checkpoint, or one of another program.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            film = file["film"].tobytes() if "film" in file else b""  # older checkpoints have none
            parts, best_parts = _parts(file), _parts(file, "best-")
        if header["format"] != FORMAT or header["program"] != program:
            raise CheckpointError("the checkpoint belongs to another program or version; start the run again")
        if (written_by := header.get("backend", "tensorflow")) != backend.name:
            raise CheckpointError(
                f"the checkpoint was written by {written_by}, this is {backend.name}; start again"
            )
        best = header.get("best_epoch")
        return Checkpoint(
            program=program,
            layout=Layout(**header["layout"]),
            position=Position(**header["position"]),
            best=float(header["best"]),
            waited=int(header["waited"]),
            train_s=float(header["train_s"]),
            state=LaneState(**parts, loss=float(header["loss"]), hits=int(header["hits"])),
            history={
                name: {int(step): float(value) for step, value in series.items()}
                for name, series in header.get("history", {}).items()  # older checkpoints have none
            },
            film=film,
            metrics=header.get("metrics", {}),
            best_epoch=BestEpoch(**best, state=LaneState(**best_parts, loss=0.0, hits=0)) if best else None,
            widths={int(epoch): int(width) for epoch, width in header.get("widths", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise CheckpointError(f"no readable checkpoint ({error}); start the run again") from error


PARTS = ("weights", "frozen", "optimizer")


def _arrays(state: LaneState, prefix: str = "") -> dict[str, Any]:
    """A lane's tensors by the names they have in the archive."""
    return {
        f"{prefix}{part}-{index}": value for part in PARTS for index, value in enumerate(getattr(state, part))
    }


def _parts(file: Mapping[str, Array], prefix: str = "") -> dict[str, list[Array]]:
    """The lists of tensors that `_arrays` wrote."""
    return {
        part: [
            file[f"{prefix}{part}-{index}"]
            for index in range(len([name for name in file if name.startswith(f"{prefix}{part}-")]))
        ]
        for part in PARTS
    }
