"""Every kind of layer trains as keras.fit does: as lanes where it can be mapped over them, else at width 1."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from experiments.engine import models
from experiments.layers import LAYERS

FEW = {
    "dataset": {"name": "digits", "train_samples": 37, "validation_split": 0.0},
    "training": {"epochs": 2, "batch_size": 16},
}
"""6 updates; the last batch of an epoch has 5 samples."""
ROWS = {
    **FEW,
    "dataset": {"name": "stripes", "height": 3, "width": 4, "samples": 46, "validation_split": 0.0},
}
"""3 steps for a recurrent layer, of which each is written out. 37 images for training, as above."""
LANES: dict[str, list[dict[str, Any]]] = {
    "global average, prelu": [
        {"type": "max_pool2d"}, {"type": "global_average_pool2d"}, {"type": "dense", "units": 9}, {"type": "prelu"},
    ],
    "global max": [{"type": "prelu", "shared_axes": [1, 2]}, {"type": "global_max_pool2d"}],
    "pools of rows": [
        {"type": "dense", "units": 64}, {"type": "reshape", "target_shape": [8, 8]}, {"type": "max_pool1d"},
        {"type": "average_pool1d"}, {"type": "global_max_pool1d"},
    ],
    "both ways, global average of rows": [{
        "type": "bidirectional",
        "layer": {"type": "simple_rnn", "units": 3, "return_sequences": True, "activation": "sigmoid"},
    }, {"type": "global_average_pool1d"}],
    "gated, both ways": [{
        "type": "bidirectional",
        "layer": {"type": "gru", "units": 3, "return_sequences": True, "activation": "sigmoid"},
    }],
}  # fmt: skip
TOKENS = {
    "dataset": {"name": "recall", "length": 3, "vocabulary": 3, "samples": 46, "validation_split": 0.0},
    "training": {"epochs": 2, "batch_size": 16},
}
RECURRENT = ("both ways, global average of rows", "gated, both ways")
SLOW = ("gated, both ways",)
ALONE: dict[str, list[dict[str, Any]]] = {
    "separable": [
        {"type": "separable_conv2d", "filters": 3, "kernel_size": 3, "depth_multiplier": 2},
        {"type": "depthwise_conv2d", "kernel_size": 2, "strides": 2},
    ],
    "transposed": [{"type": "conv2d_transpose", "filters": 2, "kernel_size": 3, "strides": 2}],
    "rows": [{"type": "conv1d", "filters": 4, "kernel_size": 3, "padding": "causal"}, {"type": "max_pool1d"}],
}  # fmt: skip


def trained_from(
    layers: list[dict[str, Any]], specs: Any, seeds: int, few: dict[str, Any] = FEW, classes: int = 10
) -> Any:
    output = {"type": "dense", "units": classes}
    model = {"layers": [*layers, {"type": "flatten"}, output], "activation": "tanh"}
    return specs(seeds=seeds, model=model, optimizer={"name": "adam", "learning_rate": 0.01}, **few)


@pytest.mark.usefixtures("float64", "without_xla")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in LANES]
)
def test_lanes_equal_fit(kind: str, specs: Any, same_as_fit: Any) -> None:
    tile = trained_from(LANES[kind], specs, 2, *((ROWS, 2) if kind in RECURRENT else ()))
    assert tile[0].max_width() > 1
    same_as_fit(tile, 1e-9)


@pytest.mark.usefixtures("float64", "without_xla")
def test_lanes_over_tokens_equal_fit(specs: Any, same_as_fit: Any) -> None:
    """An embedding, of which each row is taken several times in a batch, and both attentions."""
    layers = [
        {"type": "embedding", "output_dim": 4},
        {"type": "multi_head_attention", "num_heads": 2, "key_dim": 3, "value_dim": 2},
        {"type": "attention", "use_scale": True},
        {"type": "flatten"},
        {"type": "dense", "units": 1},
    ]
    optimizer = {"name": "sgd", "learning_rate": 0.5, "momentum": 0.9}
    tile = specs(seeds=2, model={"layers": layers}, optimizer=optimizer, **TOKENS)
    assert tile[0].max_width() > 1
    same_as_fit(tile, 1e-9)


@pytest.mark.usefixtures("float64", "without_xla")
@pytest.mark.parametrize("kind", ALONE)
def test_a_run_alone_equals_fit(kind: str, specs: Any, same_as_fit: Any) -> None:
    tile = trained_from(ALONE[kind], specs, 1)
    assert tile[0].max_width() == 1
    same_as_fit(tile, 1e-9)


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave"])
def test_bidirectional_is_keras_own(merge_mode: str, return_sequences: bool, specs: Any) -> None:
    """With the same weights the layers that it becomes compute what keras.layers.Bidirectional does."""
    inner = {
        "type": "lstm",
        "units": 3,
        "return_sequences": return_sequences,
        "bias_initializer": "random_normal",
    }
    layer = {"type": "bidirectional", "layer": inner, "merge_mode": merge_mode}
    (run,) = trained_from([layer], specs, 1)
    network = models.build(run)
    joined = next(i for i, built in enumerate(network.layers) if len(run.model.wiring[i]) == 2)
    ours = keras.Model(*_until(run, network, joined))
    theirs = keras.layers.Bidirectional(
        keras.layers.LSTM(3, return_sequences=return_sequences), merge_mode=merge_mode
    )
    x = np.random.default_rng(0).standard_normal((4, 8, 8)).astype("float32")
    theirs.build(x.shape)
    theirs.set_weights([w for built in network.layers[:joined] for w in built.get_weights()])
    np.testing.assert_allclose(np.asarray(ours(x[..., None])), np.asarray(theirs(x)), atol=1e-6)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", ["attention", "multi_head_attention"])
def test_attention_is_keras_own(kind: str, use_bias: bool) -> None:
    """With the same weights it computes what Keras' layer does, called with one sequence as query and as value."""
    given = (
        {"use_scale": use_bias}
        if kind == "attention"
        else {"num_heads": 2, "key_dim": 3, "value_dim": 5, "use_bias": use_bias}
    )
    entry = LAYERS[kind].model_validate({"type": kind, **given})
    ours = models.layer(entry, "layer", "channels_last")
    random = np.random.default_rng(0)
    x = random.standard_normal((4, 7, 6)).astype("float32")
    ours.build(x.shape)
    ours.set_weights([random.standard_normal(w.shape) for w in ours.weights])
    theirs = getattr(keras.layers, entry.keras_name)(**entry.arguments())
    arguments: Any = ([x, x],) if kind == "attention" else (x, x)
    theirs(*arguments, return_attention_scores=True)
    theirs.set_weights(ours.get_weights())
    outputs, shares = theirs(*arguments, return_attention_scores=True)
    np.testing.assert_allclose(np.asarray(ours(x)), np.asarray(outputs), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(ours.shares(x)).squeeze(), np.asarray(shares), rtol=0, atol=1e-6)
    assert ours.count_params() == theirs.count_params() == entry.forecast((7, 6), "channels_last").parameters


def _until(run: Any, network: Any, last: int) -> tuple[Any, Any]:
    """Input and output of the layers up to `last`."""
    inputs = keras.Input(run.data_shape.formatted(run.model.data_format))
    parts = [[built] for built in network.layers[: last + 1]]
    return inputs, models.connected(run.model.wiring[: last + 1], parts, inputs)
