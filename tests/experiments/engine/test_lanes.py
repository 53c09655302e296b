"""Lanes beside each other: none touches another, and a stopped and resumed one goes on bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from experiments.engine import cache
from experiments.engine.checkpoints import CheckpointError
from experiments.engine.layouts import LAYOUTS, WIDTHS, Layout, WidthError, arrange, width_for
from experiments.recording import MemoryRecorder

ADAM = {"name": "adam", "learning_rate": 0.01}
DROPOUT = {"activation": "relu", "layers": [
    {"type": "dense", "units": 12}, {"type": "batch_normalization"}, {"type": "dropout", "rate": 0.3},
    {"type": "dense", "units": 10}]}  # fmt: skip
RATES = {"learning_rate": [0.001, 0.01, 0.1, 1.0]}
WHOLE_BATCHES = {
    "dataset": {"name": "digits", "train_samples": 64, "validation_split": 0.0},
    "training": {"epochs": 5, "batch_size": 16},
}
"""20 updates. A short last batch is another graph where batch statistics are computed; runs that go on have one below."""


class StopAfter:
    """`should_stop` that gives `reason` to some lanes from the `calls`-th question on."""

    def __init__(self, reason: str, calls: int, lanes: set[int] | None = None) -> None:
        self.reason, self.calls, self.lanes = reason, calls, lanes

    def __call__(self, lane: int) -> str | None:
        if self.lanes is not None and lane not in self.lanes:
            return None
        self.calls -= 1
        return self.reason if self.calls < 0 else None


def test_a_lane_is_the_single_run(specs: Any, engine: Any, float64: Any, tmp_path: Any) -> None:
    tile = specs(model=DROPOUT, optimizer=ADAM, seeds=3, **WHOLE_BATCHES)
    together = engine(tile)
    for lane, spec in enumerate(tile):
        alone = engine([spec])
        for ours, theirs in zip(together.weights(lane, tmp_path), alone.weights(0, tmp_path), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-9, rtol=0)


@pytest.mark.parametrize("width", [4, *(pytest.param(width, marks=pytest.mark.slow) for width in (8, 32))])
def test_neighbours_change_no_bit(width: int, specs: Any, engine: Any) -> None:
    """Replaced by others, by ones with enormous weights, by none; in another place."""
    ours, others, wild = (
        specs(model=DROPOUT, optimizer={"name": "adam", "learning_rate": rate}, seeds=2, **WHOLE_BATCHES)
        for rate in (0.01, 3.0, 1e29)
    )
    alone = engine(ours, width=width)
    for tile in (ours + others, ours + wild, wild + ours):
        beside = engine(tile, width=width)
        first = tile.index(ours[0])
        for lane in range(2):
            assert beside.file(first + lane) == alone.file(lane)
            assert beside.losses(first + lane) == alone.losses(lane)


@pytest.mark.usefixtures("without_xla")
def test_a_diverged_lane_is_an_outcome_and_stays_in_its_lane(specs: Any, engine: Any) -> None:
    tile = specs(
        dataset={"name": "linear"}, model={"hidden": []}, training={"epochs": 40, "batch_size": 16},
        optimizer={"name": "sgd"}, sweep={"learning_rate": [0.1, 1e9]},
    )  # fmt: skip
    healthy, wild = engine(tile).outcomes
    assert (healthy.status, healthy.reason, healthy.epochs) == ("FINISHED", "epochs", 40)
    assert (wild.status, wild.reason) == ("FINISHED", "diverged")
    assert wild.epochs < 40
    assert not math.isfinite(wild.metrics["train/loss"])
    assert healthy.metrics["train/loss"] < 0.01
    assert engine(tile).file(0) == engine(tile[:1], width=4).file(0)


@pytest.mark.parametrize(
    "model", [DROPOUT, {"hidden": [12], "activation": "sparsemax"}], ids=["lanes", "alone"]
)
def test_resumed_equals_uninterrupted_bit_for_bit(model: Any, specs: Any, engine: Any) -> None:
    """Stopped in the middle of an epoch: sums, dropout's counter, Adam's moments and patience go on too."""
    tile = specs(model=model, optimizer=ADAM, seeds=3)[: 3 if model is DROPOUT else 1]
    whole = engine(tile)
    stopped = engine(tile, should_stop=StopAfter("drain", 8 * len(tile)))
    assert {outcome.status for outcome in stopped.outcomes} == {"RELEASED"}
    epoch, _ = stopped.recorder.checkpoints[0]
    assert 0 < epoch < 10
    kept = [stopped.recorder.checkpoints[lane][1] for lane in range(len(tile))]
    resumed = engine(tile, resume=kept)
    for lane in range(len(tile)):
        assert resumed.file(lane) == whole.file(lane)
        both = {
            **stopped.recorder.history[lane]["train/loss"],
            **resumed.recorder.history[lane]["train/loss"],
        }
        assert both == whole.recorder.history[lane]["train/loss"]
        assert resumed.outcomes[lane].updates == whole.outcomes[lane].updates == 210


def test_one_lane_resumed_alone_and_lanes_at_different_places(specs: Any, engine: Any) -> None:
    tile = specs(model=DROPOUT, optimizer=ADAM, seeds=3)
    whole = engine(tile)
    early = engine(tile, should_stop=StopAfter("drain", 8 * 3)).recorder.checkpoints
    late = engine(tile, should_stop=StopAfter("drain", 20 * 3)).recorder.checkpoints
    assert early[0][0] < late[0][0]
    alone = engine([tile[2]], resume=[late[2][1]])
    assert alone.file(0) == whole.file(2)
    mixed = engine(tile, resume=[early[0][1], late[1][1], None], width=4)
    for lane in range(3):
        assert mixed.file(lane) == whole.file(lane)


def test_cancelling_one_lane_leaves_the_others(specs: Any, engine: Any) -> None:
    tile = specs(model=DROPOUT, optimizer=ADAM, seeds=3)
    whole = engine(tile)
    cut = engine(tile, should_stop=StopAfter("cancelled", 6, {1}))
    assert [outcome.status for outcome in cut.outcomes] == ["FINISHED", "KILLED", "FINISHED"]
    assert cut.outcomes[1].reason == "cancelled"
    assert 0 < cut.outcomes[1].epochs < 10
    assert 1 not in cut.recorder.checkpoints
    assert (cut.file(0), cut.file(2)) == (whole.file(0), whole.file(2))


@pytest.mark.usefixtures("without_xla")
def test_periodic_checkpoints(specs: Any, engine: Any) -> None:
    ticks = iter(range(10**6))
    tile = specs(sweep=RATES)[:2]
    trained = engine(tile, checkpoint_seconds=5.0, clock=lambda: float(next(ticks)))
    assert trained.recorder.checkpoints.keys() == {0, 1}


@pytest.mark.usefixtures("without_xla")
def test_time_is_limited_by_a_lanes_share_over_all_attempts(specs: Any, engine: Any) -> None:
    """By a clock that goes on by an eighth of a second at each look. Neither a wide tile nor a drained one changes the limit."""

    def timed(tile: Any, **options: Any) -> Any:
        engine(tile, width=4)  # compiled: by the real clock, which the limit leaves out
        ticks = iter(range(10**6))
        return engine(tile, width=4, clock=lambda: next(ticks) / 8, **options)

    tile = specs(sweep=RATES, training={"epochs": 12, "batch_size": 16})
    share = timed(tile).outcomes[0].metrics["time/train_s"]
    assert {outcome.status for outcome in timed(tile, max_seconds=share + 0.01).outcomes} == {"FINISHED"}
    (alone,) = timed(tile[:1], max_seconds=share + 0.01).outcomes
    assert (alone.status, alone.reason) == ("FAILED", "time"), "four share the seconds of one"

    whole = timed(tile[:1]).outcomes[0].metrics["time/train_s"]
    half = timed(tile[:1], should_stop=StopAfter("drain", 8))
    assert half.outcomes[0].metrics["time/train_s"] > 0.75
    (rest,) = timed(tile[:1], max_seconds=whole - 0.5, resume=[half.recorder.checkpoints[0][1]]).outcomes
    assert (rest.status, rest.reason) == ("FAILED", "time"), "not afresh"


@pytest.mark.usefixtures("without_xla")
def test_a_checkpoint_of_another_program_is_refused(specs: Any, engine: Any) -> None:
    state = engine(specs(), should_stop=StopAfter("drain", 3)).recorder.checkpoints[0][1]
    with pytest.raises(CheckpointError, match="another program"):
        engine(specs(model={"hidden": [13]}), resume=[state])
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        engine(specs(), resume=[state[:100]])


STOPS: dict[str, tuple[dict[str, Any], Callable[[Mapping[str, float]], bool]]] = {
    "error": ({"stop": {"error": 1.5}}, lambda m: m["train/loss"] <= 1.5),
    "patience": ({"stop": {"patience": 2}}, lambda m: True),
    "epochs": ({}, lambda m: True),
}


@pytest.mark.usefixtures("without_xla")
@pytest.mark.parametrize("reason", STOPS)
def test_why_a_run_stops(reason: str, specs: Any, engine: Any) -> None:
    stop, holds = STOPS[reason]
    rate = 30.0 if reason == "patience" else 0.1
    (outcome,) = engine(
        specs(
            optimizer={"name": "sgd", "learning_rate": rate},
            training={"epochs": 12, "batch_size": 16, **stop},
        )
    ).outcomes
    assert outcome.reason == reason
    assert holds(outcome.metrics)
    assert outcome.updates == outcome.epochs * 21


@pytest.mark.usefixtures("without_xla")
@pytest.mark.parametrize("gate", ["and", "or", "xor"])
def test_the_perceptron_converges_on_and_and_or_and_never_on_xor(gate: str, specs: Any, engine: Any) -> None:
    """Rosenblatt's theorem: finitely many updates where a line separates the classes."""
    layers = [{"type": "dense", "units": 1, "activation": "step"}]
    (outcome,) = engine(
        specs(
            dataset={"name": gate}, model={"layers": layers}, loss="half_squared_error",
            optimizer={"name": "sgd", "learning_rate": 0.1},
            training={"epochs": 100, "batch_size": 1, "stop": {"train_errors": 0}},
        )
    ).outcomes  # fmt: skip
    assert outcome.reason == ("epochs" if gate == "xor" else "train_errors")
    assert (outcome.metrics["train/accuracy"] == 1.0) == (gate != "xor")


