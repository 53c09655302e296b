"""Models leave the house: what a run stores loads with Keras and MLflow alone and answers the same.

Every layer and activation of the tables is tried, in a process whose packages are Keras, TensorFlow and MLflow's client
with what they need. This project and everything else is absent.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from experiments.activations import ACTIVATIONS
from experiments.engine import models
from experiments.engine.portable import FUNCTIONS_FILE, portable, same_variables, travelling_source
from experiments.engine.weights_file import template
from experiments.layers import LAYERS
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from service.tracking.client import save_keras_model
from workers.requests.model import in_keras_terms, requirements, trained

INSTALLED = ("keras", "tensorflow-cpu", "tensorflow", "mlflow-skinny", "pandas")
"""Of these what is installed here, with all that they need. (mlflow.keras imports pandas, which MLflow's client lacks.)"""
CHECK = """
import json, sys
from pathlib import Path
import keras, mlflow.keras, mlflow.pyfunc, numpy as np
for name in ("gradus", "experiments", "service", "workers", "sqlalchemy", "pydantic_settings"):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(f"{name} is there")
apart = {}
for folder in map(Path, sys.argv[1:]):
    data = np.load(folder / "data.npz")
    answers = {}
    source = folder / "weights" / "gradus_functions.py"
    if source.exists():
        exec(source.read_text(), {"__name__": "gradus_functions"})
    model = keras.models.model_from_json((folder / "weights" / "architecture.json").read_text())
    model.load_weights(folder / "weights" / "model.weights.h5")
    answers["weights"] = model(data["x"])
    if (folder / "model").exists():
        answers["mlflow"] = mlflow.keras.load_model(str(folder / "model"))(data["x"])
        answers["pyfunc"] = mlflow.pyfunc.load_model(str(folder / "model")).predict(data["x"])
    apart[folder.name] = {name: float(np.abs(np.asarray(y) - data["y"]).max()) for name, y in answers.items()}
print(json.dumps(apart))
"""
OUTPUT = {"type": "dense", "units": 10}
IMAGE: dict[str, Any] = {"dataset": {"name": "digits", "train_samples": 32}}
LOGGED = (
    "dropout-model",
    "layer-lstm",
    "first-stochastic_pool2d",
    "activation-step",
)
"""Networks that are also stored as MLflow's logged model, which takes a second each. The first has a convolution, batch
normalisation and dropout."""
DROPOUT_MODEL: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 8, "kernel_size": 3, "activation": "relu"},
    {"type": "batch_normalization"},
    {"type": "flatten"},
    {"type": "dropout", "rate": 0.3},
    {"type": "dense", "units": 10, "activation": "softmax"},
]
EXTRA: dict[str, dict[str, Any]] = {
    "conv2d": {"filters": 6, "kernel_size": 3, "activation": "relu"},
    "separable_conv2d": {"filters": 6, "kernel_size": 3, "activation": "tanh"},
    "depthwise_conv2d": {"kernel_size": 3, "depth_multiplier": 2},
    "conv2d_transpose": {"filters": 3, "kernel_size": 3, "strides": 2, "activation": "relu"},
    "conv1d": {"filters": 4, "kernel_size": 3, "padding": "causal"},
    "bidirectional": {"layer": {"type": "gru", "units": 3}},
    "embedding": {"output_dim": 3},
    "multi_head_attention": {"num_heads": 2, "key_dim": 3},
    "dense": {"units": 5},
    "reshape": {"target_shape": [8, 8, 1]},
    "dropout": {"rate": 0.5},
    "activation": {"activation": "softplus"},
    "simple_rnn": {"units": 3},
    "lstm": {"units": 3},
    "gru": {"units": 3},
    "zero_padding2d": {"padding": 1},
    "residual": {
        "layers": [{"type": "conv2d", "filters": 8, "kernel_size": 3, "strides": 2, "padding": "same"}]
    },
    "branches": {"branches": [[{"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"}], []]},
}
"""What a layer cannot do without."""


def spec_of(layers: list[dict[str, Any]], data_format: str = "channels_last", **changes: Any) -> RunSpec:
    document = {
        **IMAGE,
        **changes,
        "name": "x",
        "model": {"layers": layers, "data_format": data_format},
        "optimizer": {"name": "sgd"},
    }
    return ExperimentSpec.parse(document).expand()[0].spec


