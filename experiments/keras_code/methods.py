"""Methods of a program's models and arrays."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from experiments.keras_code.values import Curve, Dotted, Made, Net, Part, Rows, Tensor
from experiments.messages import nearest

if TYPE_CHECKING:
    from experiments.keras_code.expressions import Expressions

DONE_ANYWAY = {
    "summary": "gradus validate shows the layers, shapes and parameters",
    "evaluate": "loss and accuracy of the test part are measured by themselves",
    "predict": "gradus predict RUN FILE, or the run's page",
    "predict_classes": "gradus predict RUN FILE, or the run's page",
    "predict_proba": "gradus predict RUN FILE, or the run's page",
    "save": "weights and model are kept with every run",
    "save_weights": "weights and model are kept with every run",
    "to_json": "weights and model are kept with every run",
    "get_weights": "weights are kept with every run",
    "get_config": "the spec says the same",
    "build": "shapes follow the data set",
}
"""Methods that need no field of a spec -> where the same is found."""
METHODS = (*DONE_ANYWAY, "add", "compile", "fit", "train_on_batch", "fit_generator", "pop", "load_weights")


def net_method(reader: Expressions, net: Net, name: str, call: Made) -> Any:
    """A method of a model is called."""
    if name not in METHODS and (guess := nearest(name, METHODS)) is not None:
        reader.notes.add(call.line, "slip", f"there is no method {name}; read as {guess}")
        name = guess
    if name == "add":
        _add(reader, net, call)
    elif name == "compile":
        net.compiled = call
    elif name in ("fit", "fit_generator", "train_on_batch"):
        _train(reader, net, name, call)
    elif name == "pop" and net.layers:
        net.layers.pop()
    elif name == "load_weights":
        reader.notes.add(
            call.line, "left out", "load_weights: training starts from weights drawn by seed; leave it out"
        )
    elif name in DONE_ANYWAY:
        reader.notes.add(call.line, "read", f"{name}: {DONE_ANYWAY[name]}")
    return None


def _add(reader: Expressions, net: Net, call: Made) -> None:
    layer = call.arguments[0] if call.arguments else None
    if isinstance(layer, Tensor):
        net.input_shape = layer.shape
    elif isinstance(layer, Net):
        net.layers += layer.layers
        net.input_shape = net.input_shape or layer.input_shape
        reader.nets.remove(layer)
    elif isinstance(layer, Made):
        net.layers.append(layer)
    else:
        what = layer.last if isinstance(layer, Dotted) else "this"
        reader.notes.add(
            call.line, "left out", f"{what} is no layer that can be read; write it under model: layers:"
        )


def _train(reader: Expressions, net: Net, name: str, call: Made) -> None:
    times = 1
    for count in reader.repeated:
        times *= 1 if count is None else count
    if name == "train_on_batch" and reader.batch is not None and "batch_size" not in call.keywords:
        call = replace(call, keywords={**call.keywords, "batch_size": reader.batch})
    if name == "fit_generator":
        reader.notes.add(
            call.line,
            "left out",
            "fit_generator: data that a generator changes are not read; the data set itself is trained on",
        )
    if None in reader.repeated:
        reader.notes.add(
            call.line, "changed", "trained in a loop whose length is not known: set training.epochs"
        )
    net.trained.append((replace(call, name=name), times))


def array_method(data: Part | Curve | Rows, name: str, arguments: tuple[Any, ...]) -> Any:
    """A method of an array: only `reshape` matters, and what stays the same."""
    if name == "reshape" and isinstance(data, Part):
        sizes = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments
        shape = tuple(sizes[1:])
        if shape.count(-1) == 1 and all(isinstance(n, int) for n in shape) and data.shape:
            rest = math.prod(n for n in shape if n != -1)
            shape = tuple(math.prod(data.shape) // rest if n == -1 else n for n in shape)
        known = all(isinstance(n, int) and n > 0 for n in shape)
        return replace(data, shape=shape if known else None)
    if name == "reshape" and isinstance(data, Rows):
        return data
    return data
