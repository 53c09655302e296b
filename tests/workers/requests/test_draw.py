"""Every run that gets pictures leaves those of its gradient and of its activations, whatever its layers are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import layer_plots, plots
from experiments.datasets import Source
from experiments.engine import activity, models
from experiments.engine.training import train
from experiments.recording import WEIGHTS, MemoryRecorder
from experiments.spec import ExperimentSpec
from workers.requests import draw

pytestmark = pytest.mark.usefixtures("without_xla", "no_curves")
NETWORKS = {
    "dense": {"hidden": [12, 12], "activation": "sigmoid"},
    "image": {
        "pattern": "INPUT-CONV-POOL-FC-OUTPUT", "conv": {"filters": 3, "kernel_size": 3},
        "data_format": "channels_first",
    },
    "simple_rnn": {"layers": [{"type": "simple_rnn", "units": 5}, {"type": "dense", "units": 10}]},
    "lstm": {"layers": [{"type": "lstm", "units": 4}, {"type": "dense", "units": 10}]},
    "attention": {
        "layers": [
            {"type": "multi_head_attention", "num_heads": 2, "key_dim": 3}, {"type": "flatten"}, {"type": "dense", "units": 10},
        ]
    },
    "both ways": {
        "layers": [
            {"type": "depthwise_conv2d", "kernel_size": 3}, {"type": "prelu"},
            {"type": "bidirectional", "layer": {"type": "simple_rnn", "units": 3, "return_sequences": True}},
            {"type": "conv1d", "filters": 4, "kernel_size": 2}, {"type": "global_max_pool1d"}, {"type": "dense", "units": 10},
        ]
    },
    "normalised": {
        "layers": [
            {"type": "dense", "units": 8, "activation": "linear"}, {"type": "batch_normalization"},
            {"type": "activation", "activation": "relu"}, {"type": "dense", "units": 10},
        ]
    },
}  # fmt: skip


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The curves of the losses are looked at in tests/experiments/test_plots.py; each takes as long as a training here."""
    monkeypatch.setattr(plots, "loss_curves", lambda *arguments: b"curves")


def run_of(**changes: Any) -> Any:
    digits = {"name": "digits", "train_samples": 64, "validation_split": 0.0}
    document = {"name": "x", "dataset": digits, "training": {"epochs": 1}}
    return ExperimentSpec.parse({**document, **changes}).expand()[0].spec


def drawn(spec: Any) -> Any:
    recorder = MemoryRecorder()
    train([spec], recorder, lambda lane: None, source=Source())
    weights = recorder.artifacts[0].get(WEIGHTS)
    return draw.draw(spec, Source(), recorder.history[0], weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_and_activations_are_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "confusion_matrix", lambda *arguments: b"matrix")
    pictures = drawn(run_of(model=NETWORKS[name]))
    for path in ("plots/gradient_by_layer.png", "plots/activations.png"):
        assert min(Image.open(io.BytesIO(pictures[path])).size) > 200


@pytest.mark.parametrize(
    ("layer", "windows"),
    [
        ({"type": "conv2d", "filters": 6}, 6),
        ({"type": "separable_conv2d", "filters": 6, "depth_multiplier": 2}, 2),
        ({"type": "depthwise_conv2d", "depth_multiplier": 4}, 4),
        ({"type": "conv2d_transpose", "filters": 5}, 5),
    ],
)
def test_the_windows_of_a_first_convolution(
    layer: dict[str, Any], windows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one channel: a window for each filter, or for each output of the channel."""
    shown: list[Any] = []

    def show(images: Any) -> bytes:
        shown.append(images)
        return b""

    monkeypatch.setattr(layer_plots, "first_layer_weights", show)
    spec = run_of(model={"layers": [{**layer, "kernel_size": 3}, {"type": "dense", "units": 10}]})
    draw._first_layer(spec, models.build(spec))
    assert shown[0].shape == (windows, 3, 3)


AND = {1: ([[2.0], [2.0]], [-3.0]), 2: ([[-2.0, 2.0], [-2.0, 2.0]], [3.0, -3.0])}
"""Units of the only layer -> its kernel and bias: 2 x1 + 2 x2 > 3 is class 1."""


def and_by_hand(loss: Any, units: int, folder: Path, **layer: Any) -> Any:
    """A spec and the weights file of a network that answers AND rightly."""
    model = {"layers": [{"type": "dense", "units": units, **layer}]}
    spec = run_of(dataset={"name": "and"}, model=model, loss=loss, training={"epochs": 1, "batch_size": 4})
    network = models.build(spec)
    network.layers[0].set_weights([np.array(value, np.float32) for value in AND[units]])
    network.save_weights(folder / "model.weights.h5")
    return spec, (folder / "model.weights.h5").read_bytes()


@pytest.mark.parametrize(
    ("loss", "units"),
    [
        ("binary_crossentropy", 1), ("hinge", 1), ("half_squared_error", 1), ("binary_crossentropy", 2),
        ("categorical_crossentropy", 2), ("sparse_categorical_crossentropy", 2), ("kl_divergence", 2),
        ("categorical_hinge", 2),
    ],
)  # fmt: skip
def test_two_classes_are_drawn_the_right_way_round(
    loss: Any, units: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, weights = and_by_hand(loss, units, tmp_path)
    counted: list[Any] = []
    coloured: list[Any] = []
    monkeypatch.setattr(plots, "confusion_matrix", lambda counts, labels: counted.append(counts))
    monkeypatch.setattr(plots, "decision", lambda *args: coloured.append(args))
    draw.draw(spec, Source(), {}, weights)
    assert np.array_equal(counted[0], [[3, 0], [0, 1]]), "true class down, predicted class across"
    x, t, across, up, height, bound, _ = coloured[0]
    for (x1, x2), target in zip(x, t, strict=True):
        corner = height[np.abs(up - x2).argmin(), np.abs(across - x1).argmin()]
        assert (corner > bound) == (target == 1)


@pytest.mark.parametrize("activation", ["step", "sigmoid"])
def test_a_neuron_over_two_inputs_is_drawn_as_its_line(
    activation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 x1 + 2 x2 − 3 = 0, in the title too: a step has no slope to draw a line from."""
    spec, weights = and_by_hand("half_squared_error", 1, tmp_path, activation=activation)
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "decision", lambda *args: drawn.append(args))
    draw.draw(spec, Source(), {}, weights)
    *_, across, up, height, bound, title = drawn[0]
    np.testing.assert_allclose(height, 2 * across[None, :] + 2 * up[:, None] - 3, atol=1e-6)
    assert bound == 0
    assert title == "2 x₁ +2 x₂ -3 = 0\nevery point on its side"