def specs() -> dict[str, RunSpec]:
    """A network with each layer of the tables, one with all activations beside each other, and both data formats."""
    by_name = {"dropout-model": spec_of(DROPOUT_MODEL)}
    relu = {"type": "conv2d", "filters": 6, "kernel_size": 3, "activation": "relu"}
    for name in LAYERS:
        layer: dict[str, Any] = {"type": name, **EXTRA.get(name, {})}
        flat = [{"type": "dense", "units": 64}] if name == "reshape" else []
        before: list[dict[str, Any]] = [relu] if LAYERS[name].non_negative else flat
        after = [{"type": "flatten"}] if LAYERS[name].wants in ("sequence", "tokens") else []
        if LAYERS[name].wants == "tokens":
            tokens = {"name": "recall", "length": 5, "vocabulary": 4}
            by_name[f"layer-{name}"] = spec_of([layer, *after, {"type": "dense", "units": 1}], dataset=tokens)
        else:
            by_name[f"layer-{name}"] = spec_of([*before, layer, *after, OUTPUT])
    turned = (
        "conv2d",
        "separable_conv2d",
        "depthwise_conv2d",
        "conv2d_transpose",
        "max_pool2d",
        "stochastic_pool2d",
    )
    for name in (*turned, "global_average_pool2d", "residual", "branches"):
        layers = [relu, {"type": name, **EXTRA.get(name, {})}, {"type": "dropout", "rate": 0.3}, OUTPUT]
        by_name[f"first-{name}"] = spec_of(layers, "channels_first")
    sequences = {"type": "lstm", "units": 2, "return_sequences": True}
    both_ways = {"type": "bidirectional", "layer": sequences, "merge_mode": "ave"}
    by_name["layer-bidirectional-sequences"] = spec_of([both_ways, {"type": "flatten"}, OUTPUT])
    same = {"type": "stochastic_pool2d", "pool_size": 3, "strides": 2, "padding": "same"}
    by_name["first-same"] = spec_of([relu, same, OUTPUT], "channels_first")
    beside = [
        [{"type": "flatten"}, {"type": "dense", "units": 7, "activation": name}] for name in ACTIVATIONS
    ]
    by_name["activations"] = spec_of(
        [{"type": "branches", "branches": beside, "join": "concatenate"}, OUTPUT]
    )
    by_name["activation-step"] = spec_of([{"type": "dense", "units": 7, "activation": "step"}, OUTPUT])
    for name in ACTIVATIONS:
        if ACTIVATIONS[name].keras_name is None or name in ("softmax", "tanh"):
            conv = {"type": "conv2d", "filters": 4, "kernel_size": 3, "activation": name}
            by_name[f"filters-{name}"] = spec_of([conv, OUTPUT], "channels_first")
            by_name[f"recurrent-{name}"] = spec_of(
                [{"type": "simple_rnn", "units": 3, "activation": name}, OUTPUT]
            )
    return by_name


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages: INSTALLED and all that they require, as links to those installed here."""
    folder, wanted, seen = tmp_path_factory.mktemp("bare"), list(INSTALLED), set()
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in distribution.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(distribution.locate_file(top))  # type: ignore[arg-type]
        for line in distribution.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return folder


def stored(spec: RunSpec, folder: Path, *, logged: bool) -> None:
    """What a run of `spec` leaves behind, with weights drawn for it, inputs, and the outputs of our own network."""
    network = models.build(spec)
    rng = np.random.default_rng(1)
    for variable in network.variables:  # also biases and moving means, which begin at 0
        if variable.dtype == "float32":
            variable.assign(
                0.02 + 0.1 * rng.random(variable.shape) - 0.03 * (rng.random(variable.shape) < 0.2)
            )
    shape = (5, *spec.data_shape.formatted(spec.model.data_format))
    x = rng.random(shape, np.float32) - np.float32(0.2)
    if spec.model.rows:
        x = rng.integers(0, spec.model.rows, shape).astype(np.float32)
    exported = portable(spec)
    architecture = exported.to_json()
    filled = template(exported, same_variables(network, exported)).filled(
        [np.asarray(variable) for variable in network.variables]
    )
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "architecture.json").write_text(architecture)
    (folder / "weights" / "model.weights.h5").write_bytes(filled)
    if (source := travelling_source(architecture)) is not None:
        assert folder.name in ("recurrent-step", "recurrent-sparsemax"), "only these need more than Keras"
        (folder / "weights" / FUNCTIONS_FILE).write_bytes(source)
    np.savez(folder / "data.npz", x=x, y=np.asarray(network(x, training=False)))
    again = trained(spec, filled)
    assert np.array_equal(np.asarray(again(x, training=False)), np.asarray(network(x, training=False)))
    if logged:
        save_keras_model(
            in_keras_terms(spec, again),
            folder / "model",
            input_shape=x.shape[1:],
            output_shape=tuple(network.output_shape[1:]),
            requirements=requirements(),
        )


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # of mlflow.pyfunc, about itself
def test_dropout_model_and_every_layer_and_activation_load_without_this_project_and_answer_the_same(
    bare: Path, tmp_path: Path
) -> None:
    made = specs()
    for name, spec in made.items():
        stored(spec, tmp_path / name, logged=name in LOGGED)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
        "PYTHONPATH": str(bare),
        "CUDA_VISIBLE_DEVICES": "-1",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    command = [sys.executable, "-S", "-c", CHECK, *(str(tmp_path / name) for name in made)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    apart = json.loads(done.stdout.splitlines()[-1])
    assert apart.keys() == made.keys()
    # `predict` of MLflow's pyfunc compiles the network, which may round sums in another order.
    assert {name: ways for name, ways in apart.items() if max(ways.values()) > 1e-5} == {}
    exact = {
        name: way
        for name, ways in apart.items()
        for way, difference in ways.items()
        if way != "pyfunc" and difference
    }
    assert exact == {}
