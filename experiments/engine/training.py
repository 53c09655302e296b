"""`train`: a tile of runs of one program, from initial weights to an outcome per lane.

The tile goes through its epochs in segments of about a second. Between segments it asks whether a lane is to
stop, and writes checkpoints; between epochs it measures, records and decides which lanes are done. A lane
that is done is masked; its neighbours' numbers do not change by a bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from experiments import diagnostics
from experiments.datasets import Source
from experiments.engine import backend, cache, models, probe
from experiments.engine.backend import Tensor
from experiments.engine.checkpoints import Checkpoint, Position, dump, load
from experiments.engine.evaluation import measures_accuracy
from experiments.engine.layouts import WidthError, place, width_for
from experiments.engine.program import Program
from experiments.engine.progress import START, STATUS_OF, Outcome, Progress, StopAsked
from experiments.engine.states import Batches, LaneState, State
from experiments.randomness import data_order
from experiments.recording import Recorder
from experiments.runs import RunSpec

__all__ = ["Outcome", "StopAsked", "train"]

SEGMENT_SECONDS = 1.0
"""Of training between two looks at `should_stop`."""
FIRST_SEGMENT = 8
"""Updates before the first measurement of their speed."""


@dataclass
class Tile:
    """A running tile. Final."""

    program: Program
    lanes: list[Progress]
    recorder: Recorder
    should_stop: Callable[[int], StopAsked | None]
    clock: Callable[[], float]
    checkpoint_seconds: float
    max_seconds: float
    data: Mapping[str, tuple[Tensor, Tensor]]
    state: State
    position: Position
    settings: dict[str, Tensor] = field(default_factory=dict)
    seconds_per_update: float = 0.0
    saved_at: float = 0.0

    @property
    def samples(self) -> int:
        return int(self.data["train"][0].shape[0])

    @property
    def batch(self) -> int:
        return self.program.spec.training.batch_size

    @property
    def updates_per_epoch(self) -> int:
        return -(-self.samples // self.batch)

    def active(self) -> list[Progress]:
        return [lane for lane in self.lanes if lane.active(self.position)]

    def running(self) -> bool:
        return any(lane.outcome is None for lane in self.lanes)


def train(
    tile: Sequence[RunSpec],
    recorder: Recorder,
    should_stop: Callable[[int], StopAsked | None],
    *,
    width: int | None = None,
    source: Source,
    resume: Sequence[bytes | None] = (),
    checkpoint_seconds: float = 30.0,
    max_seconds: float = math.inf,
    device: str = "cpu",
    clock: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """Train the runs of `tile`, which share a program, side by side. One Outcome per run, in order.

    should_stop: asked per lane about once a second; what it says ends that lane alone
    width: of the program, from layouts.WIDTHS; default: the narrowest that holds the tile
    resume: per run a checkpoint of this function's, or None; all of one tile, which keeps its width and
        layout
    max_seconds: of training, after which a lane is stopped. What counts is `time/train_s`, the lane's share of its
        tile's seconds over all attempts, so that neither a wide tile nor a drained one changes what a run may take

    Raises WidthError where the runs do not fit, CheckpointError, DataError.
    """
    if len({spec.program_key() for spec in tile}) != 1:
        raise WidthError("the runs of a tile must share one program (RunSpec.program_key)")
    running = _start(
        tile, recorder, should_stop, width, source, resume, checkpoint_seconds, max_seconds, device, clock
    )
    compiled = running.program.compile_seconds
    while running.running():
        _epoch(running)
    share = (running.program.compile_seconds - compiled) / len(tile)
    outcomes = [lane.outcome for lane in running.lanes if lane.outcome is not None]
    for outcome in outcomes:
        outcome.metrics["time/compile_s"] = share
        recorder.metrics(outcome.lane, outcome.epochs, _times(outcome.metrics))
    return outcomes


def _times(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith("time/")}


def _start(
    specs: Sequence[RunSpec], recorder: Recorder, should_stop: Callable[[int], StopAsked | None],
    width: int | None, source: Source, resume: Sequence[bytes | None], checkpoint_seconds: float,
    max_seconds: float, device: str, clock: Callable[[], float],
) -> Tile:  # fmt: skip
    """Program, data and state of a tile; with checkpoints, at the place of the one that is least far."""
    first = specs[0]
    key = first.program_key()
    saved = [load(content, key) if content else None for content in resume] or [None] * len(specs)
    layouts = {checkpoint.layout for checkpoint in saved if checkpoint}
    if len(layouts) > 1:
        raise WidthError("the checkpoints come from tiles of different layouts")
    known = layouts.pop() if layouts else None
    width = known.width if known else width or width_for(len(specs), first.max_width())
    layout, places = place(width, [spec.seed for spec in specs], known)
    program = cache.program(first, layout, device)
    fresh = program.initial(specs)
    lanes, states = [], {}
    for index, (spec, where, start, checkpoint) in enumerate(zip(specs, places, fresh, saved, strict=True)):
        lane = Progress(index, spec, where)
        if checkpoint:
            lane.starts, lane.best = checkpoint.position, checkpoint.best
            lane.waited, lane.train_s = checkpoint.waited, checkpoint.train_s
            lane.history = checkpoint.history
        lanes.append(lane)
        states[where] = checkpoint.state if checkpoint else start
    tile = Tile(
        program, lanes, recorder, should_stop, clock, checkpoint_seconds, max_seconds,
        cache.data(first, source, device),
        program.stack(states), min((lane.starts for lane in lanes), key=lambda at: (at.epoch, at.update)),
        program.settings({lane.place: lane.spec for lane in lanes}), saved_at=clock(),
    )  # fmt: skip
    _introduce(tile, device)
    return tile


def _introduce(tile: Tile, device: str) -> None:
    """Say under what conditions the numbers come about; probe the untrained network.

    Validation and test data are not read before the first epoch ends: on a convolutional network that would
    cost a tenth of the epoch.
    """
    facts = {
        "gradus.tile_width": str(tile.program.layout.width),
        "gradus.tile_layout": str(tile.program.layout),
        "gradus.device": device,
        "gradus.threads": str(backend.threads()),
        "gradus.n_params_actual": str(models.count_parameters(tile.program.model)),
        **{f"gradus.{name}": version for name, version in backend.versions().items()},
    }
    for lane in tile.lanes:
        tile.recorder.tags(lane.lane, facts)
    if tile.position == START:
        fresh = {lane.lane for lane in tile.active()}  # a resumed lane was measured before its first attempt
        for lane, measured in zip(tile.lanes, _probe(tile), strict=True):
            if lane.lane not in fresh:
                continue
            lane.remember(0, measured)
            if probed := probe.recorded(measured):
                tile.recorder.metrics(lane.lane, 0, probed)


def _epoch(tile: Tile) -> None:
    """From the tile's position to the end of that epoch."""
    offset = 0
    for batches in tile.program.batches(_orders(tile)):
        if tile.running():
            _segments(tile, batches, offset, offset + batches.updates)
        offset += batches.updates
    if tile.running():
        _conclude(tile)


