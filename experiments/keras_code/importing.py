"""A Keras program as a spec."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from experiments.datasets import DATASETS, DataShape
from experiments.errors import Problem, SpecError
from experiments.field_paths import join
from experiments.keras_code.converted_data import dataset_of, training_rows
from experiments.keras_code.converted_layers import LayerConverter
from experiments.keras_code.converted_metrics import metrics_of
from experiments.keras_code.converted_training import TrainingConverter
from experiments.keras_code.known_calls import Arguments
from experiments.keras_code.notes import Note, Notes
from experiments.keras_code.reader import Reader
from experiments.keras_code.source import parse
from experiments.keras_code.values import Net, Part, is_plain
from experiments.limits import Limits
from experiments.spec import ExperimentSpec
from experiments.spec.written import as_yaml


@dataclass(frozen=True)
class Imported:
    """What a program became.

    Attributes:
        document: the spec as plain data, also where something is left out.
        notes: by line, what became of it.
        problems: what keeps the spec from being run; empty where it can.
    """

    document: dict[str, Any]
    notes: tuple[Note, ...]
    problems: tuple[Problem, ...]

    @property
    def yaml(self) -> str:
        return as_yaml(self.document)

    def to_json(self) -> dict[str, Any]:
        """Spec, notes and problems as plain data: the answer of `POST /v1/keras-code`."""
        return {
            "spec": self.document,
            "yaml": self.yaml,
            "notes": [asdict(note) for note in self.notes],
            "errors": [asdict(problem) for problem in self.problems],
        }


def import_keras(code: str, name: str = "keras-code", limits: Limits | None = None) -> Imported:
    """The spec that trains the network of a program. The program is read and never run.

    Args:
        code: the text of a Keras program: Sequential, or functional without branches.
        name: of the spec.
        limits: how large the experiment may be; None: the defaults.

    Raises:
        SpecError: no Python, or no network in it.
    """
    notes = Notes()
    tree = parse(code, notes)
    reader = Reader(notes)
    try:
        reader.block(tree.body)
    except RecursionError as error:
        raise SpecError.one("", "the program is nested too deeply", "a program as in a tutorial") from error
    document = _document(_chosen(reader.nets, notes), reader.fields, name, notes)
    reader.marks.add_note(notes)
    problems: tuple[Problem, ...] = ()
    try:
        ExperimentSpec.parse(document, limits)
    except SpecError as error:
        problems = error.problems
    return Imported(document, notes.sorted(), problems)


def _chosen(nets: list[Net], notes: Notes) -> Net:
    """The network that is trained last, else the last one with layers."""
    candidates = [net for net in nets if net.layers]
    if not candidates:
        raise SpecError.one(
            "",
            "there is no network in the program",
            "model = Sequential() with model.add(…), or Model(inputs, outputs)",
        )
    trained = [net for net in candidates if net.trained]
    chosen = (trained or candidates)[-1]
    for net in candidates:
        if net is not chosen:
            notes.add(net.line, "left out", f"one network per spec: that of line {chosen.line} is read")
    return chosen


def _document(net: Net, fields: dict[str, Any], name: str, notes: Notes) -> dict[str, Any]:
    layers = LayerConverter(notes)
    training = TrainingConverter(notes)
    entries = layers.entries(net.layers)
    last = entries[-1] if entries else {}
    x, y, line = None, None, net.line
    if net.trained:
        call, _ = net.trained[-1]
        given, line = Arguments(call.arguments, call.keywords), call.line
        x, y = given.get(0, "x"), given.get(1, "y")
    dataset = dataset_of(x, y, (last.get("units"), str(last.get("activation"))), line, notes)
    how = training.training(net, training_rows(x))
    document: dict[str, Any] = {"name": name}
    if dataset is not None:
        if training.validation_split is not None:
            dataset["validation_split"] = training.validation_split
        elif dataset["name"] not in ("and", "or", "xor", "inline"):
            dataset.setdefault("validation_split", 0)
        document["dataset"] = dataset
    document["model"] = _model(entries, layers.data_format)
    _note_input(layers.input_shape or net.input_shape, x, net.line, notes)
    if net.compiled is not None:
        loss = training.loss_of(net.compiled)
        _note_encoding(loss, y, net.compiled.line, notes)
        document |= {"loss": loss} if loss is not None else {}
        shape = _shape(dataset)
        metrics = metrics_of(net.compiled, _kind(shape, last), loss, notes)
        if metrics and shape is not None and not shape.n_validation + shape.n_test:
            text = "metrics are measured on validation and test data, and there are none; write dataset: {validation_split: 0.2}"
            notes.add(net.compiled.line, "left out", text)
        elif metrics:
            document["metrics"] = metrics
        document["optimizer"] = training.optimizer(net.compiled)
    else:
        notes.add(
            net.line, "left out", "the program does not compile this network; write loss: and optimizer:"
        )
    known: dict[str, Any] = _known(document | {"training": how} | fields, "", net.line, notes)
    return known


def _shape(dataset: dict[str, Any] | None) -> DataShape | None:
    """Of the data; None where they are not known, or the section has a problem, which is said with the spec."""
    if dataset is None or dataset["name"] not in DATASETS:
        return None
    try:
        return DATASETS[dataset["name"]].model_validate(dataset).shape()
    except (ValidationError, SpecError):
        return None


def _kind(shape: DataShape | None, last: dict[str, Any]) -> str:
    """Of the data, by the output layer where they are not known."""
    if shape is not None:
        return shape.kind
    by_output = {"softmax": "classification", "sigmoid": "binary"}
    return by_output.get(str(last.get("activation")), "regression")


def _known(value: Any, path: str, line: int, notes: Notes) -> Any:
    """Plain data without what is known only when the program runs."""
    if isinstance(value, dict):
        kept = {
            key: own for key, own in value.items() if isinstance(own, dict | list | tuple) or is_plain(own)
        }
        for key in value.keys() - kept.keys():
            text = f"{join(path, str(key))}: the value is not known before the program runs; write a number"
            notes.add(line, "left out", text)
        return {key: _known(own, join(path, str(key)), line, notes) for key, own in kept.items()}
    if isinstance(value, list | tuple):
        return [
            _known(own, path, line, notes)
            for own in value
            if isinstance(own, dict | list | tuple) or is_plain(own)
        ]
    return value


def _model(entries: list[dict[str, Any]], data_format: str | None) -> dict[str, Any]:
    """The layers; an activation that all hidden layers share is said once, so that it can be compared by."""
    hidden = [entry for entry in entries[:-1] if "activation" in entry]
    shared = {entry["activation"] for entry in hidden}
    model: dict[str, Any] = {"data_format": data_format} if data_format == "channels_first" else {}
    if len(shared) == 1 and shared != {"linear"} and all(entry["type"] != "activation" for entry in hidden):
        model["activation"] = shared.pop()
        for entry in hidden:
            del entry["activation"]
    return model | {"layers": entries}


def _note_input(shape: tuple[Any, ...] | None, x: Any, line: int, notes: Notes) -> None:
    """Say so where the network wants another number of inputs than the data have."""
    if shape is None or not isinstance(x, Part) or not all(isinstance(size, int) for size in shape):
        return
    wanted, have = math.prod(shape), math.prod(x.source.shape)
    if wanted != have and shape[-1:] != x.source.shape[-1:]:
        notes.add(
            line,
            "slip",
            f"the first layer wants {wanted} numbers, {x.source.document['name']} has {have}; the spec follows the data",
        )


def _note_encoding(loss: Any, y: Any, line: int, notes: Notes) -> None:
    """Say so where Keras would refuse the targets."""
    name = loss["name"] if isinstance(loss, dict) else loss
    if not isinstance(y, Part) or name is None:
        return
    if name == "categorical_crossentropy" and not y.one_hot:
        notes.add(
            line,
            "slip",
            "categorical_crossentropy wants rows of 0 and 1 (to_categorical); here targets are written as the loss needs them",
        )
    if name == "sparse_categorical_crossentropy" and y.one_hot:
        notes.add(
            line,
            "slip",
            "sparse_categorical_crossentropy wants class numbers, not rows; here targets are written as the loss needs them",
        )
