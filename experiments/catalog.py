"""The tables of what can be chosen, as plain data, for `gradus catalog` and the API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from experiments.activations import ACTIVATIONS, Activation
from experiments.datasets import DATASETS
from experiments.initializers import INITIALIZERS
from experiments.layers import LAYERS
from experiments.losses import LOSSES
from experiments.metrics import METRICS, Metric
from experiments.numbers import finite
from experiments.optimizers import OPTIMIZERS
from experiments.regularizers import REGULARIZERS
from experiments.schedules import SCHEDULES

Entry = dict[str, Any]


def catalog() -> dict[str, list[Entry]]:
    """Kind -> entries, each with name, JSON schema, formula and reference."""
    return {
        "activations": [_activation(row) for row in ACTIVATIONS.values()],
        "optimizers": [_entry(name, model) for name, model in OPTIMIZERS.items()],
        "layers": [_entry(name, model) for name, model in LAYERS.items()],
        "losses": [
            _entry(name, model) | {"output_activation": model.output, "data": sorted(model.kinds)}
            for name, model in LOSSES.items()
        ],
        "metrics": [_metric(row) for row in METRICS.values()],
        "datasets": [
            _entry(name, model) | {"licence": model.licence, "description": _text(model)}
            for name, model in DATASETS.items()
        ],
        "initializers": [_entry(name, model) for name, model in INITIALIZERS.items()],
        "regularizers": [_entry(name, model) for name, model in REGULARIZERS.items()],
        "schedules": [_entry(name, model) for name, model in SCHEDULES.items()],
    }


def _entry(name: str, model: type[BaseModel]) -> Entry:
    return {
        "name": name,
        "keras_name": getattr(model, "keras_name", None) or None,
        "formula": getattr(model, "formula", ""),
        "reference": getattr(model, "reference", "Keras"),
        "schema": _schema(model),
    }


def _schema(model: type[BaseModel]) -> Entry:
    """The JSON schema, with the fields at the top also where a layer holds layers and pydantic only refers to them."""
    schema = model.model_json_schema()
    name = str(schema.pop("$ref", "")).rpartition("/")[2]
    return {**schema, **schema["$defs"][name]} if name else schema


def _activation(row: Activation) -> Entry:
    return {
        "name": row.name,
        "keras_name": row.keras_name,
        "formula": row.formula,
        "reference": row.reference,
        "smoothness": row.smoothness,
        "kinks": list(row.kinks),
        "derivative_bound": finite(row.derivative_bound),
        "range": [finite(row.low), finite(row.high)],
        "initializer": row.initializer,
        "schema": {"type": "string", "const": row.name},
    }


def _metric(row: Metric) -> Entry:
    return {
        "name": row.name,
        "keras_name": None,
        "formula": row.formula,
        "reference": row.reference,
        "of": row.of,
        "schema": {"type": "string", "const": row.name},
    }


def _text(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split()) if "__doc__" in vars(model) else ""
