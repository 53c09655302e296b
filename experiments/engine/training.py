"""`train`: a tile of runs of one program, from initial weights to an outcome per lane.

The tile goes through its epochs in segments of about a second. Between segments it asks whether a lane is to stop,
and writes checkpoints. Between epochs it measures, records and decides which lanes are done. A lane that is done is
masked; its neighbours' numbers do not change by a bit.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments import diagnostics
from experiments.datasets import Source
from experiments.engine import backend, filming, models, probe
from experiments.engine.checkpoints import BestEpoch, Position
from experiments.engine.evaluation import measures_accuracy, true_classes
from experiments.engine.layouts import WidthError
from experiments.engine.portable import FUNCTIONS_FILE, travelling_source
from experiments.engine.progress import START, STATUS_OF, Outcome, Progress, StopAsked
from experiments.engine.states import Batches
from experiments.engine.tile import Conditions, Tile, save, save_if_due, start
from experiments.metrics import Errors, Scores, measured, spread
from experiments.randomness import data_order
from experiments.recording import MOST_SMALL_WEIGHTS, SMALL_WEIGHTS, WEIGHTS, Recorder
from experiments.runs import RunSpec
from experiments.schedules import Schedule

__all__ = ["Outcome", "StopAsked", "train"]

SEGMENT_SECONDS = 1.0
"""Of training between two calls of `should_stop`."""
FIRST_SEGMENT = 8
"""Updates before the first measurement of their speed."""
CONTINUABLE = ("epochs", "halved")
"""Reasons of runs that would have gone on if they had been given more epochs."""


def train(
    specs: Sequence[RunSpec],
    recorder: Recorder,
    should_stop: Callable[[int], StopAsked | None],
    *,
    width: int | None = None,
    source: Source,
    resume: Sequence[bytes | None] = (),
    until: Sequence[int] = (),
    keep_final: bool = False,
    checkpoint_seconds: float = 30.0,
    max_seconds: float = math.inf,
    device: str = "cpu",
    clock: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """Train runs that share a program, side by side.

    Args:
        specs: the runs, one lane each.
        recorder: is told what happens; lanes are indices into `specs`.
        should_stop: asked per lane about once a second; its answer ends that lane alone.
        width: of the program, one of layouts.WIDTHS; default: the narrowest that holds the runs.
        source: where data sets come from.
        resume: per run a checkpoint that an earlier call recorded, or None. Those from within an epoch come from
            tiles of one layout, which this tile takes over with its width.
        until: per run the epochs after which it ends; default: as its spec says. A run that ends before its last
            epoch does so with the reason `halved`, and goes on from its checkpoint in a later call.
        keep_final: record a checkpoint of every run that comes to its last epoch, for such a call.
        checkpoint_seconds: between two checkpoints.
        max_seconds: of training, after which a lane is stopped (tile.Conditions).
        device: `cpu` or `gpu`.
        clock: seconds, never falling.

    Returns:
        One outcome per run, in order.

    Raises:
        WidthError: the runs do not share a program or do not fit into the width.
        CheckpointError: a checkpoint is unreadable or belongs to another program.
        DataError: the data set cannot be loaded.
    """
    if len({spec.program_key() for spec in specs}) != 1:
        raise WidthError("the runs of a tile must share one program (RunSpec.program_key)")
    conditions = Conditions(should_stop, checkpoint_seconds, max_seconds, device, clock, keep_final)
    tile = start(specs, recorder, conditions, width=width, source=source, resume=resume, until=until)
    compiled_before = tile.program.compile_seconds
    _introduce(tile)
    _end_complete(tile)
    while tile.running():
        _train_epoch(tile)
    compile_share = (tile.program.compile_seconds - compiled_before) / len(specs)
    outcomes = [lane.outcome for lane in tile.lanes if lane.outcome is not None]
    for outcome in outcomes:
        outcome.metrics["time/compile_s"] = compile_share
        times = {name: value for name, value in outcome.metrics.items() if name.startswith("time/")}
        recorder.metrics(outcome.lane, outcome.epochs, times)
    return outcomes


def _introduce(tile: Tile) -> None:
    """Record under what conditions the numbers come about, and measure the untrained network.

    Loss and accuracy on validation and test data before training belong to the diagnostics: on a convolutional network
    they cost a tenth of an epoch, and `diagnostics: off` saves that.
    """
    tags = {
        "gradus.tile_width": str(tile.program.layout.width),
        "gradus.tile_layout": str(tile.program.layout),
        "gradus.device": tile.conditions.device,
        "gradus.backend": backend.name,
        "gradus.threads": str(backend.threads()),
        "gradus.n_params_actual": str(models.count_parameters(tile.program.model)),
        **{f"gradus.{name}": version for name, version in backend.versions().items()},
    }
    width = tile.program.layout.width
    for lane in tile.lanes:
        if list(lane.widths.values())[-1:] != [width]:
            lane.widths = {**lane.widths, lane.starts.epoch: width}
        packed = ", ".join(f"{width} from epoch {epoch}" for epoch, width in lane.widths.items())
        tile.recorder.tags(lane.lane, tags | ({"gradus.tile_widths": packed} if len(lane.widths) > 1 else {}))
    if tile.position == START:
        # A resumed lane was measured before its first attempt.
        fresh = {lane.lane for lane in tile.active()}
        probed = _probe(tile)
        evaluated = _evaluate(tile) if any(probed) else [{} for _ in tile.lanes]
        for lane in tile.lanes:
            if lane.lane not in fresh:
                continue
            lane.remember(0, probed[lane.lane])
            if recorded := {**probe.recorded(probed[lane.lane]), **evaluated[lane.lane]}:
                tile.recorder.metrics(lane.lane, 0, recorded)
    filming.begin(tile)


def _end_complete(tile: Tile) -> None:
    """End the lanes whose checkpoint is already of their last epoch: the worker that wrote it committed no outcome."""
    complete = [lane for lane in tile.lanes if lane.starts >= Position(lane.until, 0)]
    for lane in complete:
        lane.restore()
        _end(tile, lane, lane.end)
    filming.record(tile, complete)
    _export(tile, complete)


def _train_epoch(tile: Tile) -> None:
    """Train from the tile's position to the end of that epoch."""
    offset = 0
    for batches in tile.program.batches(_data_orders(tile)):
        if tile.running():
            _train_segments(tile, batches, offset, offset + batches.updates)
        offset += batches.updates
    if tile.running():
        _finish_epoch(tile)


