"""Builds runs from a document and from what a sweep writes into it. Each distinct part is validated once."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from experiments.datasets import Dataset, DataShape
from experiments.datasets.base import Kind
from experiments.errors import Problem, SpecError
from experiments.field_paths import Path, write_path
from experiments.film import MOST_INPUTS, MOST_PARAMETERS
from experiments.limits import Limits
from experiments.losses import LOSSES, Loss
from experiments.networks import ModelChoice, ModelSpec
from experiments.optimizers import Optimizer, RMSprop
from experiments.runs import RunSpec
from experiments.sections import DEFAULT_BACKEND, DiagnosticsSpec, TrainingSpec
from experiments.spec.problems import explain
from experiments.spec.resolve import resolve
from experiments.spec.swept_fields import ANNOTATIONS, SECTIONS
from experiments.spec.writes import Write, attributed, patch
from experiments.theory import NetworkForecast, forecast_network, limit_problems

ADAPTERS: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(kind) for name, kind in ANNOTATIONS.items()}
DEFAULTS: dict[str, Any] = {
    "optimizer": RMSprop(), "training": TrainingSpec(), "loss": None, "backend": DEFAULT_BACKEND
}  # fmt: skip
"""Sections that may be left out. The loss then follows the data set."""
DEFAULT_LOSS = {
    "classification": "categorical_crossentropy", "binary": "binary_crossentropy",
    "regression": "mean_squared_error",
}  # fmt: skip


class TooLarge(SpecError):
    """The whole expansion would take too long. It ends the expansion, whichever run was being built."""


Key = tuple[tuple[Path, object], ...]
"""What a sweep wrote into one section, which decides the section."""


class Builder:
    """Runs of one experiment. Sections and networks that were built before are used again.

    base: the sections as plain data
    parsed: the same sections as models
    shared: the fields that are the same for every run
    """

    def __init__(
        self, base: Mapping[str, Any], parsed: Mapping[str, Any], shared: Mapping[str, Any], limits: Limits
    ) -> None:
        self.base = {name: base[name] for name in SECTIONS if base.get(name) is not None}
        self.shared, self.limits = dict(shared), limits
        self.layers = 0
        self._parts: dict[tuple[str, Key], Any] = {(name, ()): parsed[name] for name in SECTIONS}
        self._networks: dict[tuple[Key, ...], ModelSpec | SpecError] = {}
        self._shapes: dict[Key, DataShape | SpecError] = {}
        self._fits: dict[tuple[object, ...], NetworkForecast | SpecError] = {}
        self._texts: dict[int, tuple[object, str]] = {}

    def run(self, writes: Iterable[Write], seed: int) -> RunSpec:
        """One run.

        Raises:
            SpecError: a problem in a value that was written has the path where that value stands in the spec.
        """
        ordered = sorted(writes, key=lambda write: len(write.path))
        sections: dict[str, list[Write]] = {}
        for write in ordered:
            sections.setdefault(str(write.path[0]), []).append(write)
        try:
            return self._run(sections, seed)
        except TooLarge:
            raise
        except SpecError as error:
            raise SpecError(attributed(problem, ordered) for problem in error.problems) from None

    def _run(self, sections: Mapping[str, Sequence[Write]], seed: int) -> RunSpec:
        keys: dict[str, Key] = {}
        problems: list[Problem] = []
        parts: dict[str, Any] = {}
        for name in SECTIONS:
            writes = sections.get(name, ())
            keys[name] = tuple((write.path, self._key(write.value)) for write in writes)
            try:
                parts[name] = self._part(name, keys[name], writes)
            except SpecError as error:
                problems += error.problems
        if problems:
            raise SpecError(problems)
        dataset = parts["dataset"]
        shape = _or_raise(self._shapes, keys["dataset"], lambda: _shape(dataset))
        loss: Any = parts["loss"] or default_loss(shape.kind)
        shaped_by = (keys["dataset"], keys["model"], keys["loss"])
        network = _or_raise(self._networks, shaped_by, lambda: self._network(parts["model"], shape, loss))
        training: TrainingSpec = parts["training"]
        optimizer = parts["optimizer"]
        fit = (*shaped_by, keys["training"], optimizer.slots)
        forecast = _or_raise(self._fits, fit, lambda: self._fit(network, shape, training, optimizer))
        run = RunSpec.model_construct(
            dataset=dataset,
            model=network,
            loss=loss,
            optimizer=optimizer,
            training=training,
            backend=parts["backend"],
            seed=seed,
            **self.shared,
        )
        # Where cached_property keeps its value: computed once for all runs that share it.
        run.__dict__["forecast"] = forecast
        run.__dict__["data_shape"] = shape
        return run

    def _network(self, choice: ModelChoice, shape: DataShape, loss: Loss) -> ModelSpec:
        """The network in full. Counts the layers of all networks, which decide how long the expansion takes."""
        network = resolve(choice, shape, loss)
        count, limits = len(network.layers), self.limits
        self.layers += count
        if count > limits.max_layers:
            raise SpecError.one("model", f"{count} layers", f"at most {limits.max_layers}")
        if self.layers > limits.max_layers_in_all:
            raise TooLarge.one(
                "sweep",
                f"the different networks have more than {limits.max_layers_in_all:,} layers in all",
                "fewer or smaller networks, in several experiments",
            )
        return network

    def _fit(
        self, network: ModelSpec, shape: DataShape, training: TrainingSpec, optimizer: Optimizer
    ) -> NetworkForecast:
        forecast = forecast_network(network, shape, batch_size=training.batch_size, slots=optimizer.slots)
        problems = training_problems(training, shape)
        problems += film_problems(self.shared["diagnostics"], shape, forecast)
        problems += limit_problems(forecast, shape.n_train, training.epochs, self.limits)
        if problems:
            raise SpecError(problems)
        return forecast

    def _key(self, value: object) -> object:
        """A value as part of a key: a list or mapping as JSON, made once for each object."""
        if not isinstance(value, dict | list | tuple):
            return (type(value), value)
        known = self._texts.get(id(value))
        if known is None:
            # The value is kept with its text, so that no other object gets its id.
            known = self._texts[id(value)] = (value, json.dumps(value, sort_keys=True))
        return known[1]

    def _part(self, name: str, key: Key, writes: Sequence[Write]) -> Any:
        if (name, key) not in self._parts:
            document = {name: self.base[name]} if name in self.base else {}
            for write in writes:
                reason = patch(document, write.path, write.value)
                if reason is not None:
                    message = f"cannot be written at {write_path(write.path)}: {reason}"
                    raise SpecError.one(write.source, message)
            self._parts[name, key] = _parsed(name, document.get(name))
        return self._parts[name, key]


def training_problems(training: TrainingSpec, shape: DataShape) -> list[Problem]:
    """Rules about the end of the training that can never act, and weights of classes that there are not."""
    problems = []
    if training.stop.train_errors is not None and shape.kind == "regression":
        problems.append(
            Problem("training.stop.train_errors", "regression classifies nothing", "error or patience")
        )
    if training.class_weight and shape.kind == "regression":
        problems.append(Problem("training.class_weight", "regression has no classes", "leave it out"))
    elif training.class_weight and (highest := training.class_weight[-1][0]) >= shape.classes:
        allowed = f"classes from 0 to {shape.classes - 1}"
        problems.append(Problem("training.class_weight", f"there is no class {highest}", allowed))
    if training.restore == "best" and not shape.n_validation:
        message = "no rows are set aside for validation, by which an epoch would be the best"
        problems.append(
            Problem("training.restore", message, "restore: last, or dataset.validation_split above 0")
        )
    if training.min_delta and training.restore == "last" and training.stop.patience is None:
        problems.append(
            Problem("training.min_delta", "no rule reads it", "with stop.patience or restore: best, or 0")
        )
    return problems


def film_problems(diagnostics: DiagnosticsSpec, shape: DataShape, forecast: NetworkForecast) -> list[Problem]:
    """What is too large to be filmed: a film shows the plane of the inputs, and the weights."""
    if not diagnostics.film:
        return []
    inputs, problems = math.prod(shape.input), []
    if inputs > MOST_INPUTS:
        found = f"a film shows the plane of the inputs, and this data set has {inputs}"
        problems.append(Problem("diagnostics.film", found, f"a data set with at most {MOST_INPUTS} inputs"))
    if forecast.parameters > MOST_PARAMETERS:
        found = f"the network has {forecast.parameters:,} parameters"
        problems.append(Problem("diagnostics.film", found, f"at most {MOST_PARAMETERS:,} parameters"))
    return problems


@functools.cache
def default_loss(kind: Kind) -> Loss:
    """The loss that follows the kind of the data."""
    name = DEFAULT_LOSS[kind]
    return LOSSES[name].model_validate({"name": name})


def _parsed(name: str, value: object) -> Any:
    if value is None:
        if name not in DEFAULTS:
            raise SpecError.one(name, "this field is missing", "a mapping")
        return DEFAULTS[name]
    try:
        return ADAPTERS[name].validate_python(value)
    except ValidationError as error:
        raise explain(error, ANNOTATIONS[name], name) from None


def _shape(dataset: Dataset) -> DataShape:
    try:
        return dataset.shape()
    except SpecError as error:
        raise error.under("dataset") from None


def _or_raise(memo: dict[Any, Any], key: object, make: Any) -> Any:
    """The remembered value, or the remembered refusal raised again."""
    if key not in memo:
        try:
            memo[key] = make()
        except TooLarge:
            raise
        except SpecError as error:
            memo[key] = error
    value = memo[key]
    if isinstance(value, SpecError):
        raise value
    return value
