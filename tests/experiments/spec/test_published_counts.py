"""Published networks of separable and depthwise convolutions, and of recurrent layers both ways, to the parameter."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.datasets import DataShape
from experiments.errors import SpecError
from experiments.losses import CategoricalCrossentropy
from experiments.networks import ModelChoice
from experiments.spec import ExperimentSpec
from experiments.spec.resolve import resolve
from experiments.theory import NetworkForecast, forecast_network

BN, ACT = {"type": "batch_normalization"}, {"type": "activation", "activation": "relu"}
Layers = list[dict[str, Any]]


def forecast(layers: Layers, shape: tuple[int, ...], classes: int, **model: Any) -> NetworkForecast:
    data = DataShape(shape, (), "classification", classes, 100, 0, 10, 0.0, 1.0)
    choice = ModelChoice.model_validate({"layers": layers, **model})
    return forecast_network(resolve(choice, data, CategoricalCrossentropy()), data)


def conv(filters: int, kernel_size: int = 3, strides: int = 1, **more: Any) -> dict[str, Any]:
    fixed = {"type": "conv2d", "padding": "same", "use_bias": False}
    return {**fixed, "filters": filters, "kernel_size": kernel_size, "strides": strides, **more}


def separable(filters: int) -> dict[str, Any]:
    return {
        "type": "separable_conv2d",
        "filters": filters,
        "kernel_size": 3,
        "padding": "same",
        "use_bias": False,
    }


def depthwise(strides: int) -> dict[str, Any]:
    return {
        "type": "depthwise_conv2d",
        "kernel_size": 3,
        "strides": strides,
        "padding": "same",
        "use_bias": False,
    }


def test_mobilenet() -> None:
    """Howard et al. 2017, arXiv:1704.04861, table 1; 4,253,864 as keras.applications.MobileNet counts."""
    layers = [conv(32, strides=2), BN, ACT]
    for filters, strides in [
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *[(512, 1)] * 5,
        (1024, 2),
        (1024, 1),
    ]:
        layers += [depthwise(strides), BN, ACT, conv(filters, 1), BN, ACT]
    layers += [{"type": "global_average_pool2d"}, {"type": "dense", "units": 1000}]
    network = forecast(layers, (224, 224, 3), 1000)
    assert network.layers[-3].output_shape == (7, 7, 1024)
    assert (network.parameters, network.trainable) == (4_253_864, 4_231_976)


def test_xception() -> None:
    """Chollet 2017, arXiv:1610.02357, figure 5 and table 3: 22,855,952 parameters that are trained."""

    def block(filters: list[int], *, first: bool = True, strides: int = 2) -> dict[str, Any]:
        layers: Layers = []
        for index, number in enumerate(filters):
            layers += [*([ACT] if index or first else []), separable(number), BN]
        if strides == 2:
            layers.append({"type": "max_pool2d", "pool_size": 3, "strides": 2, "padding": "same"})
        return {
            "type": "residual",
            "layers": layers,
            "shortcut": "projection" if strides == 2 else "identity",
        }

    entry = [conv(32, strides=2, padding="valid"), BN, ACT, conv(64, padding="valid"), BN, ACT]
    entry += [block([128, 128], first=False), block([256, 256]), block([728, 728])]
    middle = [block([728] * 3, strides=1)] * 8
    end = [
        block([728, 1024]),
        separable(1536),
        BN,
        ACT,
        separable(2048),
        BN,
        ACT,
        {"type": "global_average_pool2d"},
    ]
    network = forecast([*entry, *middle, *end, {"type": "dense", "units": 1000}], (299, 299, 3), 1000)
    assert (network.parameters, network.trainable) == (22_910_480, 22_855_952)


def test_an_lstm_both_ways() -> None:
    """Keras' example of reviews: 98,816 for 64 units over 128 features, as for 64 units over both ways of the first."""
    lstm = {"type": "lstm", "units": 64}
    layers: Layers = [
        {"type": "bidirectional", "layer": {**lstm, "return_sequences": True}},
        {"type": "bidirectional", "layer": lstm},
        {"type": "dense", "units": 2},
    ]
    network = forecast(layers, (200, 128), 2)
    assert network.parameters == 2 * 98_816 + 129 * 2
    assert [row.output_shape for row in network.layers if row.type == "concatenate"] == [(200, 128), (128,)]


