"""Every picture is a PNG, the same for the same numbers, and survives what is not finite."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import layer_plots, plots

draw = np.random.default_rng(0)
X = draw.uniform(-1, 1, 40)
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
AND = np.array([0, 0, 0, 1])
PICTURES = {
    "loss": lambda: plots.loss_curves(
        {"train/loss": {1: 0.5, 2: float("nan")}, "val/accuracy": {0: 0.1, 1: 0.8}}
    ),
    "no loss": lambda: plots.loss_curves({}),
    "fit": lambda: plots.regression_fit({"train": (X, X**2)}, np.sort(X), np.sort(X), np.sort(X) ** 2),
    "scatter": lambda: plots.scatter(X, X + 0.1),
    "confusion": lambda: plots.confusion_matrix(np.array([[5, 1], [0, 0]]), ["0", "1"]),
    "weights": lambda: layer_plots.first_layer_weights(draw.normal(size=(70, 5, 5))),
    "zero weights": lambda: layer_plots.first_layer_weights(np.zeros((1, 3, 3))),
    "line": lambda: plots.decision_line(CORNERS, AND, AND, np.array([1.0, 1.0]), -1.5),
    "no line": lambda: plots.decision_line(CORNERS, AND, 0 * AND, np.zeros(2), 0.0),
    "by layer": lambda: layer_plots.gradient_by_layer(
        {"before training": [1e-6, 1e-3, 0.1]}, ["a", "b", "c"], 0.25
    ),
    "histograms": lambda: layer_plots.activation_histograms(
        {"1-dense": {"before training": np.histogram(X)}}
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_is_a_readable_picture(name: str) -> None:
    content = PICTURES[name]()
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    assert min(image.size) > 150
    assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_a_gradient_of_0_is_named_as_not_on_the_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A perceptron that has learned its gate: no error, no gradient, and a logarithmic axis has no 0."""
    monkeypatch.setattr(plots, "png", lambda figure: figure)
    drawn: Any = layer_plots.gradient_by_layer(
        {"before training": [0.8], "after epoch 3": [0.0]}, ["0-dense"], None
    )
    (ax,) = drawn.axes
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["before training", "after epoch 3 (0: not on this axis)"]
    assert [np.isfinite(line.get_ydata()).tolist() for line in ax.lines] == [[True], [False]]


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert PICTURES["fit"]() == PICTURES["fit"]()