def test_a_neuron_that_learned_nothing_has_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights 0: the step answers 1 everywhere, also in the picture."""
    spec, _ = and_by_hand("half_squared_error", 1, tmp_path, activation="step")
    network = models.build(spec)
    network.layers[0].set_weights([np.zeros((2, 1)), np.zeros(1)])
    network.save_weights(tmp_path / "model.weights.h5")
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "decision", lambda *args: drawn.append(args))
    draw.draw(spec, Source(), {}, (tmp_path / "model.weights.h5").read_bytes())
    assert (drawn[0][4] > drawn[0][5]).all()


def test_an_embedding_names_no_class(tmp_path: Path) -> None:
    """The circle loss has any number of outputs, none of them a class."""
    spec = run_of(dataset={"name": "and"}, model={"layers": [{"type": "dense", "units": 3}]}, loss="circle")
    network = models.build(spec)
    network.save_weights(tmp_path / "model.weights.h5")
    pictures = draw.draw(spec, Source(), {}, (tmp_path / "model.weights.h5").read_bytes())
    assert pictures.keys() == {"plots/loss_curves.png", "plots/activations.png"}


def test_without_diagnostics_there_is_no_gradient_to_draw() -> None:
    pictures = drawn(run_of(model=NETWORKS["dense"], diagnostics="off"))
    assert "plots/gradient_by_layer.png" not in pictures
    assert "plots/activations.png" in pictures


def test_a_diverged_run_still_shows_its_gradient() -> None:
    pictures = drawn(run_of(model={"hidden": [8]}, optimizer={"name": "sgd", "learning_rate": 1e30}))
    assert "plots/gradient_by_layer.png" in pictures
    assert "plots/activations.png" not in pictures


def test_histograms_count_every_activation_over_common_bins() -> None:
    """tanh's outputs lie in (−1, 1), softmax' in (0, 1); 20 points · 6 units at 2 networks."""
    spec = run_of(model={"hidden": [6], "activation": "tanh"})
    x = spec.dataset.load(Source()).x_test[:20]
    networks = {"a": models.build(spec, seed=1), "b": models.build(spec, seed=2)}
    histograms = activity.histograms(spec, networks, x)
    assert list(histograms) == ["1-dense", "2-dense"]
    for name, units, low in (("1-dense", 6, -1.0), ("2-dense", 10, 0.0)):
        (a, edges), (b, same) = histograms[name]["a"], histograms[name]["b"]
        assert a.sum() == b.sum() == 20 * units
        assert np.array_equal(edges, same)
        assert len(edges) == activity.BINS + 1
        assert low <= edges[0] < edges[-1] <= 1


def test_few_points_are_taken_where_a_layer_is_wide() -> None:
    spec = run_of(
        dataset={"name": "stripes", "height": 1000, "width": 1000, "samples": 10},
        model={"layers": [{"type": "conv2d", "filters": 10, "kernel_size": 5}, {"type": "max_pool2d", "pool_size": 50},
                          {"type": "dense", "units": 1}]},
    )  # fmt: skip
    histograms = activity.histograms(spec, {"a": models.build(spec)}, spec.dataset.load(Source()).x_train)
    assert histograms["0-conv2d"]["a"][0].sum() == 996 * 996 * 10


def test_a_recurrent_layer_is_noted_at_every_step() -> None:
    """By hand: h_t = tanh(x_t W + h_{t−1} U + b) over 8 rows of 8 pixels."""
    spec = run_of(model=NETWORKS["simple_rnn"])
    network = models.build(spec)
    x = models.inputs(spec, spec.dataset.load(Source()).x_test[:3])
    index = next(i for i, entry in enumerate(spec.model.layers) if entry.type == "simple_rnn")
    layer = network.layers[index]
    with activity.noted({index: layer}) as noted:
        after = np.asarray(network(x, training=False))
    z, a = (np.asarray(part) for part in noted[index])
    kernel, recurrent, bias = (np.asarray(value) for value in layer.get_weights())
    h = np.zeros((3, 5), np.float32)
    for step in range(8):
        weighted = x[:, step, :, 0] @ kernel + h @ recurrent + bias
        h = np.tanh(weighted)
        np.testing.assert_allclose(z[:, step], weighted, atol=1e-5)
        np.testing.assert_allclose(a[:, step], h, atol=1e-5)
    assert np.array_equal(np.asarray(network(x, training=False)), after)
    assert layer.cell.activation.__name__ == "tanh"
