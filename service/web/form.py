"""The form of a spec: which fields a document shows, and what a person's entries change in its text.

The text is the truth. A field that is sent back as it was shown changes nothing, so that whatever the form does not
show, comments included, stays in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from experiments import layers as layer_types
from experiments.catalog import catalog
from experiments.errors import SpecError
from experiments.field_paths import Path, parse_path, write_path
from experiments.networks import PATTERN_FIELDS, ModelChoice
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec, resolve
from experiments.spec.documents import parse_yaml
from experiments.spec.written import layer_document
from service.web import spec_text
from service.web.first_values import FIRST_LEVELS, FIRST_SETTINGS

MOST_LAYERS, MOST_AXES = 200, 50
COMMON_LAYERS = ("dense", "conv2d", "max_pool2d", "dropout", "batch_normalization")
"""Those that the form offers first."""
SWEPT = (
    "activation",
    "optimizer",
    "learning_rate",
    "training.batch_size",
    "model.hidden",
    "loss",
    "dataset.train_samples",
)
"""What the form offers to sweep; any other field is swept in the YAML."""


@dataclass(frozen=True)
class Field:
    """One entry of the form.

    Attributes:
        path: of the field in the document.
        label: key of its words, or its own name.
        shown: the text that the entry holds; empty where the document has no such field.
        default: what holds where the field is empty.
        choices: the values to choose from; empty: any.
        text: whether the entry is taken as it is; else it is read as YAML: a number, a list, a mapping.
        hint: what the field means.
        long: whether the entry has several lines.
    """

    path: Path
    label: str
    shown: str
    default: str = ""
    choices: tuple[str, ...] = ()
    text: bool = False
    hint: str = ""
    long: bool = False

    @property
    def name(self) -> str:
        return write_path(self.path)

    @property
    def axis(self) -> str:
        """The last step, as a person reads it."""
        return str(self.path[-1])


@dataclass(frozen=True)
class Layer:
    """One layer of `model.layers`: its type, what is set or must be, and what else can be."""

    index: int
    type: Field
    fields: tuple[Field, ...]
    more: tuple[Field, ...]
    formula: str


@dataclass(frozen=True)
class Form:
    """A document as a form. `layers` is None where the model is written as `hidden` or `pattern`."""

    about: tuple[Field, ...]
    dataset: tuple[Field, ...]
    dataset_about: str
    model: tuple[Field, ...]
    layers: tuple[Layer, ...] | None
    training: tuple[Field, ...]
    optimizer_more: tuple[Field, ...]
    axes: tuple[Field, ...]
    seeds: Field
    compare: tuple[Field, ...]
    layer_types: tuple[str, ...] = ()
    sweepable: tuple[str, ...] = ()
    others: tuple[str, ...] = field(default=())
    """Fields of the document that only the YAML shows."""

    def fields(self) -> list[Field]:
        """Every entry."""
        rows = [row for layer in self.layers or () for row in (layer.type, *layer.fields, *layer.more)]
        groups = (
            self.about,
            self.dataset,
            self.model,
            self.training,
            self.optimizer_more,
            self.axes,
            self.compare,
        )
        return [*(entry for group in groups for entry in group), *rows, self.seeds]


@cache
def table(kind: str) -> Mapping[str, Mapping[str, Any]]:
    """A table of the catalogue: name -> its entry."""
    return {entry["name"]: entry for entry in catalog()[kind]}


def form_of(document: Mapping[str, Any]) -> Form:
    """The form of a document that `spec_text.read` gave."""
    model = _mapping(document.get("model"))
    layers = model.get("layers")
    dataset = _named(document.get("dataset"))
    optimizer = _named(document.get("optimizer"))
    sweep = _mapping(document.get("sweep"))
    known = table("datasets").get(str(dataset.get("name")), {})
    chosen = table("optimizers").get(str(optimizer.get("name", "rmsprop")), {})
    plain_model = [
        _entry(("model", "activation"), model, choices=tuple(table("activations")), default="relu"),
    ]
    if "pattern" in model:
        plain_model.append(_entry(("model", "pattern"), model, text=True))
        plain_model += [_entry(("model", name), model) for name in ("conv", "pool", "fc") if name in model]
    elif not isinstance(layers, list):
        plain_model.insert(0, _entry(("model", "hidden"), model, hint="[32, 32]"))
    shown = (
        *("name", "description", "tags", "dataset", "model", "loss"),
        *("optimizer", "training", "seed", "sweep", "compare"),
    )
    axes = [name for name in sweep if name not in ("seeds", "cases", "require", "strategy", "runs")][
        :MOST_AXES
    ]
    compare = _mapping(document.get("compare"))
    return Form(
        about=(
            _entry(("name",), document, text=True),
            _entry(("description",), document, text=True, long=True),
            _entry(("tags",), document, hint="{course: nn-101}"),
        ),
        dataset=(
            _entry(("dataset", "name"), dataset, choices=tuple(table("datasets"))),
            *_properties(("dataset",), dataset, known, skip=("name", "x", "y", "x_test", "y_test", "table")),
        ),
        dataset_about=str(known.get("description", "")),
        model=tuple(plain_model),
        layers=tuple(_layer(index, entry) for index, entry in enumerate(layers[:MOST_LAYERS]))
        if isinstance(layers, list)
        else None,
        training=(
            _entry(("loss",), document, choices=tuple(table("losses"))),
            _entry(("optimizer", "name"), optimizer, choices=tuple(table("optimizers")), default="rmsprop"),
            _entry(("optimizer", "learning_rate"), optimizer, default=_default(chosen, "learning_rate")),
            *(
                _entry(("training", name), _mapping(document.get("training")), default=default, hint=hint)
                for name, default, hint in (
                    ("epochs", "1", ""),
                    ("batch_size", "32", ""),
                    ("stop", "", "{patience: 3}"),
                    ("class_weight", "", "{0: 1, 1: 5}"),
                )
            ),
            _entry(("seed",), document, default="0"),
        ),
        optimizer_more=tuple(_properties(("optimizer",), optimizer, chosen, skip=("name", "learning_rate"))),
        axes=tuple(Field(("sweep", name), name, _shown(sweep[name])) for name in axes),
        seeds=_entry(("sweep", "seeds"), sweep, default="1"),
        compare=(
            _entry(("compare", "factor"), compare, choices=tuple(dict.fromkeys([*axes, *_cases(sweep)]))),
            _entry(("compare", "metric"), compare, text=True),
            *(
                _entry(("compare", name), compare, choices=choices, default=default)
                for name, choices, default in (
                    ("best", ("true", "false"), "false"),
                    ("control", (), ""),
                    ("delta", (), ""),
                    ("tune", (), ""),
                    ("looks", (), ""),
                    ("over", ("seeds", "splits"), "seeds"),
                    ("budget", (), ""),
                )
            ),
        ),
        layer_types=tuple(dict.fromkeys((*COMMON_LAYERS, *table("layers")))),
        sweepable=tuple(name for name in SWEPT if name not in axes),
        others=tuple(name for name in document if name not in shown),
    )


def _layer(index: int, entry: object) -> Layer:
    layer = _mapping(entry)
    at: Path = ("model", "layers", index)
    known = table("layers").get(str(layer.get("type")), {})
    required = set(known.get("schema", {}).get("required", ()))
    entries = _properties(at, layer, known, skip=("type",))
    first = [
        e for e in entries if e.path[-1] in layer or e.path[-1] in required or e.path[-1] == "activation"
    ]
    return Layer(
        index,
        _entry((*at, "type"), layer, choices=tuple(table("layers"))),
        tuple(first),
        tuple(entry for entry in entries if entry not in first),
        str(known.get("formula", "")),
    )


def _properties(
    at: Path, holder: Mapping[str, Any], known: Mapping[str, Any], skip: Sequence[str]
) -> list[Field]:
    """An entry for everything that a row of the catalogue takes, and for what the document has besides."""
    properties = known.get("schema", {}).get("properties", {})
    names = [name for name in dict.fromkeys([*properties, *holder]) if name not in skip]
    return [
        _entry(
            (*at, name),
            holder,
            default=_default(known, name),
            choices=tuple(properties.get(name, {}).get("enum", ())) or _choices(name),
            hint=" ".join(str(properties.get(name, {}).get("description", "")).split()),
        )
        for name in names
    ]


def _choices(name: str) -> tuple[str, ...]:
    return tuple(table("activations")) if name in ("activation", "recurrent_activation") else ()


def _entry(path: Path, holder: Mapping[str, Any], **more: Any) -> Field:
    name = str(path[-1])
    text = bool(more.get("text")) and isinstance(holder.get(name, ""), str)
    more["text"] = text
    return Field(path, name, _shown(holder[name], text=text) if name in holder else "", **more)


def _shown(value: object, *, text: bool = False) -> str:
    """A value as it is written in an entry. Text that reads as something else stands in quotes there, unless the entry
    takes nothing but text."""
    if isinstance(value, str):
        return (
            value
            if text or (value and spec_text.reads_back(value))
            else json.dumps(value, ensure_ascii=False)
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_shown(entry) for entry in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(str(key))}: {_shown(entry)}" for key, entry in value.items()) + "}"
    return "null" if value is None else str(value)


def _read(text: str) -> object:
    """What an entry means: YAML on one line; text as it stands where that cannot be read."""
    try:
        values = parse_yaml(f"[{text}]")
    except SpecError:
        return text
    return values[0] if isinstance(values, list) and len(values) == 1 else text


def apply(text: str, sent: Mapping[str, str]) -> str:
    """The text with a person's entries in it.

    Args:
        text: a document that `spec_text.read` takes, as the form was made from.
        sent: path of an entry -> what it holds now; entries that are missing stay as they are.
    """
    for entry in form_of(spec_text.read(text)).fields():
        given = sent.get(entry.name)
        if given is None or given.replace("\r\n", "\n").strip() == entry.shown.strip():
            continue
        if not given.strip():
            text = spec_text.remove(text, entry.path)
            continue
        value = given.replace("\r\n", "\n") if entry.text else _read(given.strip())
        if entry.path[0] == "optimizer" and not spec_text.read(text).get("optimizer"):
            text = spec_text.write(
                text, ("optimizer", "name"), "rmsprop"
            )  # a setting needs the one it belongs to
        text = spec_text.write(text, entry.path, value)
    return text


def act(text: str, action: str) -> str:
    """The text after a button was pressed.

    Args:
        action: `add-layer:TYPE`, `add-axis:FIELD`, `as-layers`, one of `remove:`, `up:`, `down:` with a path, or
            `move:PATH:BY`, by so many places down.

    Raises:
        SpecError: there is no such button.
    """
    deed, _, subject = action.partition(":")
    document = spec_text.read(text)
    by = {"up": -1, "down": 1}.get(deed, 0)
    if deed == "move":
        subject, _, places = subject.rpartition(":")
        by = int(places) if re.fullmatch(r"-?\d{1,3}", places) else 0
    path = parse_path(subject) if deed in ("remove", "up", "down", "move") else None
    if path is not None and path[0] == "sweep":
        path = ("sweep", subject.removeprefix("sweep."))
    if deed == "add-layer" and subject in table("layers"):
        layers = _mapping(document.get("model")).get("layers", [])
        text = spec_text.write(text, ("model", "layers", len(layers)), new_layer(subject))
        # Before the output layer, which stays the last; what reads the data's tokens is the first.
        by = -len(layers) if layer_types.LAYERS[subject].wants == "tokens" else -1
        return spec_text.move(text, ("model", "layers", len(layers)), by) if layers else text
    if deed == "add-axis" and subject:
        return spec_text.write(text, ("sweep", subject), FIRST_LEVELS.get(subject, []))
    if deed == "as-layers":
        return _as_layers(text, document)
    if path is not None and deed == "remove":
        return spec_text.remove(text, path)
    if path is not None and by:
        return spec_text.move(text, path, by)
    raise SpecError.one("do", f"there is no button {action!r}", "a button of the form")


def new_layer(type: str) -> dict[str, object]:
    """A layer as it is added: what it must have, with a small value."""
    required = table("layers")[type].get("schema", {}).get("required", ())
    return {"type": type, **{name: FIRST_SETTINGS.get(name, 1) for name in required if name != "type"}}


def _as_layers(text: str, document: Mapping[str, Any]) -> str:
    """`hidden` or `pattern` as the layers that it stands for.

    Raises:
        SpecError: the spec has a fault that keeps its layers unknown, or sweeps what only a pattern has.
    """
    model = _mapping(document.get("model"))
    before = _first_run(document)
    kept = {
        name: value for name, value in model.items() if name not in ("hidden", "pattern", *PATTERN_FIELDS)
    }
    built: Sequence[layer_types.Layer] = before.model.layers
    if before.model.inputs:  # what composites became is no spec's
        choice = ModelChoice.model_validate(model)
        built = [placed.layer for placed in resolve.chosen(choice, before.data_shape, before.loss)]
    layers = [layer_document(layer) for layer in built]
    # An activation that is not named follows the model's, which may be swept: it is left out where that is the same.
    bare = [{name: value for name, value in layer.items() if name != "activation"} for layer in layers]
    if _first_run({**document, "model": {**kept, "layers": bare}}).fingerprint() == before.fingerprint():
        layers = bare
    written = spec_text.write(text, ("model",), {**kept, "layers": layers})
    ExperimentSpec.parse(spec_text.read(written))  # a sweep may change what only a pattern has
    return written


def _first_run(document: Mapping[str, Any]) -> RunSpec:
    """The run of a document without its sweep."""
    bare = {name: value for name, value in document.items() if name not in ("sweep", "compare")}
    return ExperimentSpec.parse(bare).expand()[0].spec


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(value: object) -> Mapping[str, Any]:
    """A mapping with a name; the name alone stands for one."""
    return {"name": value} if isinstance(value, str) else _mapping(value)


def _cases(sweep: Mapping[str, Any]) -> list[str]:
    return ["case"] if "cases" in sweep else []


def _default(known: Mapping[str, Any], name: str) -> str:
    value = known.get("schema", {}).get("properties", {}).get(name, {}).get("default")
    return "" if value is None else _shown(value, text=True)
