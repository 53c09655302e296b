"""A run as a program that trains the same network with Keras and NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.activations import ACTIVATIONS, Adjusted, Formula
from experiments.errors import SpecError
from experiments.formulas import parse
from experiments.formulas.rendering import keras_code
from experiments.initializers import Initializer
from experiments.keras_code.exported_data import data_lines
from experiments.keras_code.exported_weights import weight_lines
from experiments.keras_code.own_code import definitions
from experiments.layers import Dropout, Embedding, Layer, MultiHeadAttention, Reverse, StochasticPool2D
from experiments.networks import INPUT
from experiments.regularizers import Regularizer
from experiments.runs import RunSpec
from experiments.schedules import Schedule
from experiments.sections import StopSpec

RANDOM = "# Every random choice is a function of whole numbers, so that it is the same wherever it is made."
OWN_FUNCTIONS = ("step", "sparsemax")
"""Activations that Keras lacks, or has wrong."""
OWN_LOSSES = {
    "half_squared_error": "HalfSquaredError",
    "hinge": "Hinge",
    "squared_hinge": "SquaredHinge",
}
"""Losses that Keras lacks, or has with another kind of targets -> their class here."""


def export_keras(run: RunSpec, name: str) -> str:
    """A Keras program that trains the same network: same initial weights, same order of the data, same updates.

    Args:
        run: one point of an experiment.
        name: of the experiment; the program's heading and the name of the file with the weights.

    Returns:
        the program's text. Dropout draws other masks there, since Keras draws its own.

    Raises:
        SpecError: the network has a layer that Keras lacks, or too many numbers of one's own.
        DataError: numbers of the data set are to be written into the program and cannot be had here.
    """
    refused = [i for i, layer in enumerate(run.model.layers) if isinstance(layer, StochasticPool2D)]
    if refused:
        raise SpecError.one(
            f"model.layers[{refused[0]}]", "Keras has no stochastic pooling", "max_pool2d or average_pool2d"
        )
    for index, layer in enumerate(run.model.layers):
        if (
            isinstance(layer, MultiHeadAttention)
            and run.backend == "jax"
            and layer.value_dim not in (None, layer.key_dim)
        ):
            raise SpecError.one(
                f"model.layers[{index}].value_dim",
                "on JAX, Keras has one size for keys and values",
                f"{layer.key_dim}, as key_dim",
            )
    training = run.training
    sections = [
        [f"SEED, EPOCHS, BATCH_SIZE = {run.seed}, {training.epochs}, {training.batch_size}"],
        data_lines(run),
        [
            RANDOM,
            definitions(
                "randomness.py", "mix", "weights", "data_order", constants=("_MASK", "WEIGHTS", "ORDER")
            ),
        ],
        _functions(run),
        _network(run),
        weight_lines(run),
        _compiled(run),
        _training(run),
        _ending(run, name),
    ]
    body = "\n\n".join("\n".join(lines).strip("\n") for lines in sections if lines)
    return f"{_heading(run, name, body)}\n\n{body}\n"


def _heading(run: RunSpec, name: str, body: str) -> str:
    """What the program is, and the imports that its body needs."""
    backend = run.backend if run.backend != "auto" else "tensorflow"
    quoted = name.replace("\\", "/").replace('"', "'")
    modules = [f"import {module}" for module in ("math", "zlib") if f"{module}." in body]
    lines = [
        f'"""{quoted}: {run.architecture} on {run.dataset.name}. Needs Keras and NumPy, and nothing of Gradus."""',
        "",
        "import os",
        "",
        f'os.environ.setdefault("KERAS_BACKEND", "{backend}")',
        "",
        *modules,
        *([""] if modules else []),
        "import keras",
        "import numpy as np",
        *(["from keras import ops"] if "ops." in body.replace("keras.ops.", "") else []),
    ]
    return "\n".join(lines)


def _functions(run: RunSpec) -> list[str]:
    """What of ours the network needs."""
    names = [name for name in OWN_FUNCTIONS if name in run.model.activations]
    if run.loss.name in OWN_LOSSES:
        names.append(OWN_LOSSES[run.loss.name])
        if run.loss.name != "half_squared_error":
            names.append("_missing_margin")
    return [definitions("keras_ext/functions.py", *names)] if names else []


def _network(run: RunSpec) -> list[str]:
    data_format = run.model.data_format
    inputs = f"keras.Input({run.data_shape.formatted(data_format)})"
    layers = [
        _layer(layer, name, data_format)
        for layer, name in zip(run.model.layers, run.model.names, strict=True)
    ]
    masks = any(isinstance(layer, Dropout) for layer in run.model.layers)
    note = [
        "# Keras draws masks of its own for dropout: such a network ends near, not at, the same weights"
    ] * masks
    if any(isinstance(layer, Embedding) for layer in run.model.layers) and run.backend != "jax":
        note.append(
            "# On TensorFlow, Keras' Adam and its kin square each occurrence of a token apart: near, not at, the same weights"
        )
    if run.model.sequential:
        inside = [f"{inputs},", *(f"{layer}," for layer in layers), *note]
        return ["model = keras.Sequential(", "    [", *(f"        {line}" for line in inside), "    ]", ")"]
    lines = [*note, f"inputs = {inputs}"]
    for index, (layer, sources) in enumerate(zip(layers, run.model.wiring, strict=True)):
        read = ["inputs" if source == INPUT else f"x{source}" for source in sources]
        given = read[0] if len(read) == 1 else f"[{', '.join(read)}]"
        entry = run.model.layers[index]
        called = f"{layer}({entry.keras_call.replace('x', given)})"
        lines.append(
            f"x{index} = " + (f"ops.flip({given}, axis=1)" if isinstance(entry, Reverse) else called)
        )
    return [*lines, f"model = keras.Model(inputs, x{len(layers) - 1})"]


def _layer(layer: Layer, name: str, data_format: Any) -> str:
    fields = type(layer).model_fields
    parts = []
    for key, value in layer.arguments(data_format).items():
        if key == "data_format" and value == "channels_last":
            continue
        own = getattr(layer, key, None)
        if key in fields and not fields[key].is_required() and own == fields[key].default:
            continue
        parts.append(
            (not fields[key].is_required() if key in fields else True, f"{key}={_argument(key, value, own)}")
        )
    settings = [part for _, part in sorted(parts, key=lambda part: part[0])]
    return f"keras.layers.{layer.keras_name}({', '.join([*settings, f'name={name!r}'])})"


def _argument(key: str, value: Any, own: Any) -> str:
    if isinstance(own, Formula | Adjusted):
        return f"lambda x: {keras_code(parse(own.formula))}"
    if key.endswith("activation") and isinstance(value, str):
        return value if value in OWN_FUNCTIONS else repr(ACTIVATIONS[value].keras_name)
    if isinstance(own, Initializer):
        return _call(f"keras.initializers.{own.keras_name}", own.arguments())
    if isinstance(own, Regularizer):
        return _call(f"keras.regularizers.{own.keras_name}", own.arguments())
    return repr(value)


def _call(name: str, arguments: Mapping[str, object]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _compiled(run: RunSpec) -> list[str]:
    arguments = {key: repr(value) for key, value in run.optimizer.arguments().items() if value is not None}
    rate = run.optimizer.learning_rate
    if isinstance(rate, Schedule):
        schedule = {key: list(v) if isinstance(v, tuple) else v for key, v in rate.arguments().items()}
        arguments["learning_rate"] = _call(f"keras.optimizers.schedules.{rate.keras_name}", schedule)
    settings = ", ".join(f"{key}={value}" for key, value in arguments.items())
    own = OWN_LOSSES.get(run.loss.name)
    loss = f"{own}()" if own else _call(f"keras.losses.{run.loss.keras_name}", run.loss.arguments())
    return [
        "model.compile(",
        f"    optimizer=keras.optimizers.{run.optimizer.keras_name}({settings}),",
        f"    loss={loss},",
        *(['    metrics=["accuracy"],'] if run.measures_accuracy else []),
        ")",
    ]


def _training(run: RunSpec) -> list[str]:
    stop, validated = run.training.stop, run.data_shape.n_validation > 0
    watched = "val_loss" if validated else "loss"
    lines = ["best, waited = math.inf, 0"] if stop.patience is not None else []
    lines += [
        "for epoch in range(EPOCHS):",
        "    order = data_order(SEED, epoch, len(x_train))",
        "    history = model.fit(",
        "        x_train[order],",
        "        y_train[order],",
        "        batch_size=BATCH_SIZE,",
        "        shuffle=False,  # `order` has shuffled",
        *(
            [f"        class_weight={dict(run.training.class_weight)!r},"]
            if run.training.class_weight
            else []
        ),
        *(["        validation_data=(x_validation, y_validation),"] if validated else []),
        "        verbose=2,",
        "    ).history",
        *_stopping(stop, watched),
    ]
    return lines


def _stopping(stop: StopSpec, watched: str) -> list[str]:
    lines = []
    if stop.error is not None:
        lines += [f'    if history["loss"][0] <= {stop.error!r}:', "        break"]
    if stop.train_errors is not None:
        lines += [
            '    accuracy = model.evaluate(x_train, y_train, verbose=0, return_dict=True)["accuracy"]',
            f"    if round((1 - accuracy) * len(x_train)) <= {stop.train_errors}:",
            "        break",
        ]
    if stop.monitor is not None:
        lines.append(f"    # the run watched {stop.monitor}; this program watches the loss")
    if stop.patience is not None:
        lines += [
            f'    waited = 0 if history["{watched}"][0] < best else waited + 1',
            f'    best = min(best, history["{watched}"][0])',
            f"    if waited >= {stop.patience}:",
            "        break",
        ]
    return lines


def _ending(run: RunSpec, name: str) -> list[str]:
    file = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    tested = ['print("test:", model.evaluate(x_test, y_test, verbose=0, return_dict=True))']
    return [*(tested if run.data_shape.n_test else []), f'model.save_weights("{file}.weights.h5")']
