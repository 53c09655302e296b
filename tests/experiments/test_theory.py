"""Hand-worked sizes, counts and warnings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.layers.windows import slide
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from experiments.theory import expected_initial_loss


def run(*layers: dict[str, Any], data: object = "mnist", **fields: Any) -> RunSpec:
    model = {"layers": list(layers), **fields}
    return ExperimentSpec.parse({"name": "t", "dataset": data, "model": model}).expand()[0].spec


def conv(filters: int, kernel: int, **fields: Any) -> dict[str, Any]:
    return {"type": "conv2d", "filters": filters, "kernel_size": kernel, **fields}


OUT = {"type": "dense", "units": 10}
SMALL = {"name": "stripes", "height": 7, "width": 7, "samples": 100}


@pytest.mark.parametrize(
    ("length", "window", "stride", "result", "unread"),
    [(5, 3, 1, 3, 0), (5, 3, 2, 2, 0), (7, 3, 2, 3, 0), (7 + 2, 3, 2, 4, 0), (28, 5, 1, 24, 0), (6, 3, 2,
    2, 1), (4, 2, 2, 2, 0), (10, 3, 4, 2, 3), (32, 5, 1, 28, 0), (3, 3, 5, 1, 0)],
)  # fmt: skip
def test_output_size(length: int, window: int, stride: int, result: int, unread: int) -> None:
    """W₂ = ⌊(W₁ - F + 2P)/S⌋ + 1, the padding counted in W₁."""
    slides = slide(length, window, stride, "valid")
    assert (slides.size, slides.unread) == (result, unread)


@pytest.mark.parametrize(
    ("length", "stride", "result"), [(28, 1, 28), (28, 2, 14), (7, 2, 4), (5, 3, 2), (1, 4, 1)]
)
def test_same_padding(length: int, stride: int, result: int) -> None:
    assert slide(length, 3, stride, "same").size == result


def test_a_dilated_window_is_wider() -> None:
    assert slide(28, 3, 1, "valid", dilation=4).size == 28 - 9 + 1


def test_the_errata_of_the_output_size() -> None:
    """7x7, P = 1, F = 3, S = 2 gives 4; 3 is right where the 7 already counts the padding."""
    padded = run(
        {"type": "zero_padding2d", "padding": 1},
        conv(1, 3, strides=2),
        {"type": "dense", "units": 1},
        data=SMALL,
    )
    assert [row.output_shape for row in padded.forecast.layers[:2]] == [(9, 9, 1), (4, 4, 1)]
    bare = run(conv(1, 3, strides=2), {"type": "dense", "units": 1}, data=SMALL)
    assert bare.forecast.layers[0].output_shape == (3, 3, 1)


def test_below_one_is_refused_with_the_formula_filled_in() -> None:
    with pytest.raises(SpecError, match=r"⌊\(7 - 8 \+ 2·0\)/1⌋ \+ 1 = 0"):
        run(conv(1, 8), OUT, data=SMALL)


def test_an_edge_that_is_never_read_is_named() -> None:
    spec = run(conv(3, 5, strides=2), {"type": "max_pool2d", "pool_size": 5}, OUT)
    assert len(spec.forecast.warnings) == 2
    assert spec.forecast.warnings[0].startswith(
        "0-conv2d: the division leaves a rest: the last 1 of the rows"
    )
    assert "the last 2 of the rows" in spec.forecast.warnings[1]
    assert run(conv(3, 5), {"type": "max_pool2d", "pool_size": 2}, OUT).forecast.warnings == ()


def test_a_weight_matrix_of_inputs_plus_one_by_units() -> None:
    spec = run({"type": "dense", "units": 32}, OUT)
    assert [row.parameters for row in spec.forecast.layers] == [0, (784 + 1) * 32, (32 + 1) * 10]
    assert [row.flops for row in spec.forecast.layers] == [0, 2 * 784 * 32, 2 * 32 * 10]
    assert "(784 + 1)·32 = 25,120" in spec.forecast.layers[1].formula


def test_convolution_shares_its_weights() -> None:
    row = run(conv(32, 5, padding="same"), OUT).forecast.layers[0]
    assert row.parameters == (5 * 5 * 1 + 1) * 32
    assert row.flops == 28 * 28 * 32 * 2 * 25
    assert row.formula.endswith("832 parameters; fully connected: (784 + 1)·25088 = 19,694,080")
    assert run(conv(4, 3), conv(6, 3, groups=2), OUT).forecast.layers[1].parameters == (3 * 3 * 2 + 1) * 6


def test_a_dense_layer_on_a_large_image_is_refused_before_anything_is_built() -> None:
    """RMSprop keeps up to 3 tensors beside weights and gradient: 5 · 4 bytes · 100,000,100 = 1.9 GiB."""
    with pytest.raises(SpecError, match=r"\(1000000 \+ 1\)·100 = 100,000,100 parameters, 1.9 GiB"):
        run({"type": "dense", "units": 100}, {"type": "dense", "units": 1},
            data={"name": "stripes", "height": 1000, "width": 1000, "samples": 20})  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "parameters"),
    [
        ({"type": "simple_rnn", "units": 16}, (28 + 16 + 1) * 16),
        ({"type": "lstm", "units": 16}, 4 * (28 + 16 + 1) * 16),
        ({"type": "gru", "units": 16}, 3 * (28 + 16 + 2) * 16),
        ({"type": "gru", "units": 16, "reset_after": False}, 3 * (28 + 16 + 1) * 16),
    ],
)
def test_recurrent_parameters(layer: dict[str, Any], parameters: int) -> None:
    assert run(layer, OUT).forecast.layers[1].parameters == parameters


def test_memory_counts_weights_gradients_optimizer_and_activations() -> None:
    spec = run(OUT)
    weights, slots, batch = 7850, 3, 32  # RMSprop keeps up to 3 tensors
    values = 2 * batch * 784 + 2 * batch * 10 + batch * 784
    assert spec.forecast.memory_bytes == 4 * (weights * (2 + slots) + values)
    assert spec.forecast.training_flops(54_000, 2) == 3 * spec.forecast.flops * 54_000 * 2


def test_expected_initial_loss() -> None:
    mnist, xor, line = (
        run(OUT),
        run({"type": "dense", "units": 1}, data="xor"),
        run({"type": "dense", "units": 1}, data="linear"),
    )
    assert expected_initial_loss(mnist.loss, mnist.data_shape) == pytest.approx(2.302585)
    assert expected_initial_loss(xor.loss, xor.data_shape) == pytest.approx(math.log(2))
    assert expected_initial_loss(line.loss, line.data_shape) is None


def test_lenet_5_has_its_published_count() -> None:
    """LeCun et al. 1998, with every map of the third layer connected to all before: 156 + 2,416 + 48,120 + 10,164 + 850."""
    document = parse_yaml((Path(__file__).parents[2] / "examples" / "lenet-5.yaml").read_text())
    rows = ExperimentSpec.parse(document).expand()[0].spec.forecast
    assert [row.parameters for row in rows.layers if row.parameters] == [156, 2416, 48120, 10164, 850]
    assert rows.parameters == 61706
