"""RunSpec: one frozen point of an experiment, everything that decides one training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from experiments.datasets import DatasetSpec, DataShape
from experiments.fields import Seed, Strict
from experiments.losses import Encoding, LossSpec
from experiments.metrics import METRICS, MetricNames, Of
from experiments.networks import ModelSpec
from experiments.optimizers import OptimizerSpec
from experiments.schedules import Schedule
from experiments.sections import (
    DEFAULT_BACKEND,
    ArtifactsSpec,
    Backend,
    Device,
    DiagnosticsField,
    DiagnosticsSpec,
    GradientCheckField,
    GradientCheckSpec,
    TrainingSpec,
)
from experiments.theory import NetworkForecast, forecast_network

USUAL_WIDTH = 32
"""Lanes of the widest tile on a CPU, where wider ones are no faster (bench/README.md), and wherever a run may land on one."""
WIDEST = {("gpu", "jax"): 4096}
"""(device, backend) -> lanes of the widest tile, where that is not the usual width (bench/gpu.py)."""
WIDEST_UNMAPPED = {("gpu", "jax"): 8}
"""The same for networks with a layer that TensorFlow cannot map over lanes: elsewhere they train one at a time. JAX maps
every layer, and on a GPU 8 CNNs side by side train in 0.6 of the time of one after another (bench/README.md)."""
LANES_BYTES = 8 * 2**30
"""Memory that the lanes of one tile may take on a GPU, by the forecast of one."""
NUMERICS = 2
"""Raised when the same spec trains to other numbers, or a field changes its meaning. It is in every fingerprint and program
key, so that no run of an earlier version is taken for one of this version, nor trained in one tile with it.