def test_a_slope_for_every_channel() -> None:
    """He et al. 2015: the number of extra parameters is that of the channels; 32·8·8 with none shared."""
    image = [
        conv(32, 3),
        {"type": "prelu", "shared_axes": [1, 2]},
        {"type": "flatten"},
        {"type": "dense", "units": 2},
    ]
    assert [row.parameters for row in forecast(image, (8, 8, 1), 2).layers][1] == 32
    image[1] = {"type": "prelu"}
    assert [row.parameters for row in forecast(image, (8, 8, 1), 2).layers][1] == 32 * 64


def test_the_layer_before_a_prelu_is_linear() -> None:
    network = (
        ExperimentSpec.parse(
            {
                "name": "x",
                "dataset": "digits",
                "model": {
                    "layers": [
                        {"type": "dense", "units": 4},
                        {"type": "prelu"},
                        {"type": "dense", "units": 10},
                    ]
                },
            }
        )
        .expand()[0]
        .spec.model
    )
    assert network.activations == ("linear", "softmax")
    assert network.activation == "prelu"


def test_the_models_initializer_and_regularizer_reach_kernels_of_other_names() -> None:
    layers = [separable(3), {"type": "depthwise_conv2d", "kernel_size": 2}, {"type": "dense", "units": 10}]
    document = {
        "name": "x",
        "dataset": "digits",
        "model": {"layers": layers, "kernel_initializer": "he_normal", "kernel_regularizer": "l2"},
    }
    built: Any = ExperimentSpec.parse(document).expand()[0].spec.model.layers
    assert built[0].depthwise_initializer.name == built[0].pointwise_initializer.name == "he_normal"
    assert built[1].depthwise_regularizer.name == "l2"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"type": "depthwise_conv2d", "kernel_size": 9}, "a window of 9 does not fit into 8"),
        (
            {"type": "separable_conv2d", "filters": 2, "kernel_size": 2, "strides": 2, "dilation_rate": 2},
            "both above 1",
        ),
        ({"type": "prelu", "shared_axes": [4]}, "at most 3"),
        ({"type": "bidirectional", "layer": {"type": "dense", "units": 3}}, "layers\\[0\\].layer"),
        ({"type": "max_pool1d", "pool_size": 9}, "a window of 9 does not fit into 8"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_field(layer: dict[str, Any], message: str) -> None:
    layers = [layer, {"type": "flatten"}, {"type": "dense", "units": 10}]
    with pytest.raises(SpecError, match=message):
        ExperimentSpec.parse({"name": "x", "dataset": "digits", "model": {"layers": layers}}).expand()


@pytest.mark.parametrize(
    ("pattern", "types"),
    [
        ("INPUT-SEPCONV-PRELU-DWCONV-DECONV-GAP-FC-OUTPUT",
         ["separable_conv2d", "prelu", "depthwise_conv2d", "conv2d_transpose", "global_average_pool2d", "dense"]),
        ("INPUT-CONV-GMP-FC-OUTPUT", ["conv2d", "global_max_pool2d", "dense"]),
    ],
)  # fmt: skip
def test_patterns_know_them(pattern: str, types: list[str]) -> None:
    model = {"pattern": pattern, "conv": {"filters": 4, "kernel_size": 3}}
    run = ExperimentSpec.parse({"name": "x", "dataset": "digits", "model": model}).expand()[0].spec
    assert [layer.type for layer in run.model.layers] == types
