"""A film of a small network while it learns: its outputs over the input plane and its weights, frame by frame.

A file of NumPy arrays without pickle: outputs as 8-bit values between `low` and `high`, weights as float32, and a JSON
header. The engine makes it, pages play it. No Keras.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from experiments.errors import GradusError

FILM = "film.npz"
"""Path of a film among a run's artifacts."""
MOST_FRAMES = 200
MOST_INPUTS, MOST_PARAMETERS = 2, 2_000
"""What a film can be made of: networks of so many inputs and parameters."""
Unit = Literal["epoch", "update"]
Array = npt.NDArray[np.float32]


class FilmError(GradusError):
    """Bytes that are no film."""


@dataclass(frozen=True)
class Scene:
    """What all frames of a film have in common.

    Attributes:
        unit: what the positions of frames count: epochs or updates completed.
        axes: (low, high) of each input.
        size: points along each input; the grid's rows are the last input, rising.
        bound: class 1 is answered above it; None where nothing is classified.
        classes: number of classes, of which the outputs are then the number; 0 where outputs are heights.
        names: of the weights, in the order of a frame.
        points: training samples (n, inputs), and their targets (n,).
    """

    unit: Unit
    axes: tuple[tuple[float, float], ...]
    size: tuple[int, ...]
    bound: float | None
    classes: int
    names: tuple[str, ...]
    points: Array
    targets: Array


@dataclass
class Film:
    """The frames so far: position, outputs over the grid (points,) and weights (n,). Final.

    Every `stride`-th moment is kept. When there are more than `MOST_FRAMES`, every other one goes and the stride doubles.
    """

    scene: Scene
    frames: list[tuple[int, Array, Array]] = field(default_factory=list)
    stride: int = 1

    def wants(self, position: int) -> bool:
        """Whether the moment is to be kept."""
        return position % self.stride == 0

    def add(self, position: int, outputs: Array, weights: Array) -> None:
        """Keep a moment; again at the same position, it replaces the earlier one."""
        if self.frames and self.frames[-1][0] >= position:
            self.frames = [frame for frame in self.frames if frame[0] < position]
        self.frames.append((position, outputs.astype(np.float32), weights.astype(np.float32)))
        while len(self.frames) > MOST_FRAMES:
            self.stride *= 2
            last = self.frames[-1]
            self.frames = [frame for frame in self.frames if self.wants(frame[0])]
            if self.frames[-1] is not last:
                self.frames.append(last)


def dump(film: Film) -> bytes:
    """A film as one compressed file."""
    outputs = np.stack([outputs for _, outputs, _ in film.frames])
    finite = outputs[np.isfinite(outputs)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if film.scene.classes:
        low, high = 0.0, 255.0
    span = (high - low) or 1.0
    values = np.nan_to_num((outputs - low) / span, nan=0.0, posinf=1.0, neginf=0.0)
    scene = film.scene
    header = {
        "unit": scene.unit, "axes": scene.axes, "size": scene.size, "bound": scene.bound, "classes": scene.classes,
        "names": scene.names, "low": low, "high": high, "stride": film.stride,
    }  # fmt: skip
    file = io.BytesIO()
    np.savez_compressed(
        file,
        header=np.frombuffer(json.dumps(header).encode(), np.uint8),
        positions=np.array([position for position, _, _ in film.frames], np.int64),
        outputs=np.round(255 * np.clip(values, 0.0, 1.0)).astype(np.uint8),
        weights=np.stack([weights for _, _, weights in film.frames]),
        points=scene.points,
        targets=scene.targets,
    )
    return file.getvalue()


def load(content: bytes) -> Film:
    """A film from its file; outputs are as exact as 8 bits can say.

    Raises:
        FilmError: the bytes are no film.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            scene = Scene(
                unit=header["unit"],
                axes=tuple((float(low), float(high)) for low, high in header["axes"]),
                size=tuple(header["size"]),
                bound=header["bound"],
                classes=header["classes"],
                names=tuple(header["names"]),
                points=file["points"],
                targets=file["targets"],
            )
            span = header["high"] - header["low"]
            outputs = header["low"] + file["outputs"].astype(np.float32) / 255 * span
            frames = list(zip(file["positions"].tolist(), outputs, file["weights"], strict=True))
            return Film(scene, frames, header["stride"])
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise FilmError(f"no readable film ({error})") from error
