"""Predicted shapes and parameter counts equal Keras' over random architectures, and so do the refusals."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.datasets import DataShape, Source
from experiments.engine.training import train
from experiments.errors import SpecError
from experiments.keras_ext.pooling import StochasticPool2D
from experiments.layers import Layer
from experiments.layers.base import DataFormat
from experiments.losses import CategoricalCrossentropy
from experiments.networks import ModelChoice
from experiments.recording import MemoryRecorder
from experiments.spec import ExperimentSpec
from experiments.spec.resolve import resolve
from experiments.theory import forecast_network

Architecture = tuple[list[dict[str, Any]], tuple[int, int, int], DataFormat]
OURS: dict[str, Any] = {"StochasticPool2D": StochasticPool2D}
WINDOW = st.one_of(st.integers(1, 6), st.tuples(st.integers(1, 6), st.integers(1, 6)))
STRIDE = st.one_of(st.integers(1, 4), st.tuples(st.integers(1, 4), st.integers(1, 4)))
PADDING = st.sampled_from(["valid", "same"])
MARGIN = st.integers(0, 3)
ACTIVATION = st.sampled_from(["relu", "sigmoid", "linear", "softplus"])


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    dilated = draw(st.booleans())
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    return {
        "type": "conv2d",
        "filters": groups * draw(st.integers(1, 6)),
        "kernel_size": draw(WINDOW),
        "strides": 1 if dilated else draw(STRIDE),
        "dilation_rate": draw(st.integers(1, 3)) if dilated else 1,
        "padding": draw(PADDING),
        "groups": groups,
        "use_bias": draw(st.booleans()),
        "activation": draw(ACTIVATION),
    }


@st.composite
def depthwise(draw: st.DrawFn) -> dict[str, Any]:
    dilated, kind = draw(st.booleans()), draw(st.sampled_from(["depthwise_conv2d", "separable_conv2d"]))
    return {
        "type": kind,
        "kernel_size": draw(WINDOW),
        "strides": 1 if dilated else draw(st.integers(1, 3)),
        "dilation_rate": draw(st.integers(1, 3)) if dilated else 1,
        "padding": draw(PADDING),
        "depth_multiplier": draw(st.integers(1, 2)),
        "use_bias": draw(st.booleans()),
        **({"filters": draw(st.integers(1, 5))} if kind == "separable_conv2d" else {}),
    }


TRANSPOSED = st.fixed_dictionaries(
    {
        "type": st.just("conv2d_transpose"),
        "filters": st.integers(1, 4),
        "kernel_size": WINDOW,
        "strides": st.one_of(st.integers(1, 2), st.tuples(st.integers(1, 3), st.integers(1, 2))),
        "padding": PADDING,
        "use_bias": st.booleans(),
    }
)


def pools(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "type": st.just(kind),
            "pool_size": WINDOW,
            "strides": st.one_of(st.none(), STRIDE),
            "padding": PADDING,
        }
    )


IMAGE_LAYERS = st.one_of(
    convolutions(),
    convolutions(),
    depthwise(),
    TRANSPOSED,
    st.fixed_dictionaries({"type": st.just("prelu"), "shared_axes": st.sampled_from([None, [1, 2], [3]])}),
    pools("max_pool2d"),
    pools("average_pool2d"),
    pools("stochastic_pool2d"),
    st.fixed_dictionaries(
        {
            "type": st.just("zero_padding2d"),
            "padding": st.one_of(
                MARGIN,
                st.tuples(MARGIN, MARGIN),
                st.tuples(st.tuples(MARGIN, MARGIN), st.tuples(MARGIN, MARGIN)),
            ),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("batch_normalization"), "center": st.booleans(), "scale": st.booleans()}
    ),
    st.fixed_dictionaries(
        {"type": st.just("layer_normalization"), "center": st.booleans(), "scale": st.booleans()}
    ),
    st.just({"type": "dropout", "rate": 0.3}),
    st.just({"type": "activation", "activation": "relu"}),
)


@st.composite
def recurrent(draw: st.DrawFn, *, last: bool) -> dict[str, Any]:
    kind = draw(st.sampled_from(["simple_rnn", "lstm", "gru"]))
    layer: dict[str, Any] = {
        "type": kind,
        "units": draw(st.integers(1, 9)),
        "use_bias": draw(st.booleans()),
        "return_sequences": not last,
    }
    if kind == "gru":
        layer["reset_after"] = draw(st.booleans())
    return layer


SEQUENCE_LAYERS = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("conv1d"),
            "filters": st.integers(1, 6),
            "kernel_size": st.integers(1, 4),
            "padding": st.sampled_from(["same", "causal"]),
            "strides": st.integers(1, 2),
            "use_bias": st.booleans(),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["max_pool1d", "average_pool1d"]),
            "pool_size": st.integers(1, 3),
            "padding": st.just("same"),
        }
    ),
    st.fixed_dictionaries({"type": st.just("prelu"), "shared_axes": st.sampled_from([None, [1]])}),
)
"""Layers that no sequence is too short for, since Keras is not asked whether it refuses them."""
ENDS = st.sampled_from(
    ["global_average_pool1d", "global_max_pool1d", "global_average_pool2d", "global_max_pool2d"]
).map(lambda name: {"type": name})
VECTOR_LAYERS = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("dense"),
            "units": st.integers(1, 40),
            "use_bias": st.booleans(),
            "activation": ACTIVATION,
        }
    ),
    st.fixed_dictionaries({"type": st.just("batch_normalization"), "scale": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("layer_normalization"), "center": st.booleans()}),
    st.just({"type": "unit_normalization"}),
    st.just({"type": "dropout", "rate": 0.5}),
)


@st.composite
def architectures(draw: st.DrawFn) -> tuple[list[dict[str, Any]], tuple[int, int, int], DataFormat]:
    size = (draw(st.integers(4, 24)), draw(st.integers(4, 24)), draw(st.integers(1, 4)))
    layers = draw(st.lists(IMAGE_LAYERS, max_size=5))
    if (ending := draw(st.integers(0, 5))) == 0:
        layers += draw(st.lists(recurrent(last=False), max_size=1))
        layers.append(draw(recurrent(last=True)))
    elif ending == 1:
        end = draw(ENDS)
        layers += draw(st.lists(SEQUENCE_LAYERS, max_size=2)) if end["type"].endswith("1d") else []
        layers.append(end)
    layers += draw(st.lists(VECTOR_LAYERS, max_size=3))
    return (
        [*layers, {"type": "dense", "units": 10}],
        size,
        draw(st.sampled_from(["channels_last", "channels_first"])),
    )


def in_keras(layer: Layer, data_format: DataFormat) -> Any:
    kind = OURS.get(layer.keras_name) or getattr(keras.layers, layer.keras_name)
    return kind(**layer.arguments(data_format))


def refused_by_keras(
    layers: list[dict[str, Any]], size: tuple[int, int, int], data_format: DataFormat
) -> bool:
    """Whether Keras refuses the architecture's image part too, layer by layer from the input."""
    shape = size if data_format == "channels_last" else (size[2], size[0], size[1])
    x: Any = keras.Input(shape)
    choice = ModelChoice.model_validate({"layers": layers, "data_format": data_format})
    assert choice.layers is not None
    for layer in choice.layers:
        if layer.wants in ("vector", "sequence"):
            return False
        values = (
            {"axis": 1 if data_format == "channels_first" else -1}
            if "axis" in type(layer).model_fields
            else {}
        )
        try:
            theirs = "AveragePooling2D" if layer.keras_name in OURS else layer.keras_name
            x = getattr(keras.layers, theirs)(**layer.model_copy(update=values).arguments(data_format))(x)
        except ValueError:
            return True
    return False


