"""`weights:` of a layer: shapes are checked at the field, hashes of specs without it stay, and both forms reach Keras."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiments.engine import models
from experiments.errors import SpecError
from experiments.keras_code import export_keras
from experiments.layers import Dense
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec

KERNEL = [[1.0, -2.0], [3.0, 0.5]]


def run_of(*layers: dict[str, Any], **model: Any) -> RunSpec:
    rest = {"dataset": "xor", "loss": "mse", "model": {"layers": list(layers), **model}}
    return ExperimentSpec.parse({"name": "own", **rest}).expand()[0].spec


def dense(weights: Any, **more: Any) -> RunSpec:
    return run_of(
        {"type": "dense", "units": 2, "activation": "tanh", "weights": weights, **more},
        {"type": "dense", "units": 1},
    )


@pytest.mark.parametrize(
    ("weights", "path", "message"),
    [
        ([KERNEL], "model.layers[0].weights", "1 lists, and the layer has 2 weights .*kernel 2 x 2, bias 2"),
        ([[[1, 2]], [0, 0]], "model.layers[0].weights[0]", "a list of 1 where a list of 2"),
        ([[[1, 2], [3]], [0, 0]], "model.layers[0].weights[0][1]", "a list of 1 .*kernel of shape 2 x 2"),
        ([[[1, 2], [3, [4]]], [0, 0]], "model.layers[0].weights[0][1][1]", "where a number is needed"),
        ([KERNEL, 0], "model.layers[0].weights[1]", "a number where a list of 2"),
        ([KERNEL, [0, "x"]], "model.layers[0].weights", "'x' among the values .*numbers"),
        ([KERNEL, [0, True]], "model.layers[0].weights", "'True' among the values"),
        ([KERNEL, [0] * 10_001], "model.layers[0].weights", "more than 10,000 numbers"),
        (3, "model.layers[0].weights", r"no list .*\[kernel, bias\]"),
        ([[[[[[1]]]]]], "model.layers[0].weights", "more than four deep"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_field(weights: Any, path: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as refused:
        dense(weights)
    assert refused.value.problems[0].path == path


def test_weights_and_an_initializer_exclude_each_other() -> None:
    with pytest.raises(SpecError, match="kernel_initializer draws nothing"):
        dense([KERNEL, [0, 0]], kernel_initializer="he_normal")


def test_the_models_own_initializer_is_for_the_other_layers() -> None:
    run = run_of(
        {"type": "dense", "units": 2, "weights": [KERNEL, [0, 0]]}, {"type": "dense", "units": 1},
        kernel_initializer="ones",
    )  # fmt: skip
    first, second = run.model.layers
    assert isinstance(first, Dense)
    assert first.kernel_initializer is None
    assert isinstance(second, Dense)
    assert second.kernel_initializer is not None
    assert second.kernel_initializer.name == "ones"


def test_values_decide_the_fingerprint_and_specs_without_them_keep_theirs() -> None:
    ours, others = dense([KERNEL, [0, 0]]), dense([KERNEL, [0, 0.5]])
    assert len({ours.fingerprint(), others.fingerprint(), dense(None).fingerprint()}) == 3
    assert "weights" not in json.dumps(json.loads(dense(None).model.canonical))
    assert RunSpec.model_validate(ours.model_dump(mode="json")) == ours


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        ({"type": "conv2d", "filters": 2, "kernel_size": [3, 2], "use_bias": False}, [(3, 2, 1, 2)]),
        ({"type": "conv2d", "filters": 2, "kernel_size": 3}, [(3, 3, 1, 2), (2,)]),
        ({"type": "simple_rnn", "units": 3}, [(8, 3), (3, 3), (3,)]),
        ({"type": "lstm", "units": 3}, [(8, 12), (3, 12), (12,)]),
        ({"type": "gru", "units": 3}, [(8, 9), (3, 9), (2, 9)]),
        ({"type": "gru", "units": 3, "reset_after": False}, [(8, 9), (3, 9), (9,)]),
    ],
)
def test_every_layer_begins_with_the_given_values(
    layer: dict[str, Any], shapes: list[tuple[int, ...]]
) -> None:
    random = np.random.default_rng(0)
    given = [random.normal(size=shape).round(3) for shape in shapes]
    layers = [{**layer, "weights": [values.tolist() for values in given]}, {"type": "dense", "units": 10}]
    spec = {"name": "own", "dataset": "digits", "model": {"layers": layers}}
    model = models.build(ExperimentSpec.parse(spec).expand()[0].spec)
    built = next(part for part in model.layers if part.name.endswith(str(layer["type"])))
    for ours, theirs in zip(given, built.get_weights(), strict=True):
        np.testing.assert_array_equal(ours.astype(np.float32), theirs)


def test_an_exported_program_sets_them() -> None:
    program = export_keras(dense([KERNEL, [0, 0.25]]), "own")
    assert "model.layers[0].set_weights([" in program
    assert 'np.array([[1.0, -2.0], [3.0, 0.5]], "float32"),' in program
    compile(program, "own.py", "exec")