def _orders(tile: Tile) -> npt.NDArray[np.int32]:
    """Per group the order in which this epoch reads the samples. (groups, samples) int32"""
    width = tile.program.layout.lanes
    seeds = {lane.place // width: lane.spec.seed for lane in tile.lanes}
    some = next(iter(seeds.values()))
    drawn = {seed: data_order(seed, tile.position.epoch, tile.samples) for seed in {*seeds.values()}}
    return np.stack([drawn[seeds.get(group, some)] for group in range(tile.program.layout.groups)])


def _segments(tile: Tile, batches: Batches, offset: int, stop: int) -> None:
    """The updates `position.update`..stop-1 of this epoch; batches: those from `offset` on."""
    while tile.position.update < stop:
        _ask(tile)
        active = tile.active()
        if not tile.running():
            return
        start, end = tile.position.update, _segment_end(tile, stop)
        if active:
            mask = tile.program.axis.per_lane({lane.place: 1 for lane in active}, "bool")
            compiled, began = tile.program.compile_seconds, tile.clock()
            args = (tile.settings, mask, batches, start - offset, end - offset, tile.data["train"])
            tile.state = tile.program.train(tile.state, *args)
            seconds = tile.clock() - began - (tile.program.compile_seconds - compiled)
            tile.seconds_per_update = seconds / (end - start)
            for lane in active:
                lane.train_s += seconds / len(active)
        tile.position = Position(tile.position.epoch, end)
        if end < tile.updates_per_epoch:
            _save_if_due(tile)


def _segment_end(tile: Tile, stop: int) -> int:
    """Where the next segment ends: after about a second, or where a resumed lane joins."""
    at = tile.position
    speed = tile.seconds_per_update
    length = max(1, int(SEGMENT_SECONDS / speed)) if speed > 0 else FIRST_SEGMENT
    joins = [
        lane.starts.update
        for lane in tile.lanes
        if lane.starts.epoch == at.epoch and lane.starts.update > at.update
    ]
    return min([stop, at.update + length, *joins])


def _ask(tile: Tile) -> None:
    """End the lanes that are asked to stop. A drained one leaves a checkpoint, a lost one nothing."""
    asked = {
        lane.lane: tile.should_stop(lane.lane) or ("time" if lane.train_s >= tile.max_seconds else None)
        for lane in tile.lanes
        if lane.outcome is None
    }
    drained = [lane for lane in tile.active() if asked.get(lane.lane) == "drain"]
    _save(tile, drained)
    for lane in tile.lanes:
        reason = asked.get(lane.lane)
        if reason is not None:
            _end(tile, lane, reason)


def _end(tile: Tile, lane: Progress, reason: str) -> None:
    asked = {str(name): status for name, status in STATUS_OF.items()}
    at = max(tile.position, lane.starts, key=lambda place: (place.epoch, place.update))
    lane.outcome = Outcome(
        lane=lane.lane,
        status=asked.get(reason, "FINISHED"),
        reason=reason,
        epochs=at.epoch,
        updates=at.epoch * tile.updates_per_epoch + at.update,
        metrics={**lane.metrics, "time/train_s": lane.train_s},
    )


def _conclude(tile: Tile) -> None:
    """The end of an epoch: measure, record, decide, export."""
    active = tile.active()
    tile.position = Position(tile.position.epoch + 1, 0)
    began = tile.clock()
    compiled = tile.program.compile_seconds
    measured = _measure(tile)
    probed = _probe(tile)
    seconds = tile.clock() - began - (tile.program.compile_seconds - compiled)
    sums = tile.state.sums()
    for lane in active:
        lane.train_s += seconds / len(active)
        loss, hits = sums[lane.place]
        metrics = {"train/loss": loss / tile.samples, **measured[lane.lane]}
        errors = None
        if measures_accuracy(lane.spec):
            metrics["train/accuracy"] = hits / tile.samples
            errors = tile.samples - hits
        counted = {} if errors is None else {diagnostics.TRAIN_ERRORS: float(errors)}
        lane.remember(tile.position.epoch, {**probed[lane.lane], **metrics, **counted})
        shown = {**probe.recorded(probed[lane.lane]), **metrics}
        tile.recorder.metrics(lane.lane, tile.position.epoch, shown)
        lane.metrics = metrics
        reason = lane.ended(metrics, errors, tile.position.epoch)
        if reason is not None:
            _end(tile, lane, reason)
            for found in diagnostics.diagnose(lane.spec, lane.history):
                tile.recorder.tags(lane.lane, found.tag())
    tile.state = tile.state.restarted()
    _export(tile, [lane for lane in active if lane.outcome is not None])
    if tile.running():
        _save_if_due(tile)


def _measure(tile: Tile) -> list[dict[str, float]]:
    """Loss and accuracy on validation and test data, per lane of the tile."""
    parts = {name: part for name, part in tile.data.items() if name != "train"}
    results = tile.program.evaluate(tile.state, parts) if parts else {}
    values: list[dict[str, float]] = [{} for _ in tile.lanes]
    for name, (loss, hits) in results.items():
        samples = int(parts[name][0].shape[0])
        for lane in tile.lanes:
            values[lane.lane][f"{name}/loss"] = float(loss[lane.place])
            if measures_accuracy(lane.spec):
                values[lane.lane][f"{name}/accuracy"] = float(hits[lane.place]) / samples
    return values


def _probe(tile: Tile) -> list[dict[str, float]]:
    """What diagnostics measure in every layer, per lane of the tile; nothing where they are off."""
    instrument = probe.probe(tile.program, tile.data)
    if instrument is None:
        return [{} for _ in tile.lanes]
    by_place = instrument.measure(tile.state, tile.settings)
    return [by_place[lane.place] for lane in tile.lanes]


def _export(tile: Tile, done: Sequence[Progress]) -> None:
    """The weights of finished lanes, as Keras files."""
    if not done:
        return
    architecture = tile.program.architecture()
    for lane, state in zip(done, tile.program.lanes(tile.state, [lane.place for lane in done]), strict=True):
        tile.recorder.artifact(lane.lane, "weights/model.weights.h5", tile.program.weights_file(state))
        tile.recorder.artifact(lane.lane, "weights/architecture.json", architecture)


def _save_if_due(tile: Tile) -> None:
    if tile.clock() - tile.saved_at >= tile.checkpoint_seconds:
        _save(tile, tile.active())
        tile.saved_at = tile.clock()


def _save(tile: Tile, lanes: Sequence[Progress]) -> None:
    """Checkpoints of lanes that are at the tile's position."""
    states: list[LaneState] = tile.program.lanes(tile.state, [lane.place for lane in lanes]) if lanes else []
    for lane, state in zip(lanes, states, strict=True):
        checkpoint = Checkpoint(
            lane.spec.program_key(),
            tile.program.layout,
            tile.position,
            lane.best,
            lane.waited,
            lane.train_s,
            state,
            lane.history,
        )
        tile.recorder.checkpoint(lane.lane, tile.position.epoch, dump(checkpoint))
