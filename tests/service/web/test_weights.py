"""The drawing of a small network's weights, by hand."""

from __future__ import annotations

from service.web.weights import NEGATIVE, POSITIVE, drawing, tables
from service.words import Words

ENGLISH = Words("en")
AND = {"0-dense/kernel": [[2.0], [-1.0]], "0-dense/bias": [-3.0]}


def test_every_weight_has_a_line_in_the_colour_of_its_sign() -> None:
    svg = drawing(AND, ENGLISH)
    assert svg.count("<line") == 2
    assert f'stroke="{POSITIVE}" stroke-width="6.00"' in svg, "the largest weight is the thickest line"
    assert f'stroke="{NEGATIVE}" stroke-width="3.30"' in svg, "0.6 + 5.4 · 1/2"
    assert svg.count("<circle") == 3
    assert "b −3" in svg


def test_tables_have_the_tensors_rows() -> None:
    assert tables(AND) == [("0-dense/kernel", [["2"], ["−1"]]), ("0-dense/bias", [["−3"]])]


def test_what_is_no_chain_of_dense_layers_is_not_drawn() -> None:
    assert drawing({"0-conv2d/kernel": [[[[1.0]]]]}, ENGLISH) == ""
    assert drawing({**AND, "1-norm/gamma": [1.0]}, ENGLISH) == ""
    assert drawing({}, ENGLISH) == ""
