"""`restore: best` equals Keras' EarlyStopping, and a run that goes on equals one trained that long from the start."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from experiments.datasets import Source
from experiments.engine import backend, models
from experiments.engine.checkpoints import load
from experiments.runs import RunSpec
from tests.experiments.engine.conftest import Batches, keras_loss

OVERFITTING = {
    "dataset": {"name": "digits", "train_samples": 80, "validation_split": 0.5},
    "optimizer": {"name": "sgd", "learning_rate": 2.0},
}
TRAINING = {"epochs": 14, "batch_size": 16, "stop": {"patience": 4}, "restore": "best", "min_delta": 0.01}


def stopped_early(spec: RunSpec) -> tuple[list[np.ndarray], int, dict[str, list[float]]]:
    """keras.fit with EarlyStopping(restore_best_weights=True): weights, best epoch (from 1), history."""
    model = models.build(spec)
    model.compile(
        optimizer=keras.optimizers.SGD(**spec.optimizer.arguments()),
        loss=keras_loss(spec),
        metrics=["accuracy"],
        jit_compile=False,
    )
    batches = Batches(spec)
    stopping = keras.callbacks.EarlyStopping(
        "val_loss",
        min_delta=spec.training.min_delta,
        patience=spec.training.stop.patience,
        restore_best_weights=True,
        mode="min",
    )
    parts = models.arrays(spec, spec.dataset.load(Source(), spec.model.data_format))
    history = model.fit(
        batches, epochs=spec.training.epochs, steps_per_epoch=batches.per_epoch, shuffle=False,
        validation_data=parts["val"], callbacks=[stopping], verbose=0,
    )  # fmt: skip
    values = [np.asarray(variable.numpy()) for variable in model.weights]
    return values, stopping.best_epoch + 1, history.history


@pytest.mark.usefixtures("float64", "without_xla")
def test_restore_best_is_keras_early_stopping_lane_by_lane(specs: Any, engine: Any, tmp_path: Any) -> None:
    tile = specs(seeds=3, training=TRAINING, **OVERFITTING)
    trained = engine(tile)
    for lane, spec in enumerate(tile):
        weights, best, history = stopped_early(spec)
        outcome = trained.outcomes[lane]
        assert outcome.best_epoch == best
        assert outcome.epochs == len(history["loss"])
        assert outcome.metrics["val/loss"] == pytest.approx(history["val_loss"][best - 1], abs=1e-9)
        assert outcome.metrics["val/loss"] < history["val_loss"][-1]
        for ours, theirs in zip(trained.weights(lane, tmp_path), weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


def test_a_drained_run_restores_the_same_epoch(specs: Any, engine: Any) -> None:
    tile = specs(seeds=2, training=TRAINING, **OVERFITTING)
    whole = engine(tile)
    calls = iter(range(100))

    def drain(lane: int) -> str | None:
        return "drain" if next(calls) > 6 else None

    first = engine(tile, should_stop=drain)
    assert {outcome.status for outcome in first.outcomes} == {"RELEASED"}
    checkpoints = [first.recorder.checkpoints[lane][1] for lane in range(2)]
    kept = load(checkpoints[0], tile[0].program_key()).best_epoch
    assert kept is not None
    assert kept.epoch >= 1
    second = engine(tile, resume=checkpoints)
    for lane in range(2):
        assert second.file(lane) == whole.file(lane)
        assert second.outcomes[lane].best_epoch == whole.outcomes[lane].best_epoch
        assert second.outcomes[lane].metrics["val/loss"] == whole.outcomes[lane].metrics["val/loss"]


def test_a_run_that_goes_on_equals_one_trained_that_long(specs: Any, engine: Any) -> None:
    """Bit for bit at one width, with the optimizer's moments."""
    tile = specs(seeds=3, optimizer={"name": "adam"}, training={"epochs": 6, "batch_size": 16})
    whole = engine(tile, width=4)
    first = engine(tile, width=4, until=[2, 2, 2], keep_final=True)
    assert {(o.status, o.reason, o.epochs) for o in first.outcomes} == {("FINISHED", "halved", 2)}
    checkpoints = [first.recorder.checkpoints[lane][1] for lane in range(3)]
    second = engine(tile, width=4, resume=checkpoints)
    for lane in range(3):
        assert second.file(lane) == whole.file(lane)
        assert second.outcomes[lane].reason == "epochs"
        assert second.outcomes[lane].updates == whole.outcomes[lane].updates
        steps = {**first.recorder.history[lane]["val/loss"], **second.recorder.history[lane]["val/loss"]}
        assert steps == whole.recorder.history[lane]["val/loss"]


@pytest.mark.usefixtures("without_xla")
def test_lanes_of_several_tiles_are_packed_anew_between_epochs(specs: Any, engine: Any) -> None:
    tile = specs(seeds=5, training={"epochs": 4, "batch_size": 16})
    wide = engine(tile[:4], width=4, until=[2] * 4, keep_final=True)
    alone = engine(tile[4:], width=1, until=[2], keep_final=True)
    kept = wide.recorder.checkpoints
    checkpoints = [kept[1][1], kept[2][1], alone.recorder.checkpoints[0][1]]
    packed = engine([tile[1], tile[2], tile[4]], width=4, resume=checkpoints)
    whole = engine([tile[1], tile[2], tile[4]], width=4)
    for lane in range(3):
        assert packed.outcomes[lane].epochs == 4
        assert packed.outcomes[lane].metrics["val/loss"] == pytest.approx(
            whole.outcomes[lane].metrics["val/loss"], abs=1e-5
        )
    assert packed.recorder.tagged[2]["gradus.tile_widths"] == "1 from epoch 0, 4 from epoch 2"
    assert "gradus.tile_widths" not in packed.recorder.tagged[0]


@pytest.mark.usefixtures("without_xla")
def test_a_checkpoint_of_the_last_epoch_ends_at_once_with_its_files(specs: Any, engine: Any) -> None:
    """The worker was lost between the last checkpoint and the commit."""
    tile = specs(seeds=2, training=TRAINING | {"epochs": 3}, **OVERFITTING)
    first = engine(tile, keep_final=True)
    again = engine(tile, resume=[first.recorder.checkpoints[lane][1] for lane in range(2)])
    for lane in range(2):
        assert again.file(lane) == first.file(lane)
        assert (again.outcomes[lane].reason, again.outcomes[lane].epochs) == ("epochs", 3)
        assert again.outcomes[lane].metrics["val/loss"] == first.outcomes[lane].metrics["val/loss"]


def test_nothing_else_changes_the_fingerprint(specs: Any) -> None:
    (plain,) = specs()
    (said,) = specs(training={"epochs": 10, "batch_size": 16, "restore": "last", "min_delta": 0.0})
    (other,) = specs(training={"epochs": 10, "batch_size": 16, "restore": "best"})
    assert plain.fingerprint() == said.fingerprint() != other.fingerprint()
    assert '"restore"' not in plain.training.canonical
    assert backend.name in ("tensorflow", "jax")
