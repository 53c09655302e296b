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
from experiments.layers import LAYERS
from experiments.layers.base import DataFormat
from experiments.losses import CategoricalCrossentropy
from experiments.networks import ModelChoice
from experiments.spec.resolve import resolve
from experiments.theory import forecast_network

IMAGES = DataShape((8, 6, 2), (), "classification", 10, 100, 0, 10, 0.0, 1.0)
SEQUENCES = DataShape((6, 3), (), "classification", 10, 100, 0, 10, 0.0, 1.0)
TOKENS = DataShape((6,), (), "classification", 10, 100, 0, 10, 0.0, 8.0, tokens=9)
Document = dict[str, Any]
Strategy = st.SearchStrategy[Document]
PADDING = st.sampled_from(["same", "same", "same", "valid"])
STRIDE = st.sampled_from([1, 1, 2])


def layer(kind: str, **fields: st.SearchStrategy[Any]) -> Strategy:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


WINDOW = {"kernel_size": st.integers(1, 3), "strides": STRIDE, "padding": PADDING, "use_bias": st.booleans()}
POOL = {"pool_size": st.integers(1, 3), "strides": st.sampled_from([1, 2]), "padding": PADDING}
ANYWHERE = (
    st.just({"type": "batch_normalization"}),
    st.just({"type": "activation", "activation": "tanh"}),
)
OF_IMAGES: Strategy = st.one_of(
    layer("conv2d", filters=st.integers(1, 4), **WINDOW),
    layer("separable_conv2d", filters=st.integers(1, 4), depth_multiplier=st.integers(1, 2), **WINDOW),
    layer("depthwise_conv2d", depth_multiplier=st.integers(1, 2), **WINDOW),
    layer("conv2d_transpose", filters=st.integers(1, 4), **WINDOW),
    layer("max_pool2d", **POOL),
    layer("average_pool2d", **POOL),
    layer("prelu", shared_axes=st.sampled_from([None, [1, 2], [3]])),
    *ANYWHERE,
)
RECURRENT: Strategy = st.one_of(
    *(
        layer(kind, units=st.integers(1, 3), return_sequences=st.just(True))
        for kind in ("simple_rnn", "lstm", "gru")
    )
)
OF_SEQUENCES: Strategy = st.one_of(
    layer("conv1d", filters=st.integers(1, 4), **{**WINDOW, "padding": st.sampled_from(["same", "causal", "valid"])}),
    layer("max_pool1d", **POOL),
    layer("average_pool1d", **POOL),
    layer("prelu", shared_axes=st.sampled_from([None, [1]])),
    layer("dense", units=st.integers(1, 4)),
    layer("bidirectional", layer=RECURRENT, merge_mode=st.sampled_from(["concat", "sum", "ave"])),
    layer("attention", use_scale=st.booleans()),
    layer(
        "multi_head_attention",
        num_heads=st.integers(1, 3), key_dim=st.integers(1, 3), value_dim=st.sampled_from([None, 2]), use_bias=st.booleans(),
    ),
    RECURRENT,
    *ANYWHERE,
)  # fmt: skip
ENDS = {
    3: ["flatten", "global_average_pool2d", "global_max_pool2d"],
    2: ["flatten", "global_average_pool1d", "global_max_pool1d"],
}
"""What makes a vector, by the rank of a sample."""


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


def nested(plain: Strategy) -> st.SearchStrategy[list[Document]]:
    return st.lists(st.recursive(plain, composites, max_leaves=8), min_size=1, max_size=3)


EMBEDDED = st.builds(
    lambda first, rest: [first, *rest],
    layer("embedding", output_dim=st.integers(1, 4), input_dim=st.sampled_from([9, 12])),
    nested(OF_SEQUENCES),
)
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
            case "bidirectional":
                inner = own(document["layer"], data_format)
                x = keras.layers.Bidirectional(inner, merge_mode=document["merge_mode"])(x)
            case "attention":
                x = own(document, data_format)([x, x])
            case "multi_head_attention":
                x = own(document, data_format)(x, x)
            case _:
                x = own(document, data_format)(x)
    return x


