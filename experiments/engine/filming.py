"""When the lanes of a tile are filmed, and when their films are recorded."""

from __future__ import annotations

from collections.abc import Sequence

from experiments import film
from experiments.engine.film import camera
from experiments.engine.progress import Progress
from experiments.engine.tile import Tile

RECORD_SECONDS = 2.0
"""Between two records of the film of a lane that still trains, so that it can be watched meanwhile."""


def begin(tile: Tile) -> None:
    """Give the lanes that want one their film, with the frame before training."""
    wanting = [lane for lane in tile.lanes if lane.spec.diagnostics.film and lane.film is None]
    for lane in wanting:
        lane.film = film.Film(camera(tile.program, tile.data).scene(lane.spec, tile.updates_per_epoch))
    shoot(tile, wanting)


def shoot(tile: Tile, lanes: Sequence[Progress]) -> None:
    """Keep the present moment of those lanes whose film wants it; of a lane that has ended, in any case."""
    positions = {lane.lane: _position(tile, lane) for lane in lanes if lane.film is not None}
    due = [
        lane
        for lane in lanes
        if lane.film is not None
        and (at := positions[lane.lane]) is not None
        and (lane.film.wants(at) or lane.outcome is not None)
    ]
    if due:
        frames = camera(tile.program, tile.data).shoot(tile.state)
        for lane in due:
            at = positions[lane.lane]
            if lane.film is not None and at is not None:
                lane.film.add(at, *frames[lane.lane_position])
    ended = [lane for lane in due if lane.outcome is not None]
    record(tile, due if tile.clock() - tile.filmed_at >= RECORD_SECONDS else ended)


def record(tile: Tile, lanes: Sequence[Progress]) -> None:
    """Record the films of lanes as they are now."""
    for lane in lanes:
        if lane.film is not None and len(lane.film.frames) > 1:
            tile.recorder.artifact(lane.lane, film.FILM, film.dump(lane.film))
            tile.filmed_at = tile.clock()


def next_update(tile: Tile) -> int | None:
    """The update of this epoch at which the next frame is due; None where no active lane is filmed per update."""
    strides = [lane.film.stride for lane in tile.active() if lane.film and lane.film.scene.unit == "update"]
    if not strides:
        return None
    done = tile.position.epoch * tile.updates_per_epoch + tile.position.update
    return tile.position.update + min(stride - done % stride for stride in strides)


def _position(tile: Tile, lane: Progress) -> int | None:
    """Updates or epochs completed; None within an epoch, for a lane that is filmed per epoch."""
    if lane.film is None:
        return None
    if lane.film.scene.unit == "update":
        return tile.position.epoch * tile.updates_per_epoch + tile.position.update
    return tile.position.epoch if tile.position.update == 0 else None
