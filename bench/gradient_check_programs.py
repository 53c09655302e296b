"""The programs that the gradient check's power is measured on: every entry of the tables alone, and pairs of layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.activations import ACTIVATIONS
from experiments.errors import SpecError
from experiments.initializers import INITIALIZERS
from experiments.layers import LAYERS
from experiments.losses import LOSSES
from experiments.regularizers import REGULARIZERS
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec

REQUIRED: dict[str, Any] = {
    "units": 4, "filters": 3, "kernel_size": 3, "rate": 0.3, "target_shape": [8, 8], "num_heads": 2, "key_dim": 3, "output_dim": 3,
    "layer": {"type": "simple_rnn", "units": 3},
    "layers": [{"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same"}],
    "branches": [[{"type": "conv2d", "filters": 2, "kernel_size": 1}], []],
}  # fmt: skip
"""Values for the fields that a layer must be given, by the field's name."""
DATASETS = ("digits", "diabetes", "xor")
MLP = {"hidden": [6], "activation": "tanh"}


@dataclass(frozen=True)
class Program:
    """A group of the table, a name within it, and a run of the program."""

    group: str
    name: str
    spec: RunSpec

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


def programs() -> list[Program]:
    """All of them; those that the spec refuses, such as a reshape to another size, are left out."""
    named = [(f"{a} + {b}", layers_of(a, b)) for a in LAYERS for b in LAYERS]
    pairs = [Program("pairs of layers", name, spec) for name, spec in named if spec is not None]
    return [*entries_alone(), *pairs]


def entries_alone() -> list[Program]:
    """A program of every entry of the tables."""
    named = [
        *((("losses", name), loss_alone(name)) for name in LOSSES),
        *((("activations", name), activation_alone(name)) for name in ACTIVATIONS),
        *((("layers", name), layers_of(name)) for name in LAYERS),
        *((("regularisers", name), regularised(name)) for name in REGULARIZERS),
        *((("initialisers", name), initialised(name)) for name in INITIALIZERS),
    ]
    return [Program(group, name, spec) for (group, name), spec in named if spec is not None]


def loss_alone(name: str) -> RunSpec | None:
    """A small network under a loss, on the first data set that suits it."""
    return next(iter(_fitting({"model": MLP, "loss": name})), None)


def activation_alone(name: str) -> RunSpec | None:
    """Two hidden layers of an activation."""
    return _on_digits({"hidden": [6, 6], "activation": name})


def layers_of(*types: str) -> RunSpec | None:
    """Layers one after the other, then ten outputs, of a sequence after all its steps in one row."""
    layers = [{"type": name, **_required(name)} for name in types]
    output = {"type": "dense", "units": 10}
    return _on_digits({"layers": [*layers, output]}) or _on_digits(
        {"layers": [*layers, {"type": "flatten"}, output]}
    )


def regularised(name: str) -> RunSpec | None:
    return _on_digits({**MLP, "kernel_regularizer": {"name": name}})


def initialised(name: str) -> RunSpec | None:
    return _on_digits({"hidden": [64, 8], "activation": "tanh", "kernel_initializer": {"name": name}})


def _required(name: str) -> dict[str, Any]:
    """Raises KeyError where a layer has a required field that REQUIRED does not know."""
    return {field: REQUIRED[field] for field, info in LAYERS[name].model_fields.items() if info.is_required()}


def _on_digits(model: dict[str, Any]) -> RunSpec | None:
    return next(iter(_fitting({"model": model}, ("digits",))), None)


def _fitting(document: dict[str, Any], datasets: tuple[str, ...] = DATASETS) -> Iterator[RunSpec]:
    for dataset in datasets:
        try:
            parsed = ExperimentSpec.parse({"name": "power", "dataset": dataset, **document})
            yield parsed.expand()[0].spec
        except SpecError:
            continue