def own(document: Document, data_format: DataFormat) -> Any:
    """Keras' layer of a plain entry: the fields of a spec are its arguments."""
    entry = LAYERS[document["type"]]
    arguments = {name: value for name, value in document.items() if name != "type"}
    if entry.has_data_format:
        arguments["data_format"] = data_format
    if document["type"] == "batch_normalization":
        arguments["axis"] = 1 if data_format == "channels_first" else -1
    return getattr(keras.layers, entry.keras_name)(**arguments)


def shortcut(x: Any, y: Any, document: Document, data_format: DataFormat) -> Any:
    """He et al. 2016, options A and B, by slices and zeros instead of pools; of sequences by a dense layer, or as they are."""
    normalised = any(layer["type"] == "batch_normalization" for layer in document["layers"])
    if len(x.shape) == 3:
        if x.shape[1:-1] != y.shape[1:-1] or (document["shortcut"] == "identity" and x.shape != y.shape):
            raise ValueError("no shortcut")
        if document["shortcut"] == "identity":
            return x
        x = keras.layers.Dense(y.shape[-1], use_bias=False)(x)
        return keras.layers.BatchNormalization()(x) if normalised else x
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


def agreement(data: DataShape, layers: list[Document], ending: str, data_format: DataFormat) -> str:
    """`agreed`, or `refused` where both refuse."""
    whole = [*layers, {"type": ending}]
    x: Any = keras.Input(data.formatted(data_format))
    try:
        theirs = built(x, whole, data_format)
    except ValueError:
        theirs = None
    choice = ModelChoice.model_validate(
        {"layers": [*whole, {"type": "dense", "units": 10}], "data_format": data_format, "activation": "tanh"}
    )
    try:
        model = resolve(choice, data, CategoricalCrossentropy())
    except SpecError as error:
        assert theirs is None, str(error)  # noqa: PT017
        return "refused"
    assert theirs is not None, layers
    forecast = forecast_network(model, data)
    in_keras = keras.Model(x, keras.layers.Dense(10)(theirs))
    assert forecast.parameters == in_keras.count_params(), layers
    assert forecast.layers[-2].output_shape == tuple(theirs.shape[1:]), layers
    frozen = sum(keras.ops.size(w) for w in in_keras.non_trainable_weights)
    assert forecast.parameters - forecast.trainable == int(frozen), layers
    ours = [
        models.layer(entry, name, data_format) for entry, name in zip(model.layers, model.names, strict=True)
    ]
    outputs = models.connected(
        model.wiring, [[part] for part in ours], keras.Input(data.formatted(data_format))
    )
    assert tuple(outputs.shape[1:]) == (10,)
    assert [part.count_params() for part in ours] == [row.parameters for row in forecast.layers], layers
    return "agreed"


KINDS: dict[str, tuple[DataShape, st.SearchStrategy[list[Document]], int]] = {
    "images": (IMAGES, nested(OF_IMAGES), 3),
    "sequences": (SEQUENCES, nested(OF_SEQUENCES), 2),
    "tokens": (TOKENS, EMBEDDED, 2),
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "count", "agreed"),
    [
        ("images", 20, 6), ("sequences", 12, 4), ("tokens", 6, 2),
        *(pytest.param(kind, 500, 150, marks=pytest.mark.slow) for kind in ("images", "sequences")),
        pytest.param("tokens", 100, 30, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_random_nested_architectures(kind: str, count: int, agreed: int) -> None:
    seen: Counter[str] = Counter()
    data, layers_of, rank = KINDS[kind]
    formats = ["channels_last", "channels_first"] if rank == 3 else ["channels_last"]

    @given(layers_of, st.sampled_from(ENDS[rank]), st.sampled_from(formats))
    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def compare(layers: list[Document], ending: str, data_format: DataFormat) -> None:
        seen[agreement(data, layers, ending, data_format)] += 1
        seen[data_format] += 1
        seen["nested"] += any(document["type"] in ("residual", "branches") for document in layers)

    compare()
    assert seen["agreed"] >= agreed, seen
    assert seen["nested"] >= count // 6, seen
    assert seen["channels_first"] >= (count // 8 if rank == 3 else 0), seen
