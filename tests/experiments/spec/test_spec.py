"""RunSpec: resolution, JSON round trip, fingerprint, program key, parameters."""

from __future__ import annotations

from typing import Any

import pytest

from experiments import runs
from experiments.activations import ACTIVATIONS
from experiments.datasets import DATASETS
from experiments.initializers import INITIALIZERS
from experiments.layers import Dense
from experiments.losses import LOSSES
from experiments.optimizers import OPTIMIZERS
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from tests.present import present

MLP = """
name: mnist-mlp
dataset: {name: mnist}
model: {activation: relu, hidden: [32]}
loss: categorical_crossentropy
optimizer: {name: rmsprop, learning_rate: 0.001, rho: 0.9, epsilon: 1e-8}
training: {epochs: 2, batch_size: 32}
gradient_check: {mode: off}
diagnostics: {every: off}
"""


def run(**fields: Any) -> RunSpec:
    return (
        ExperimentSpec.parse({"name": "t", "dataset": "mnist", "model": {"hidden": [32]}} | fields)
        .expand()[0]
        .spec
    )


def test_yaml_text_is_a_spec() -> None:
    spec = ExperimentSpec.parse(MLP).expand()[0].spec
    assert spec.gradient_check.mode == "off"
    assert spec.diagnostics.every == "off"
    assert spec.params() == {
        "activation": "relu", "optimizer": "rmsprop", "learning_rate": 0.001, "batch_size": 32, "epochs":
        2, "seed": 0,
        "dataset": "mnist", "architecture": "784-32-10", "n_params": 25_450, "loss":
        "categorical_crossentropy",
    }  # fmt: skip


@pytest.mark.parametrize("name", [n for n in DATASETS if n not in ("inline", "upload")])
def test_the_loss_and_the_output_follow_the_data_set(name: str) -> None:
    spec = run(dataset=name, model={"hidden": [4]})
    kind = spec.data_shape.kind
    expected = {
        "classification": ("categorical_crossentropy", "softmax", spec.data_shape.classes),
        "binary": ("binary_crossentropy", "sigmoid", 1),
        "regression": ("mean_squared_error", "linear", 1),
    }[kind]
    assert (spec.loss.name, spec.model.activations[-1], spec.forecast.output_shape[0]) == expected
    assert RunSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_can_be_chosen(name: str) -> None:
    kind = sorted(LOSSES[name].kinds)[0]
    data = {"classification": "digits", "binary": "xor", "regression": "linear"}[kind]
    spec = run(dataset=data, loss=name, model={"hidden": [4]})
    assert spec.model.activations[-1] == spec.loss.output_activation
    assert spec.encoding in ("one_hot", "integer", "value")
    assert RunSpec.model_validate(spec.model_dump(mode="json")).fingerprint() == spec.fingerprint()


@pytest.mark.parametrize("name", [n for n, row in ACTIVATIONS.items()])
def test_every_activation_can_be_chosen(name: str) -> None:
    spec = run(model={"hidden": [4], "activation": name})
    assert spec.model.activation == name
    assert spec.max_width() == (32 if ACTIVATIONS[name].vectorizable else 1)


def test_the_widest_tile_is_of_the_device_the_backend_and_the_memory() -> None:
    """Above the usual 32 only where the run is for a GPU and JAX alone, and by what 8 GiB hold."""
    small = run(model={"hidden": [4]}, device="gpu", backend="jax")
    assert small.max_width() == 4096
    for other in ({"device": "gpu"}, {"backend": "jax"}, {"device": "cpu", "backend": "jax"}):
        assert run(model={"hidden": [4]}, **other).max_width() == 32
    large = run(model={"hidden": [2000, 2000]}, device="gpu", backend="jax")
    assert large.max_width() == 8 * 2**30 // large.forecast.memory_bytes
    assert 32 < large.max_width() < 4096
    assert run(model={"hidden": [6000, 6000]}, device="gpu", backend="jax").max_width() == 32


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_can_be_chosen(name: str) -> None:
    spec = run(optimizer=name)
    assert spec.params()["optimizer"] == name
    assert RunSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_can_be_chosen(name: str) -> None:
    spec = run(model={"hidden": [4], "kernel_initializer": name, "activation": "selu"})
    hidden, output = spec.model.layers[1], spec.model.layers[2]
    assert isinstance(hidden, Dense)
    assert isinstance(output, Dense)
    chosen = [present(layer.kernel_initializer).model_dump()["name"] for layer in (hidden, output)]
    assert chosen == (["lecun_normal", "glorot_uniform"] if name == "auto" else [name, name])


def test_aliases_are_one_choice() -> None:
    assert run(loss="mse").fingerprint() == run(loss={"name": "mean_squared_error"}).fingerprint()
    swish, silu = (run(model={"hidden": [3], "activation": name}) for name in ("swish", "silu"))
    assert swish.fingerprint() == silu.fingerprint()


def test_a_resolved_run_can_be_submitted_again() -> None:
    spec = run(
        model={"pattern": "INPUT-[CONV-BN-POOL]-FC*2-OUTPUT", "conv": {"filters": 3}, "fc": {"units": 5}}
    )
    again = ExperimentSpec.parse({"name": "again", **spec.model_dump(mode="json")}).expand()[0].spec
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()