def agreement(layers: list[dict[str, Any]], size: tuple[int, int, int], data_format: DataFormat) -> str:
    """`agreed` or `refused`, where both agree; `negative` for our own rule on stochastic pooling."""
    data = DataShape(size, (), "classification", 10, 100, 0, 10, 0.0, 1.0)
    choice = ModelChoice.model_validate({"layers": layers, "data_format": data_format})
    try:
        model = resolve(choice, data, CategoricalCrossentropy())
        predicted = forecast_network(model, data)
    except SpecError as error:
        if "probabilities" in str(error):
            return "negative"
        assert refused_by_keras(layers, size, data_format), str(error)  # noqa: PT017
        return "refused"
    x: Any = keras.Input(predicted.input_shape)
    for layer, row in zip(model.layers, predicted.layers, strict=True):
        built = in_keras(layer, data_format)
        x = built(x)
        assert tuple(x.shape[1:]) == row.output_shape, (layer, row)
        if layer.keras_name in OURS:  # it keeps its seed and step as variables; they are no weights
            continue
        assert built.count_params() == row.parameters, (layer, row)
        assert sum(w.numpy().size for w in built.non_trainable_weights) == row.frozen, (layer, row)
    return "agreed"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("count", "refused"), [(150, 1), pytest.param(700, 10, marks=pytest.mark.slow)])
def test_random_architectures(count: int, refused: int) -> None:
    """Two of three must be networks, not refusals, and both data formats among them."""
    seen: Counter[str] = Counter()

    @given(architectures())
    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def compare(architecture: Architecture) -> None:
        seen[agreement(*architecture)] += 1
        seen[architecture[2]] += 1

    compare()
    assert seen["agreed"] >= count * 2 // 3, seen
    assert seen["refused"] >= refused, seen
    assert min(seen["channels_first"], seen["channels_last"]) >= count // 5, seen


@pytest.mark.parametrize(
    ("layers", "parameters"),
    [
        ([{"type": "dense", "units": 12}, {"type": "dense", "units": 10}], 65 * 12 + 13 * 10),
        ([{"type": "simple_rnn", "units": 5}, {"type": "dense", "units": 10}], (8 + 5 + 1) * 5 + 6 * 10),
        ([{"type": "dense", "units": 8}, {"type": "batch_normalization"}, {"type": "dense", "units": 10}],
         65 * 8 + 4 * 8 + 9 * 10),
        ([{"type": "dense", "units": 4}, {"type": "dropout", "rate": 0.5}, {"type": "dense", "units": 10}],
         65 * 4 + 5 * 10),
    ],
)  # fmt: skip
def test_a_run_states_how_many_parameters_its_network_has(
    layers: list[dict[str, Any]], parameters: int
) -> None:
    """By hand, over digits of 8x8 pixels; beside `n_params`, which is predicted before anything is built."""
    document = {"name": "x", "dataset": "digits", "model": {"layers": layers}, "diagnostics": "off"}
    spec, recorder = ExperimentSpec.parse(document).expand()[0].spec, MemoryRecorder()
    train([spec], recorder, lambda lane: "cancelled", source=Source())
    assert recorder.tagged[0]["gradus.n_params_actual"] == str(parameters)
    assert spec.params()["n_params"] == parameters
