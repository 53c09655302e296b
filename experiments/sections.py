"""The parts of a spec that are neither data, model, loss nor optimizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from operator import itemgetter
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from experiments.fields import Count, CountOrZero, NonNegative, Positive, Strict
from experiments.messages import short


class StopSpec(Strict):
    """When to stop before the last epoch. Whatever is null does not stop anything."""

    error: Positive | None = None
    """Stop once the mean training loss of an epoch is at most this."""
    train_errors: CountOrZero | None = None
    """Stop once at most so many training samples are classified wrongly (regression: never)."""
    patience: Count | None = None
    """Stop after so many epochs without a better validation loss; training loss where there is no validation part."""
    monitor: Annotated[str, Field(pattern=r"^(train|val)/[a-z0-9_]{1,40}$")] | None = None
    """What `patience` watches in place of the loss: `val/f1`, where `metrics` has it."""

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a monitor it is written as by versions that knew none, so that fingerprints stay."""
        fields: dict[str, Any] = write(self)
        if self.monitor is None:
            fields.pop("monitor", None)
        return fields


def _by_class(value: object) -> object:
    """{"0": 1, "1": 5} as pairs in the order of the classes."""
    if value is None or isinstance(value, tuple):
        return value
    if isinstance(value, Mapping) and all(str(key).isdecimal() for key in value):
        return tuple(sorted(((int(key), weight) for key, weight in value.items()), key=itemgetter(0)))
    context = {"found": short(value), "allowed": 'class: weight, as {"0": 1, "1": 5}'}
    raise PydanticCustomError("misfit", "found {found}", context)


ClassWeight = Annotated[
    tuple[tuple[Annotated[int, Field(strict=True, ge=0)], NonNegative], ...],
    BeforeValidator(_by_class),
    PlainSerializer(lambda pairs: {str(number): weight for number, weight in pairs}),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}),
]
"""Class -> what its samples count in the loss, as Keras' `class_weight`."""


class TrainingSpec(Strict):
    epochs: Count = 1
    batch_size: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 32
    stop: StopSpec = StopSpec()
    restore: Literal["last", "best"] = "last"
    """Whose weights and metrics a finished run has: of its last epoch, or of the one with the lowest validation loss."""
    min_delta: NonNegative = 0.0
    """An epoch is better only where its loss is lower by more than this: for `stop.patience` and `restore: best`."""

    class_weight: ClassWeight | None = None
    """What each class's samples count in the training loss: {"0": 1, "1": 5}. One that is not named counts 1."""

    LATER: ClassVar = ("restore", "min_delta", "class_weight")
    """Fields that earlier versions did not know, left out of hashes where they have their defaults."""

    @cached_property
    def canonical(self) -> str:
        """As `Strict.canonical`, and as earlier versions wrote it where nothing new is asked for."""
        document = json.loads(super().canonical)
        for name in self.LATER:
            if document[name] == type(self).model_fields[name].default:
                del document[name]
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    def updates_per_epoch(self, samples: int) -> int:
        """Updates of the weights in one pass over `samples` training samples; the last batch may be smaller."""
        return -(-samples // self.batch_size)


def _mode(value: object) -> object:
    return {"mode": value} if isinstance(value, str) else value


def _every(value: object) -> object:
    return {"every": value} if isinstance(value, str) else value


class GradientCheckSpec(Strict):
    mode: Literal["off", "sampled", "full"] = "sampled"
    step: Annotated[float, Field(strict=True, ge=1e-9, le=0.1)] = 1e-4
    """h of the central difference (f(θ + h) - f(θ - h)) / 2h."""


class DiagnosticsSpec(Strict):
    every: Literal["off", "epoch"] = "epoch"
    film: Annotated[bool, Field(strict=True)] = False
    """Keep a film of a small network while it learns: a frame per epoch, of a single neuron per update."""


class ArtifactsSpec(Strict):
    plots: Literal["auto", "all", "none"] = "auto"
    model: Literal["best", "all", "none"] = "best"


GradientCheckField = Annotated[GradientCheckSpec, BeforeValidator(_mode)]
DiagnosticsField = Annotated[DiagnosticsSpec, BeforeValidator(_every)]
Device = Literal["auto", "cpu", "gpu"]
Backend = Literal["tensorflow", "jax", "auto"]
"""What computes. `auto`: whatever a free worker has, on a CPU TensorFlow."""
DEFAULT_BACKEND: Backend = "tensorflow"
Priority = Annotated[int, Field(strict=True, ge=-10, le=10)]