CHANGES: dict[str, dict[str, Any]] = {
    "seed": {"seed": 1},
    "epochs": {"training": {"epochs": 2}},
    "stop": {"training": {"stop": {"patience": 3}}},
    "rate": {"optimizer": {"name": "rmsprop", "learning_rate": 0.1}},
    "rho": {"optimizer": {"name": "rmsprop", "rho": 0.5}},
    "batch": {"training": {"batch_size": 16}},
    "momentum": {"optimizer": {"name": "rmsprop", "momentum": 0.5}},
    "schedule": {"optimizer": {"name": "rmsprop", "learning_rate": {
        "name": "cosine_decay", "initial_learning_rate": 0.1, "decay_steps": 10}}},
    "optimizer": {"optimizer": "adam"},
    "loss": {"loss": "mse"},
    "activation": {"model": {"hidden": [32], "activation": "tanh"}},
    "units": {"model": {"hidden": [33]}},
    "split": {"dataset": {"name": "mnist", "validation_split": 0.2}},
    "artifacts": {"artifacts": {"plots": "none"}},
    "check": {"gradient_check": "off"},
    "device": {"device": "cpu"},
    "backend": {"backend": "jax"},
    "priority": {"priority": 3},
    "name": {"name": "other", "tags": {"a": "b"}},
}  # fmt: skip
SAME_RESULT = {"artifacts", "check", "device", "priority", "name"}
SAME_PROGRAM = SAME_RESULT | {"seed", "epochs", "stop", "rate", "rho"}


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_fingerprint_and_the_program_key_hold(change: str) -> None:
    base, changed = run(), run(**CHANGES[change])
    assert (base.fingerprint() == changed.fingerprint()) == (change in SAME_RESULT)
    assert (base.program_key() == changed.program_key()) == (change in SAME_PROGRAM)


def test_fingerprints_are_stable_over_versions_of_this_code() -> None:
    """Raise NUMERICS in experiments/runs.py where a spec trains to other numbers, and change this value with it."""
    spec = ExperimentSpec.parse(MLP).expand()[0].spec
    assert spec.fingerprint() == "2be3be28bcaa4d66f8c6d985e766ed6ab3d0f678398bef44dcc9baab56a42270"
    assert run().fingerprint() == run(optimizer={"name": "rmsprop"}, seed=0).fingerprint()


def test_other_numerics_are_another_run_and_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Release 0.1.0 drew other initial weights from the same seed: its runs are none of this version's."""
    before = run(seed=1)
    keys = before.fingerprint(), before.program_key()
    monkeypatch.setattr(runs, "NUMERICS", 1)
    runs._begun.cache_clear()
    earlier = run(seed=1)
    assert earlier.fingerprint() != keys[0]
    assert earlier.program_key() != keys[1]
    runs._begun.cache_clear()


def test_implied_layers() -> None:
    dense = run(model={"layers": [{"type": "dense", "units": 10}]})
    assert [layer.type for layer in dense.model.layers] == ["flatten", "dense"]
    lstm = run(model={"layers": [{"type": "lstm", "units": 3}, {"type": "dense", "units": 10}]})
    assert [layer.type for layer in lstm.model.layers] == ["reshape", "lstm", "dense"]
    assert lstm.forecast.layers[0].output_shape == (28, 28)
    assert lstm.model.activations == ("tanh", "softmax")


def test_normalisation_is_over_the_channels() -> None:
    layers = [{"type": "conv2d", "filters": 4, "kernel_size": 3}, {"type": "batch_normalization"},
              {"type": "dense", "units": 3}, {"type": "batch_normalization"}, {"type": "dense", "units":
              10}]  # fmt: skip
    for data_format, axis in (("channels_first", 1), ("channels_last", -1)):
        spec = run(model={"layers": layers, "data_format": data_format})
        norms = [layer for layer in spec.model.layers if layer.type == "batch_normalization"]
        assert [layer.axis for layer in norms] == [axis, -1]
        assert [row.parameters for row in spec.forecast.layers if row.type == "batch_normalization"] == [
            16,
            12,
        ]


def test_convolutions_run_one_lane_at_a_time() -> None:
    layers = [{"type": "conv2d", "filters": 4, "kernel_size": 3}, {"type": "dense", "units": 10}]
    network = {"layers": layers}
    assert run(model=network).max_width() == 1
    assert run(model=network, device="gpu").max_width() == 1
    assert run(model=network, backend="jax").max_width() == 1
    assert run().max_width() == 32


def test_convolutions_are_mapped_over_lanes_by_jax_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [{"type": "conv2d", "filters": 4, "kernel_size": 3}, {"type": "dense", "units": 10}]
    spec = run(model={"layers": layers}, device="gpu", backend="jax")
    assert spec.max_width() == 8
    separable = {"layers": [{**layers[0], "type": "separable_conv2d"}, layers[1]]}
    assert run(model=separable, device="gpu", backend="jax").max_width() == 1, (
        "held against keras.fit nowhere"
    )
    monkeypatch.setattr(runs, "LANES_BYTES", 3 * spec.forecast.memory_bytes)
    assert spec.max_width() == 3
