"""A tile that is being trained: its program, its lanes, their data and state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments import film
from experiments.datasets import Source
from experiments.engine import cache
from experiments.engine.backend import Tensor
from experiments.engine.checkpoints import Checkpoint, Position, dump, load
from experiments.engine.layouts import Layout, WidthError, arrange, width_for
from experiments.engine.program import Program
from experiments.engine.progress import Progress, StopAsked
from experiments.engine.states import LaneState, State
from experiments.recording import Recorder
from experiments.runs import RunSpec


@dataclass(frozen=True)
class Conditions:
    """What a tile is trained under.

    Attributes:
        should_stop: asked per lane about once a second; its answer ends that lane alone.
        checkpoint_seconds: between two checkpoints.
        max_seconds: of training, after which a lane is stopped. What counts is `time/train_s`, the lane's share of
            its tile's seconds over all attempts, so neither a wide tile nor a drained one changes what a run may take.
        device: `cpu` or `gpu`.
        clock: seconds, never falling.
        keep_final: write a checkpoint of every lane that comes to its last epoch, so that it may go on.
    """

    should_stop: Callable[[int], StopAsked | None]
    checkpoint_seconds: float = 30.0
    max_seconds: float = math.inf
    device: str = "cpu"
    clock: Callable[[], float] = time.monotonic
    keep_final: bool = False


@dataclass
class Tile:
    """The lanes that train together, and how far they are. Final; changed by `training` alone."""

    program: Program
    lanes: list[Progress]
    recorder: Recorder
    conditions: Conditions
    data: Mapping[str, tuple[Tensor, Tensor]]
    state: State
    position: Position
    settings: dict[str, Tensor] = field(default_factory=dict)
    """Numeric optimizer settings that differ from lane to lane (Program.settings)."""
    seconds_per_update: float = 0.0
    saved_at: float = 0.0
    filmed_at: float = 0.0
    """When films were last recorded while lanes still trained."""

    @property
    def samples(self) -> int:
        """Of the training data."""
        return int(self.data["train"][0].shape[0])

    @property
    def updates_per_epoch(self) -> int:
        """Batches of an epoch, the short last one included."""
        return -(-self.samples // self.program.spec.training.batch_size)

    def clock(self) -> float:
        """Seconds, never falling."""
        return self.conditions.clock()

    def active(self) -> list[Progress]:
        """The lanes that train now: not ended, and not waiting for the tile to come to where they resume."""
        return [lane for lane in self.lanes if lane.active(self.position)]

    def running(self) -> bool:
        """Whether any lane has not ended."""
        return any(lane.outcome is None for lane in self.lanes)


def start(
    specs: Sequence[RunSpec],
    recorder: Recorder,
    conditions: Conditions,
    *,
    width: int | None,
    source: Source,
    resume: Sequence[bytes | None],
    until: Sequence[int],
) -> Tile:
    """Program, data and state of a tile; with checkpoints, at the position of the one that is least far.

    Args:
        specs: runs that share a program, one lane each.
        width: of the program; default: the narrowest that holds the runs.
        resume: per run a checkpoint or None; empty: none has one.
        until: epochs after which each run ends; empty: as its spec says.

    Raises:
        WidthError: the runs do not fit into the width, or checkpoints within an epoch come from different layouts.
        CheckpointError: a checkpoint is unreadable or belongs to another program.
        DataError: the data set cannot be loaded.
    """
    first = specs[0]
    key = first.program_key()
    checkpoints = [load(content, key) if content else None for content in resume] or [None] * len(specs)
    layout, lane_positions = _arranged(specs, width, [checkpoint for checkpoint in checkpoints if checkpoint])
    program = cache.program(first, layout, conditions.device)
    lanes: list[Progress] = []
    states: dict[int, LaneState] = {}
    ends = until or [spec.training.epochs for spec in specs]
    for index, (spec, lane_position, fresh, checkpoint, end) in enumerate(
        zip(specs, lane_positions, program.initial(specs), checkpoints, ends, strict=True)
    ):
        lane = Progress(index, spec, lane_position, end)
        if checkpoint:
            lane.starts, lane.best = checkpoint.position, checkpoint.best
            lane.waited, lane.train_s = checkpoint.waited, checkpoint.train_s
            lane.history, lane.metrics = checkpoint.history, checkpoint.metrics
            lane.best_epoch, lane.widths = checkpoint.best_epoch, checkpoint.widths
            lane.film = film.load(checkpoint.film) if checkpoint.film else None
        lanes.append(lane)
        states[lane_position] = checkpoint.state if checkpoint else fresh
    return Tile(
        program=program,
        lanes=lanes,
        recorder=recorder,
        conditions=conditions,
        data=cache.data(first, source, conditions.device),
        state=program.stack(states),
        position=min(lane.starts for lane in lanes),
        settings=program.settings({lane.lane_position: lane.spec for lane in lanes}),
        saved_at=conditions.clock(),
    )


def _arranged(
    specs: Sequence[RunSpec], width: int | None, checkpoints: Sequence[Checkpoint]
) -> tuple[Layout, list[int]]:
    """(layout, lane position of each run). Within an epoch a checkpoint only goes on in its own layout.

    Between two epochs lanes may be packed anew: the state of a lane does not depend on its tile.
    """
    seeds = [spec.seed for spec in specs]
    layouts = {checkpoint.layout for checkpoint in checkpoints}
    between_epochs = all(checkpoint.position.update == 0 for checkpoint in checkpoints)
    if len(layouts) > 1 and not between_epochs:
        raise WidthError("the checkpoints come from tiles of different layouts")
    earlier = layouts.pop() if len(layouts) == 1 else None
    if earlier is not None and (width in (None, earlier.width) or not between_epochs):
        try:
            return arrange(earlier.width, seeds, earlier)
        except WidthError:
            if not between_epochs:
                raise
    return arrange(width or width_for(len(specs), specs[0].max_width()), seeds)


def save(tile: Tile, lanes: Sequence[Progress]) -> None:
    """Write checkpoints of lanes that are at the tile's position."""
    states = tile.program.lanes(tile.state, [lane.lane_position for lane in lanes]) if lanes else []
    for lane, state in zip(lanes, states, strict=True):
        checkpoint = Checkpoint(
            program=lane.spec.program_key(),
            layout=tile.program.layout,
            position=tile.position,
            best=lane.best,
            waited=lane.waited,
            train_s=lane.train_s,
            state=state,
            history=lane.history,
            film=film.dump(lane.film) if lane.film and lane.film.frames else b"",
            metrics=lane.metrics,
            best_epoch=lane.best_epoch,
            widths=lane.widths,
        )
        tile.recorder.checkpoint(lane.lane, tile.position.epoch, dump(checkpoint))


def save_if_due(tile: Tile) -> None:
    """Write checkpoints of all active lanes where the last ones are `checkpoint_seconds` old."""
    if tile.clock() - tile.saved_at >= tile.conditions.checkpoint_seconds:
        save(tile, tile.active())
        tile.saved_at = tile.clock()
