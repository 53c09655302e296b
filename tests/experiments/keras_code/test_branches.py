"""Programs whose layers stand beside each other are read as residual layers and branches, and written back."""

from __future__ import annotations

import pytest

from experiments.keras_code import export_keras, import_keras
from experiments.spec import ExperimentSpec

NESTED = {
    "name": "nested",
    "dataset": "digits",
    "model": {
        "layers": [
            {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"},
            {
                "type": "residual",
                "shortcut": "projection",
                "layers": [
                    {"type": "conv2d", "filters": 6, "kernel_size": 3, "padding": "same"},
                    {"type": "batch_normalization"},
                ],
            },
            {"type": "activation"},
            {
                "type": "residual",
                "layers": [{"type": "conv2d", "filters": 6, "kernel_size": 3, "padding": "same"}],
            },
            {
                "type": "branches",
                "branches": [
                    [{"type": "conv2d", "filters": 2, "kernel_size": 1}],
                    [{"type": "residual", "layers": [{"type": "conv2d", "filters": 6, "kernel_size": 1}]}],
                ],
            },
            {"type": "dense", "units": 10},
        ]
    },
}


def test_an_exported_network_with_branches_is_read_back_with_the_same_wiring() -> None:
    run = ExperimentSpec.parse(NESTED).expand()[0].spec
    imported = import_keras(export_keras(run, "nested"))
    assert imported.problems == ()
    again = ExperimentSpec.parse(imported.document).expand()[0].spec
    assert again.model.inputs == run.model.inputs
    assert [layer.type for layer in again.model.layers] == [layer.type for layer in run.model.layers]
    assert again.forecast.parameters == run.forecast.parameters


@pytest.mark.parametrize(
    ("joined", "kind"),
    [
        ("keras.layers.Add()([y, x])", "residual"),
        ("keras.layers.add([x, y])", "residual"),
        ("y + x", "residual"),
        ("keras.layers.Concatenate()([x, y])", "branches"),
        ("keras.layers.merge([x, y], mode='sum')", "residual"),
    ],
)
def test_a_program_that_joins_branches_is_read(joined: str, kind: str) -> None:
    program = (
        "import keras\n"
        "(x_train, y_train), _ = keras.datasets.mnist.load_data()\n"
        "inputs = keras.Input((28, 28, 1))\n"
        "x = keras.layers.Dense(8, activation='relu')(keras.layers.Flatten()(inputs))\n"
        "y = keras.layers.Dense(8)(x)\n"
        f"z = {joined}\n"
        "model = keras.Model(inputs, keras.layers.Dense(10, activation='softmax')(z))\n"
        "model.compile(loss='sparse_categorical_crossentropy', optimizer='adam')\n"
        "model.fit(x_train, y_train)\n"
    )
    imported = import_keras(program)
    assert imported.problems == ()
    types = [layer["type"] for layer in imported.document["model"]["layers"]]
    assert types == ["flatten", "dense", kind, "dense"]


def test_a_layer_that_two_branches_read_apart_is_said_and_not_doubled() -> None:
    program = (
        "import keras\n"
        "a = keras.layers.Dense(8)(keras.Input((64,)))\n"
        "b = keras.layers.Dense(8)(a)\n"
        "c = keras.layers.Dense(8)(keras.layers.add([a, b]))\n"
        "d = keras.layers.add([c, b])\n"
        "model = keras.Model(inputs, keras.layers.Dense(10)(d))\n"
    )
    imported = import_keras(program)
    assert any("reads a layer in two branches" in note.text for note in imported.notes)
