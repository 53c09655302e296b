"""What the engine's tests share: specs, the engine without a recorder, and keras.fit as the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pytest

from experiments.datasets import Source
from experiments.engine import cache, models
from experiments.engine.training import Outcome, train
from experiments.randomness import data_order
from experiments.recording import MemoryRecorder
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from workers.requests.model import trained as stored_network

BASE = {
    "name": "engine",
    "dataset": {"name": "digits", "train_samples": 325},  # 20 batches of 16, and one of 5
    "model": {"hidden": [12], "activation": "tanh"},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "training": {"epochs": 10, "batch_size": 16},  # 210 updates
    "diagnostics": "off",
    "gradient_check": "off",
}


ONE_GROUP = {"learning_rate": [0.1, 0.07]}
"""A sweep of two lanes that read their data in one order. Lanes of several orders take a second vectorised map around the
first, which costs as much again to trace."""
FEW = 8
"""Updates that TensorFlow makes sooner one by one than it traces a graph for them."""


@pytest.fixture(autouse=True, scope="module")
def _forget() -> Iterator[None]:
    """No module keeps another's programs."""
    yield
    cache.forget()


def _compute_in(dtype: str) -> None:
    """Keras makes its dtype policy from floatx the first time one is asked for, and then keeps it: set both."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


@pytest.fixture
def float64() -> Iterator[None]:
    before = keras.config.floatx()
    _compute_in("float64")
    yield
    _compute_in(before)


@pytest.fixture(scope="session")
def specs() -> Callable[..., list[RunSpec]]:
    """The runs of the base spec with fields changed: specs(optimizer={...}, seeds=3)."""

    def make(seeds: int = 1, first: int = 0, **changes: Any) -> list[RunSpec]:
        document = BASE | {"seed": first, "sweep": {"seeds": seeds}} | changes
        return [point.spec for point in ExperimentSpec.parse(document).expand()]

    return make


class Trained:
    """What came out of a tile: outcomes, records, and each lane's weights in the order of
    `model.weights`: without the state of random numbers, which none of them draws."""

    def __init__(self, tile: Sequence[RunSpec], outcomes: list[Outcome], recorder: MemoryRecorder) -> None:
        self.tile, self.outcomes, self.recorder = tile, outcomes, recorder

    def weights(self, lane: int, folder: Any) -> list[np.ndarray]:
        model = stored_network(self.tile[lane], self.file(lane))
        return [np.asarray(variable.numpy()) for variable in model.weights]

    def file(self, lane: int) -> bytes:
        return self.recorder.artifacts[lane]["weights/model.weights.h5"]

    def losses(self, lane: int, name: str = "train/loss") -> list[float]:
        return [value for step, value in sorted(self.recorder.history[lane][name].items()) if step]


@pytest.fixture(scope="session")
def engine() -> Callable[..., Trained]:
    def run(tile: Sequence[RunSpec], should_stop: Any = lambda lane: None, **options: Any) -> Trained:
        recorder = MemoryRecorder()
        outcomes = train(tile, recorder, should_stop, source=Source(), **options)
        return Trained(tile, outcomes, recorder)

    return run


def fitted(spec: RunSpec) -> tuple[keras.Model, list[float]]:
    """keras.fit itself, with the run's initial weights and data order: the model and the loss of each
    epoch."""
    model = models.build(spec)
    arguments = spec.optimizer.arguments()
    rate = arguments["learning_rate"]
    if isinstance(rate, dict):
        arguments["learning_rate"] = getattr(keras.optimizers.schedules, rate["class_name"])(**rate["config"])
    batches = Batches(spec)
    model.compile(
        optimizer=getattr(keras.optimizers, spec.optimizer.keras_name)(**arguments),
        loss=keras_loss(spec),
        jit_compile=False,
        run_eagerly=len(batches) <= FEW and keras.backend.backend() == "tensorflow",
    )
    history = model.fit(
        batches, epochs=spec.training.epochs, steps_per_epoch=batches.per_epoch, shuffle=False, verbose=0,
        class_weight=dict(spec.training.class_weight) if spec.training.class_weight else None,
    )  # fmt: skip
    return model, [float(loss) for loss in history.history["loss"]]


def keras_loss(spec: RunSpec) -> keras.losses.Loss:
    """Keras' own, where it has one."""
    if spec.loss.keras_name is None:
        return models.loss(spec.loss)
    return getattr(keras.losses, spec.loss.keras_name)(**spec.loss.arguments())


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of all epochs, one epoch after the other, each in the run's own order."""

    def __init__(self, spec: RunSpec) -> None:
        super().__init__()
        self.spec, self.size = spec, spec.training.batch_size
        self.x, self.y = models.arrays(spec, spec.dataset.load(Source(), spec.model.data_format))["train"]
        self.per_epoch = -(-len(self.x) // self.size)

    def __len__(self) -> int:
        return self.per_epoch * self.spec.training.epochs

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, batch = divmod(index, self.per_epoch)
        rows = data_order(self.spec.seed, epoch, len(self.x))[batch * self.size : (batch + 1) * self.size]
        return self.x[rows], self.y[rows]


@pytest.fixture(scope="session")
def fit() -> Callable[..., tuple[keras.Model, list[float]]]:
    return fitted


@pytest.fixture(scope="session")
def same_as_fit(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Assert that every lane of a tile ends where keras.fit ends."""

    def check(tile: Sequence[RunSpec], within: float, **options: Any) -> None:
        trained = engine(tile, **options)
        folder = tmp_path_factory.mktemp("weights")
        for lane, spec in enumerate(tile):
            model, losses = fitted(spec)
            np.testing.assert_allclose(trained.losses(lane), losses, rtol=within, atol=within)
            for ours, theirs in zip(trained.weights(lane, folder), model.weights, strict=True):
                np.testing.assert_allclose(ours, np.asarray(theirs.numpy()), rtol=0, atol=within)

    return check