1: release 0.1.0. 2: initial weights are drawn by NumPy.
"""


class RunSpec(Strict):
    """One training. JSON round trip: `RunSpec.model_validate(spec.model_dump(mode="json")) == spec`."""

    dataset: DatasetSpec
    model: ModelSpec
    loss: LossSpec
    optimizer: OptimizerSpec
    metrics: MetricNames = ()
    training: TrainingSpec = TrainingSpec()
    seed: Seed = 0
    gradient_check: GradientCheckField = GradientCheckSpec()
    diagnostics: DiagnosticsField = DiagnosticsSpec()
    artifacts: ArtifactsSpec = ArtifactsSpec()
    device: Device = "auto"
    backend: Backend = DEFAULT_BACKEND

    def fingerprint(self) -> str:
        """sha256 (hex) of all that decides the result: not of artifacts, diagnostics, gradient_check or device."""
        parts = (self.dataset, self.model, self.loss, self.optimizer, self.training)
        return _hash([*(part.canonical for part in parts), str(self.seed), *self._asked_for])

    def program_key(self) -> str:
        """sha256 (hex) of what decides the compiled program.

        That is data set, network, loss, the optimizer's structural fields, batch size and whether diagnostics are
        measured; not seed, epochs, stopping rules, or the learning rate where it is a number.
        """
        return self._program_key

    @cached_property
    def _program_key(self) -> str:
        rest = [self.optimizer.structure, str(self.training.batch_size), self.diagnostics.every]
        if self.training.class_weight:
            rest.append(f"class_weight={self.training.class_weight}")
        parts = (self.dataset, self.model, self.loss)
        return _hash([*(part.canonical for part in parts), *rest, *self._asked_for])

    def evaluation_key(self) -> str:
        """sha256 (hex) of what decides the compiled evaluation: the program's without its optimizer, its diagnostics and the
        weights of classes, which count in training alone."""
        parts = (self.dataset, self.model, self.loss)
        batch = str(self.training.batch_size)  # a loss that couples its samples measures them by the batch
        return _hash([*(part.canonical for part in parts), batch, *self._asked_for])

    @property
    def _asked_for(self) -> list[str]:
        """Backend and metrics where they are not the default ones, which earlier versions did not name in their hashes."""
        backend = [] if self.backend == DEFAULT_BACKEND else [f"backend={self.backend}"]
        return [*backend, *([f"metrics={','.join(self.metrics)}"] if self.metrics else [])]

    @property
    def counts_classes(self) -> bool:
        """Whether a metric needs the confusion matrix."""
        return bool(self.metrics_of("classes"))

    @property
    def counts_errors(self) -> bool:
        """Whether a metric needs sums of errors."""
        return bool(self.metrics_of("numbers"))

    @property
    def keeps_scores(self) -> bool:
        """Whether a metric needs every sample's score."""
        return bool(self.metrics_of("scores"))

    def metrics_of(self, kind: Of) -> list[str]:
        """Those of the metrics that are computed of one kind of thing."""
        return [name for name in self.metrics if METRICS[name].of == kind]

    def max_width(self) -> int:
        """The most lanes that may train as one program: by device and backend, 1 where a layer cannot be mapped there, and
        on a GPU no more than fit into LANES_BYTES.
        """
        if not self.loss.lanes or any(layer.alone for layer in self.model.layers):
            return 1
        place = (self.device, self.backend)
        if not self.model.vectorizable:
            return max(1, min(WIDEST_UNMAPPED.get(place, 1), LANES_BYTES // self.forecast.memory_bytes))
        widest = WIDEST.get(place, USUAL_WIDTH)
        if widest <= USUAL_WIDTH:
            return widest
        return max(USUAL_WIDTH, min(widest, LANES_BYTES // self.forecast.memory_bytes))

    @cached_property
    def data_shape(self) -> DataShape:
        return self.dataset.shape()

    @property
    def measures_accuracy(self) -> bool:
        """True where the outputs name a class."""
        return self.data_shape.kind != "regression" and not self.loss.any_units

    @cached_property
    def forecast(self) -> NetworkForecast:
        """Shapes, parameters, FLOPs and memory of the network."""
        return forecast_network(
            self.model, self.data_shape, batch_size=self.training.batch_size, slots=self.optimizer.slots
        )

    @cached_property
    def encoding(self) -> Encoding:
        """How the targets are given to the loss."""
        return self.loss.encoding(self.data_shape.kind, self.forecast.output_shape[-1])

    @cached_property
    def architecture(self) -> str:
        return self.model.architecture(self.data_shape.formatted(self.model.data_format))

    def params(self) -> dict[str, str | int | float]:
        """The flat parameters by which runs are told apart in MLflow."""
        rate = self.optimizer.learning_rate
        return {
            "activation": self.model.activation,
            "optimizer": self.optimizer.name,
            "learning_rate": rate.canonical if isinstance(rate, Schedule) else rate,
            "batch_size": self.training.batch_size,
            "epochs": self.training.epochs,
            "seed": self.seed,
            "dataset": self.dataset.title,
            "architecture": self.architecture,
            "n_params": self.forecast.parameters,
            "loss": self.loss.name,
        }


@dataclass(frozen=True)
class Point:
    """One run of an experiment.

    levels: factor name -> label of its level, with `seed` among them where it is swept
    columns: factor name -> the level as tables and charts of runs show it, of one kind over the axis; by default the
        label
    until: epochs after which it ends at first, where it may go on later; None: as its spec says
    """

    spec: RunSpec
    levels: dict[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    until: int | None = None

    def params(self) -> dict[str, str | int | float]:
        """The run's parameters and, under their own names, the swept fields as `columns` show them. A swept parameter
        that is a number stays one."""
        known = self.spec.params()
        shown = {name: self.columns.get(name, label) for name, label in self.levels.items()}
        numbers = {
            name
            for name, value in known.items()
            if not isinstance(value, str) and shown.get(name) == self.levels.get(name)
        }
        return known | {name: text for name, text in shown.items() if name not in numbers}


def _hash(parts: list[str]) -> str:
    """sha256 (hex) over the parts, each after a NUL. The first, the data set, is the longest: it is hashed once."""
    digest = _begun(parts[0]).copy()
    for part in parts[1:]:
        digest.update(b"\0")
        digest.update(part.encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _begun(part: str) -> hashlib._Hash:
    return hashlib.sha256(f"gradus-{NUMERICS}\0{part}".encode())