def _data_orders(tile: Tile) -> npt.NDArray[np.int32]:
    """The order in which each group reads the samples in this epoch. (groups, samples) int32"""
    lanes_per_group = tile.program.layout.lanes
    seeds = {lane.lane_position // lanes_per_group: lane.spec.seed for lane in tile.lanes}
    any_seed = next(iter(seeds.values()))
    orders = {seed: data_order(seed, tile.position.epoch, tile.samples) for seed in {*seeds.values()}}
    return np.stack([orders[seeds.get(group, any_seed)] for group in range(tile.program.layout.groups)])


def _train_segments(tile: Tile, batches: Batches, offset: int, stop: int) -> None:
    """Train the updates `position.update`..stop-1 of this epoch; batches: those from `offset` on."""
    while tile.position.update < stop:
        _ask(tile)
        active = tile.active()
        if not tile.running():
            return
        first, end = tile.position.update, _segment_end(tile, stop)
        if active:
            mask = tile.program.axis.per_lane({lane.lane_position: 1 for lane in active}, "bool")
            compiled_before, began = tile.program.compile_seconds, tile.clock()
            tile.state = tile.program.train(
                tile.state, tile.settings, mask, batches, first - offset, end - offset, tile.data["train"]
            )
            seconds = tile.clock() - began - (tile.program.compile_seconds - compiled_before)
            tile.seconds_per_update = seconds / (end - first)
            for lane in active:
                lane.train_s += seconds / len(active)
        tile.position = Position(tile.position.epoch, end)
        if end < tile.updates_per_epoch:
            filming.shoot(tile, active)
            save_if_due(tile)


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
    if (frame := filming.next_update(tile)) is not None:
        joins.append(frame)
    return min([stop, at.update + length, *joins])


def _ask(tile: Tile) -> None:
    """End the lanes that are asked to stop. A drained lane leaves a checkpoint; the others leave none."""
    conditions = tile.conditions
    reasons = {
        lane.lane: conditions.should_stop(lane.lane)
        or ("time" if lane.train_s >= conditions.max_seconds else None)
        for lane in tile.lanes
        if lane.outcome is None
    }
    save(tile, [lane for lane in tile.active() if reasons.get(lane.lane) == "drain"])
    for lane in tile.lanes:
        reason = reasons.get(lane.lane)
        if reason is not None:
            _end(tile, lane, reason)


def _end(tile: Tile, lane: Progress, reason: str) -> None:
    """Give a lane its outcome. reason: a StopAsked, or why the run ended by itself."""
    status_of = {str(name): status for name, status in STATUS_OF.items()}
    at = max(tile.position, lane.starts)
    lane.outcome = Outcome(
        lane=lane.lane,
        status=status_of.get(reason, "FINISHED"),
        reason=reason,
        epochs=at.epoch,
        updates=at.epoch * tile.updates_per_epoch + at.update,
        metrics={**lane.metrics, "time/train_s": lane.train_s},
        best_epoch=lane.best_epoch.epoch if lane.best_epoch else None,
    )


def _finish_epoch(tile: Tile) -> None:
    """Measure, record, decide which lanes are done, and write out their weights."""
    active = tile.active()
    tile.position = Position(tile.position.epoch + 1, 0)
    compiled_before, began = tile.program.compile_seconds, tile.clock()
    evaluated, probed = _evaluate(tile), _probe(tile)
    seconds = tile.clock() - began - (tile.program.compile_seconds - compiled_before)
    sums = tile.state.sums()
    reasons: dict[int, str | None] = {}
    for lane in active:
        lane.train_s += seconds / len(active)
        loss, hits = sums[lane.lane_position]
        metrics = {"train/loss": loss / tile.samples, **evaluated[lane.lane]}
        errors = None
        if measures_accuracy(lane.spec):
            metrics["train/accuracy"] = hits / tile.samples
            errors = tile.samples - hits
        if isinstance(rate := lane.spec.optimizer.learning_rate, Schedule):
            metrics["train/learning_rate"] = rate.at(tile.position.epoch * tile.updates_per_epoch - 1)
        counted = {} if errors is None else {diagnostics.TRAIN_ERRORS: float(errors)}
        lane.remember(tile.position.epoch, {**probed[lane.lane], **metrics, **counted})
        recorded = {**probe.recorded(probed[lane.lane]), **metrics}
        tile.recorder.metrics(lane.lane, tile.position.epoch, recorded)
        lane.metrics = metrics
        reasons[lane.lane] = lane.ended(metrics, errors, tile.position.epoch)
    _keep_best(tile, [lane for lane in active if lane.improved])
    for lane in active:
        reason = reasons[lane.lane]
        if reason is not None:
            if reason == "diverged":  # the run has no epoch to be proud of, whatever came before
                lane.best_epoch = None
            lane.restore()
            if lane.best_epoch is not None:
                tile.recorder.tags(lane.lane, {"gradus.best_epoch": str(lane.best_epoch.epoch)})
            _end(tile, lane, reason)
            for diagnosis in diagnostics.diagnose(lane.spec, lane.history):
                tile.recorder.tags(lane.lane, diagnosis.tag())
    filming.shoot(tile, active)
    tile.state = tile.state.restarted()
    if tile.conditions.keep_final:
        save(tile, [lane for lane in active if reasons[lane.lane] in CONTINUABLE])
    _export(tile, [lane for lane in active if lane.outcome is not None])
    if tile.running():
        save_if_due(tile)


def _keep_best(tile: Tile, lanes: Sequence[Progress]) -> None:
    """Keep weights and metrics of lanes that have just ended their best epoch so far."""
    positions = [lane.lane_position for lane in lanes]
    states = tile.program.lanes(tile.state, positions, optimizer=False) if lanes else []
    for lane, state in zip(lanes, states, strict=True):
        lane.best_epoch = BestEpoch(tile.position.epoch, lane.metrics, state)


def _evaluate(tile: Tile) -> list[dict[str, float]]:
    """Loss, accuracy and the spec's metrics on validation and test data, per lane of the tile."""
    parts = {name: part for name, part in tile.data.items() if name != "train"}
    results = tile.program.evaluate(tile.state, parts) if parts else {}
    values: list[dict[str, float]] = [{} for _ in tile.lanes]
    for name, (loss, hits, *counts) in results.items():
        x, y = parts[name]
        samples = int(x.shape[0])
        for lane in tile.lanes:
            values[lane.lane][f"{name}/loss"] = float(loss[lane.lane_position])
            if measures_accuracy(lane.spec):
                values[lane.lane][f"{name}/accuracy"] = float(hits[lane.lane_position]) / samples
            if lane.spec.metrics:
                own = [count[lane.lane_position] for count in counts]
                values[lane.lane] |= _metrics(lane.spec, name, own, samples, y)
    return values


def _metrics(
    spec: RunSpec, part: str, counts: Sequence[npt.NDArray[Any]], samples: int, y: backend.Tensor
) -> dict[str, float]:
    """The spec's metrics on one part of the data. counts: of one lane (`evaluation.counted`)"""
    remaining = list(counts)
    values: dict[str, float] = {}
    if spec.counts_classes:
        values |= measured(spec.metrics_of("classes"), remaining.pop(0))
    if spec.counts_errors:
        errors = Errors(samples, remaining.pop(0), remaining.pop(0), spread(backend.array(y)))
        values |= measured(spec.metrics_of("numbers"), errors)
    if spec.keeps_scores:
        truth = backend.array(true_classes(spec, y))
        values |= measured(spec.metrics_of("scores"), Scores(truth, remaining.pop(0)))
    return {f"{part}/{name}": value for name, value in values.items()}


def _probe(tile: Tile) -> list[dict[str, float]]:
    """What diagnostics measure in every layer, per lane of the tile; nothing where they are off."""
    instrument = probe.probe(tile.program, tile.data)
    if instrument is None:
        return [{} for _ in tile.lanes]
    values = instrument.measure(tile.state, tile.settings)
    return [values[lane.lane_position] for lane in tile.lanes]


def _export(tile: Tile, lanes: Sequence[Progress]) -> None:
    """Record the weights of finished lanes as Keras files."""
    if not lanes:
        return
    program = tile.program
    architecture = program.architecture()
    names = [f"{layer.name}/{v.name}" for layer in program.model.layers for v in layer.trainable_variables]
    states = program.lanes(tile.state, [lane.lane_position for lane in lanes], optimizer=False)
    for lane, last in zip(lanes, states, strict=True):
        state = lane.best_epoch.state if lane.best_epoch else last
        tile.recorder.artifact(lane.lane, WEIGHTS, program.weights_file(state))
        tile.recorder.artifact(lane.lane, "weights/architecture.json", architecture)
        if program.model.count_params() <= MOST_SMALL_WEIGHTS:
            tensors = {
                name: np.asarray(value).tolist() for name, value in zip(names, state.weights, strict=True)
            }
            tile.recorder.artifact(lane.lane, SMALL_WEIGHTS, json.dumps(tensors).encode())
        if (source := travelling_source(architecture.decode())) is not None:
            tile.recorder.artifact(lane.lane, f"weights/{FUNCTIONS_FILE}", source)
