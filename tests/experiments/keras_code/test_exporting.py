"""An exported program, run with Keras and NumPy alone, ends at the weights of the run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from experiments.datasets import Source
from experiments.engine.training import train
from experiments.errors import SpecError
from experiments.keras_code import export_keras
from experiments.recording import MemoryRecorder
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec

OFF = {"diagnostics": "off", "gradient_check": "off"}
SMALL = {"name": "digits", "train_samples": 325, "validation_split": 0.1}
KINDS: dict[str, dict[str, Any]] = {
    "dense": {
        "dataset": SMALL,
        "model": {"hidden": [12, 8], "activation": "relu", "kernel_initializer": "he_normal"},
        "optimizer": {"name": "rmsprop", "epsilon": 1e-8},
    },
    "convolution": {
        "dataset": SMALL,
        "model": {
            "data_format": "channels_first",
            "layers": [
                {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same", "kernel_initializer": "orthogonal"},
                {"type": "max_pool2d"},
                {"type": "dense", "units": 10, "kernel_regularizer": {"name": "l2", "l2": 0.001}},
            ],
        },
        "optimizer": {"name": "adam", "learning_rate": 0.003},
    },
    "filters": {
        "dataset": SMALL,
        "model": {
            "layers": [
                {"type": "conv2d", "filters": 1, "kernel_size": 2, "weights": [[[[[1]], [[-1]]], [[[0.5]], [[0]]]], [0.25]]},
                {"type": "dense", "units": 10},
            ]
        },
        "optimizer": "sgd",
    },
    "attention": {
        "dataset": {"name": "recall", "length": 5, "vocabulary": 3, "samples": 100},
        "model": {
            "layers": [
                {"type": "embedding", "output_dim": 4},
                {"type": "residual", "layers": [{"type": "multi_head_attention", "num_heads": 2, "key_dim": 3, "value_dim": 2}]},
                {"type": "attention", "use_scale": True},
                {"type": "global_average_pool1d"},
                {"type": "dense", "units": 1},
            ]
        },
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
    },
    "recurrent": {
        "dataset": SMALL,
        "model": {"layers": [{"type": "lstm", "units": 6}, {"type": "dense", "units": 10}]},
        "loss": "sparse_categorical_crossentropy",
        "optimizer": {"name": "sgd", "momentum": 0.9},
    },
    "residual": {
        "dataset": SMALL,
        "model": {
            "layers": [
                {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same"},
                {"type": "residual", "shortcut": "projection", "layers": [
                    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "strides": 2},
                    {"type": "batch_normalization"},
                ]},
                {"type": "activation"},
                {"type": "branches", "branches": [[{"type": "dense", "units": 6}], [{"type": "max_pool2d"}, {"type": "flatten"}]]},
                {"type": "dense", "units": 10},
            ]
        },
        "optimizer": {"name": "adam"},
    },
    "separable": {
        "dataset": SMALL,
        "model": {
            "kernel_initializer": "he_normal",
            "layers": [
                {"type": "separable_conv2d", "filters": 4, "kernel_size": 3, "bias_initializer": "random_normal"},
                {"type": "depthwise_conv2d", "kernel_size": 2, "depth_multiplier": 2},
                {"type": "conv2d_transpose", "filters": 3, "kernel_size": 2, "strides": 2},
                {"type": "prelu", "shared_axes": [1, 2], "alpha_initializer": {"name": "random_uniform"}},
                {"type": "conv1d", "filters": 4, "kernel_size": 3},
                {"type": "max_pool1d"},
                {"type": "global_average_pool1d"},
                {"type": "dense", "units": 10},
            ],
        },
        "optimizer": {"name": "adam"},
    },
    "line": {
        "dataset": {"name": "linear", "validation_split": 0},
        "model": {"hidden": []},
        "loss": "mse",
        "optimizer": "sgd",
        "training": {"batch_size": 40},
    },
    "perceptron": {
        "dataset": {"name": "and"},
        "model": {"layers": [{"type": "dense", "units": 1, "activation": "step"}]},
        "loss": "half_squared_error",
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "training": {"batch_size": 1},
    },
    "curve": {
        "dataset": {"name": "sine", "samples": 100},
        "model": {
            "layers": [
                {"type": "dense", "units": 5, "activation": "tanh", "kernel_initializer": {"name": "truncated_normal", "stddev": 0.3}},
                {"type": "batch_normalization", "momentum": 0.5},
                {"type": "dense", "units": 1, "bias_initializer": {"name": "random_uniform"}},
            ]
        },
        "optimizer": {
            "name": "nadam",
            "learning_rate": {"name": "exponential_decay", "initial_learning_rate": 0.01, "decay_steps": 2, "decay_rate": 0.5},
        },
    },
}  # fmt: skip

QUICK = ("dense", "line")


def run_of(kind: str) -> RunSpec:
    return ExperimentSpec.parse({"name": kind, "seed": 3, **OFF, **KINDS[kind]}).expand()[0].spec


def run_programs(kinds: Sequence[str], folder: Path) -> Path:
    """Run exported programs one after the other in a process without this project's packages; where they wrote to."""
    for kind in kinds:
        (folder / f"{kind}.py").write_text(export_keras(run_of(kind), kind))
    code = f"import runpy\nfor kind in {list(kinds)}:\n    runpy.run_path(kind + '.py')\n"
    code += "import sys\nassert not {'experiments', 'gradus'} & set(sys.modules)\n"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_programs(QUICK, tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def further(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_programs([kind for kind in KINDS if kind not in QUICK], tmp_path_factory.mktemp("further"))


def weights_of(file: Any) -> dict[str, np.ndarray]:
    """Name -> array of every weight in a `.weights.h5` file, without optimizer and random state."""
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(file) as opened:
        opened["layers"].visititems(
            lambda name, node: arrays.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None
        )
    return {name: array for name, array in arrays.items() if "seed_generator" not in name}


def ends_at_the_same_weights(kind: str, exported: Path, folder: Path) -> None:
    recorder = MemoryRecorder()
    train([run_of(kind)], recorder, lambda lane: None, source=Source())
    (folder / "ours.h5").write_bytes(recorder.artifacts[0]["weights/model.weights.h5"])
    ours, theirs = weights_of(folder / "ours.h5"), weights_of(exported / f"{kind}.weights.h5")
    assert len(ours) == len(theirs) > 0
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", QUICK)
def test_an_exported_program_ends_at_the_weights_of_the_run(
    kind: str, exported: Path, tmp_path: Path
) -> None:
    ends_at_the_same_weights(kind, exported, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in QUICK])
def test_further_kinds_of_networks(kind: str, further: Path, tmp_path: Path) -> None:
    ends_at_the_same_weights(kind, further, tmp_path)


def test_what_keras_lacks_is_refused_with_its_place() -> None:
    layers = [{"type": "stochastic_pool2d"}, {"type": "dense", "units": 10}]
    spec = ExperimentSpec.parse({"name": "pool", "dataset": "digits", "model": {"layers": layers}})
    with pytest.raises(SpecError, match=r"model\.layers\[0\].*max_pool2d"):
        export_keras(spec.expand()[0].spec, "pool")


def test_too_many_numbers_of_ones_own_are_refused() -> None:
    dataset = {"name": "moons", "samples": 10_000}
    spec = ExperimentSpec.parse({"name": "moons", "dataset": dataset, "model": {"hidden": [4]}})
    with pytest.raises(SpecError, match="30,000 numbers"):
        export_keras(spec.expand()[0].spec, "moons")


def test_stopping_rules_are_in_the_program() -> None:
    training = {"epochs": 9, "stop": {"patience": 2, "error": 0.01, "train_errors": 3}}
    spec = ExperimentSpec.parse(
        {"name": "stop", "dataset": "digits", "model": {"hidden": []}, "training": training}
    )
    program = export_keras(spec.expand()[0].spec, "stop")
    for line in ("waited >= 2", "<= 0.01", "<= 3:"):
        assert line in program
    compile(program, "stop.py", "exec")
