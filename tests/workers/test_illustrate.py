"""Every run that gets pictures leaves those of its gradient and of its activations, whatever its layers are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from experiments import models
from experiments.datasets import Source
from experiments.engine import activity
from experiments.recording import MemoryRecorder
from experiments.spec import ExperimentSpec
from experiments.training import train
from workers import illustrate

NETWORKS = {
    "dense": {"hidden": [12, 12], "activation": "sigmoid"},
    "image": {
        "pattern": "INPUT-CONV-POOL-FC-OUTPUT", "conv": {"filters": 3, "kernel_size": 3},
        "data_format": "channels_first",
    },
    "simple_rnn": {"layers": [{"type": "simple_rnn", "units": 5}, {"type": "dense", "units": 10}]},
    "lstm": {"layers": [{"type": "lstm", "units": 4}, {"type": "dense", "units": 10}]},
    "normalised": {
        "layers": [
            {"type": "dense", "units": 8, "activation": "linear"}, {"type": "batch_normalization"},
            {"type": "activation", "activation": "relu"}, {"type": "dense", "units": 10},
        ]
    },
}  # fmt: skip


def run_of(**changes):
    document = {"name": "x", "dataset": {"name": "digits", "train_samples": 64}, "training": {"epochs": 1}}
    return ExperimentSpec.parse({**document, **changes}).expand()[0].spec


def drawn(spec):
    recorder = MemoryRecorder()
    train([spec], recorder, lambda lane: None, source=Source())
    weights = recorder.artifacts[0].get(illustrate.WEIGHTS)
    return illustrate.draw(spec, Source(), recorder.history[0], weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_and_activations_are_drawn(name):
    pictures = drawn(run_of(model=NETWORKS[name]))
    for path in ("plots/gradient_by_layer.png", "plots/activations.png"):
        assert min(Image.open(io.BytesIO(pictures[path])).size) > 200


def test_without_diagnostics_there_is_no_gradient_to_draw():
    pictures = drawn(run_of(model=NETWORKS["dense"], diagnostics="off"))
    assert "plots/gradient_by_layer.png" not in pictures
    assert "plots/activations.png" in pictures


def test_a_diverged_run_still_shows_its_gradient():
    pictures = drawn(run_of(model={"hidden": [8]}, optimizer={"name": "sgd", "learning_rate": 1e30}))
    assert "plots/gradient_by_layer.png" in pictures
    assert "plots/activations.png" not in pictures


def test_histograms_count_every_activation_over_common_bins():
    """tanh's outputs lie in (−1, 1), softmax' in (0, 1); 20 points · 6 units at 2 networks."""
    spec = run_of(model={"hidden": [6], "activation": "tanh"})
    x = spec.dataset.load(Source()).x_test[:20]
    networks = {"a": models.build(spec, seed=1), "b": models.build(spec, seed=2)}
    found = activity.histograms(spec, networks, x)
    assert list(found) == ["1-dense", "2-dense"]
    for name, units, low in (("1-dense", 6, -1.0), ("2-dense", 10, 0.0)):
        (a, edges), (b, same) = found[name]["a"], found[name]["b"]
        assert a.sum() == b.sum() == 20 * units
        assert np.array_equal(edges, same)
        assert len(edges) == activity.BINS + 1
        assert low <= edges[0] < edges[-1] <= 1


def test_few_points_are_taken_where_a_layer_is_wide():
    spec = run_of(
        dataset={"name": "stripes", "height": 1000, "width": 1000, "samples": 10},
        model={"layers": [{"type": "conv2d", "filters": 10, "kernel_size": 5}, {"type": "max_pool2d", "pool_size": 50},
                          {"type": "dense", "units": 1}]},
    )  # fmt: skip
    found = activity.histograms(spec, {"a": models.build(spec)}, spec.dataset.load(Source()).x_train)
    assert found["0-conv2d"]["a"][0].sum() == 996 * 996 * 10


def test_a_recurrent_layer_is_noted_at_every_step():
    """By hand: h_t = tanh(x_t W + h_{t−1} U + b) over 8 rows of 8 pixels."""
    spec = run_of(model=NETWORKS["simple_rnn"])
    network = models.build(spec)
    x = models.inputs(spec, spec.dataset.load(Source()).x_test[:3])
    index = next(i for i, entry in enumerate(spec.model.layers) if entry.type == "simple_rnn")
    layer = network.layers[index]
    with activity.noted({index: layer}) as found:
        after = np.asarray(network(x, training=False))
    z, a = (np.asarray(part) for part in found[index])
    kernel, recurrent, bias = (np.asarray(value) for value in layer.get_weights())
    h = np.zeros((3, 5), np.float32)
    for step in range(8):
        weighted = x[:, step, :, 0] @ kernel + h @ recurrent + bias
        h = np.tanh(weighted)
        np.testing.assert_allclose(z[:, step], weighted, atol=1e-5)
        np.testing.assert_allclose(a[:, step], h, atol=1e-5)
    assert np.array_equal(np.asarray(network(x, training=False)), after)
    assert layer.cell.activation.__name__ == "tanh"