@pytest.mark.slow
def test_every_width_trains_alike(specs: Any, engine: Any) -> None:
    tile = specs(optimizer=ADAM)
    losses = [engine(tile, width=width).losses(0) for width in WIDTHS if width <= 256]
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=1e-4)


@pytest.mark.usefixtures("without_xla")
def test_seeds_decide_weights_and_order_alone(specs: Any, engine: Any) -> None:
    slower, faster = (engine(specs(optimizer={"name": "sgd", "learning_rate": rate})) for rate in (0.1, 0.2))
    assert slower.losses(0) != faster.losses(0)
    same = engine(
        specs(optimizer={"name": "sgd", "learning_rate": 0.1}, training={"epochs": 3, "batch_size": 16})
    )
    assert same.losses(0) == slower.losses(0)[:3]


def test_widths_and_places() -> None:
    assert [width_for(runs, 32) for runs in (1, 2, 4, 5, 9, 17, 32)] == [1, 4, 4, 8, 16, 32, 32]
    with pytest.raises(WidthError):
        width_for(33, 32)
    assert [width_for(runs, 4096) for runs in (33, 257, 4096)] == [256, 1024, 4096]
    with pytest.raises(WidthError):
        width_for(2, limit=1)
    layout, places = arrange(32, [0] * 20 + [1] * 5)
    assert layout == Layout(4, 8)
    assert len(set(places)) == 25
    groups = {where // layout.lanes: order for where, order in zip(places, [0] * 20 + [1] * 5, strict=True)}
    assert sorted(groups.values()) == [0, 0, 0, 1]
    assert arrange(8, list(range(8)))[0] == Layout(8, 1)
    assert all(layout.width == width for width in WIDTHS for layout in LAYOUTS[width])


def test_a_recorder_in_memory_keeps_the_latest() -> None:
    recorder = MemoryRecorder()
    recorder.metrics(0, 1, {"train/loss": 2.0})
    recorder.metrics(0, 2, {"train/loss": 1.0})
    assert recorder.latest(0) == {"train/loss": 1.0}


@pytest.mark.usefixtures("without_xla")
def test_programs_of_two_optimizers_share_their_evaluation(specs: Any) -> None:
    """It depends on network, loss and metrics; not on the optimizer, nor on the weights of classes."""
    few = {"name": "digits", "train_samples": 32}
    weighted = {"epochs": 1, "batch_size": 16, "class_weight": {"0": 2}}
    (sgd,), (adam,), (by_class,), (measured,), (other,) = (
        specs(dataset=few, **changes)
        for changes in (
            {"training": {"epochs": 1, "batch_size": 16}}, {"optimizer": ADAM}, {"training": weighted},
            {"metrics": ["f1"]}, {"model": {"hidden": [13]}},
        )
    )  # fmt: skip
    first, *others = (
        cache.program(spec, Layout(1, 1), "cpu") for spec in (sgd, adam, by_class, measured, other)
    )
    assert [program.evaluation is first.evaluation for program in others] == [True, True, False, False]
    assert all(program is not first for program in others)
    assert cache.program(sgd, Layout(1, 4), "cpu").evaluation is not first.evaluation
