"""Networks of residual layers and branches, nested at random: shapes and parameters equal those that Keras builds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.datasets import DataShape
from experiments.engine import models
from experiments.errors import SpecError
from experiments.layers.base import DataFormat
from experiments.losses import CategoricalCrossentropy
from experiments.networks import ModelChoice
from experiments.spec.resolve import resolve
from experiments.theory import forecast_network

DATA = DataShape((8, 6, 2), (), "classification", 10, 100, 0, 10, 0.0, 1.0)
Document = dict[str, Any]
PADDING = st.sampled_from(["same", "same", "same", "valid"])
PLAIN: st.SearchStrategy[Document] = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("conv2d"),
            "filters": st.integers(1, 4),
            "kernel_size": st.integers(1, 3),
            "strides": st.sampled_from([1, 1, 2]),
            "padding": PADDING,
            "use_bias": st.booleans(),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("max_pool2d"),
            "pool_size": st.integers(1, 3),
            "strides": st.sampled_from([1, 2]),
            "padding": PADDING,
        }
    ),
    st.just({"type": "batch_normalization"}),
    st.just({"type": "activation", "activation": "tanh"}),
)


def composites(inner: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.one_of(
        st.fixed_dictionaries(
            {
                "type": st.just("residual"),
                "layers": st.lists(inner, min_size=1, max_size=3),
                "shortcut": st.sampled_from(["identity", "projection"]),
            }
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("branches"),
                "branches": st.lists(st.lists(inner, max_size=2), min_size=2, max_size=3),
                "join": st.sampled_from(["concatenate", "concatenate", "add", "average"]),
            }
        ),
    )


LAYERS = st.recursive(PLAIN, composites, max_leaves=8)
JOINS = {"concatenate": "Concatenate", "add": "Add", "average": "Average"}


def built(x: Any, layers: list[Document], data_format: DataFormat) -> Any:
    """The tensor after these layers, made with Keras alone. Raises ValueError where Keras refuses.

    A residual layer is built here straight from the document, not from what the spec made of it.
    """
    for document in layers:
        axis = 1 if data_format == "channels_first" else -1
        match document["type"]:
            case "residual":
                y = built(x, document["layers"], data_format)
                x = keras.layers.Add()([y, shortcut(x, y, document, data_format)])
            case "branches":
                rows = [built(x, row, data_format) for row in document["branches"]]
                if document["join"] != "concatenate" and len({tuple(row.shape) for row in rows}) > 1:
                    raise ValueError("Keras would repeat the one channel of an input; a spec never does")
                more = {"axis": axis} if document["join"] == "concatenate" else {}
                x = getattr(keras.layers, JOINS[document["join"]])(**more)(rows)
            case "conv2d":
                settings_of = {name: value for name, value in document.items() if name != "type"}
                x = keras.layers.Conv2D(**settings_of, data_format=data_format)(x)
            case "max_pool2d":
                settings_of = {name: value for name, value in document.items() if name != "type"}
                x = keras.layers.MaxPooling2D(**settings_of, data_format=data_format)(x)
            case "batch_normalization":
                x = keras.layers.BatchNormalization(axis=axis)(x)
            case _:
                x = keras.layers.Activation("tanh")(x)
    return x


def shortcut(x: Any, y: Any, document: Document, data_format: DataFormat) -> Any:
    """He et al. 2016, options A and B, by slices and zeros instead of pools."""
    last = data_format == "channels_last"
    sides = (1, 2) if last else (2, 3)
    channels = 3 if last else 1
    strides = []
    for side in sides:
        fitting = [s for s in range(1, x.shape[side] + 1) if -(-x.shape[side] // s) == y.shape[side]]
        if not fitting:
            raise ValueError("no stride")
        strides.append(fitting[0])
    if document["shortcut"] == "projection":
        normalised = any(layer["type"] == "batch_normalization" for layer in document["layers"])
        x = keras.layers.Conv2D(y.shape[channels], 1, strides, use_bias=False, data_format=data_format)(x)
        return keras.layers.BatchNormalization(axis=channels)(x) if normalised else x
    cut = [slice(None)] * 4
    for side, stride in zip(sides, strides, strict=True):
        cut[side] = slice(None, None, stride)
    missing = y.shape[channels] - x.shape[channels]
    if missing < 0:
        raise ValueError("fewer channels")
    pads = [(0, 0)] * 4
    pads[channels] = (0, missing)
    return keras.ops.pad(x[tuple(cut)], pads)


def agreement(layers: list[Document], data_format: DataFormat) -> str:
    """`agreed`, or `refused` where both refuse."""
    ending = [*layers, {"type": "flatten"}, {"type": "dense", "units": 10}]
    x: Any = keras.Input(DATA.formatted(data_format))
    try:
        theirs = built(x, layers, data_format)
    except ValueError:
        theirs = None
    choice = ModelChoice.model_validate({"layers": ending, "data_format": data_format})
    try:
        model = resolve(choice, DATA, CategoricalCrossentropy())
    except SpecError as error:
        assert theirs is None, str(error)  # noqa: PT017
        return "refused"
    assert theirs is not None, layers
    forecast = forecast_network(model, DATA)
    whole = keras.Model(x, keras.layers.Dense(10)(keras.layers.Flatten(data_format=data_format)(theirs)))
    assert forecast.parameters == whole.count_params(), layers
    assert forecast.layers[-3].output_shape == tuple(theirs.shape[1:]), layers
    frozen = sum(keras.ops.size(w) for w in whole.non_trainable_weights)
    assert forecast.parameters - forecast.trainable == int(frozen), layers
    ours = [
        models.layer(layer, name, data_format) for layer, name in zip(model.layers, model.names, strict=True)
    ]
    outputs = models.connected(
        model.wiring, [[layer] for layer in ours], keras.Input(DATA.formatted(data_format))
    )
    assert tuple(outputs.shape[1:]) == (10,)
    assert [layer.count_params() for layer in ours] == [row.parameters for row in forecast.layers], layers
    return "agreed"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("count", "agreed"), [(25, 8), pytest.param(500, 200, marks=pytest.mark.slow)])
def test_random_nested_architectures(count: int, agreed: int) -> None:
    seen: Counter[str] = Counter()

    @given(st.lists(LAYERS, min_size=1, max_size=3), st.sampled_from(["channels_last", "channels_first"]))
    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def compare(layers: list[Document], data_format: DataFormat) -> None:
        seen[agreement(layers, data_format)] += 1
        seen[data_format] += 1
        seen["nested"] += any(layer["type"] in ("residual", "branches") for layer in layers)

    compare()
    assert seen["agreed"] >= agreed, seen
    assert seen["nested"] >= count // 4, seen
    assert seen["channels_first"] >= count // 8, seen
