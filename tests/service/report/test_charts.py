"""Where the parts of a chart stand: no words upon each other, however large they are shown."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from service.report.charts import LARGE, LETTER, SMALL, TOP, Bar, Line, _sizes, chart, intervals

TEXT = re.compile(r'<text( class="spare")? x="([\d.-]+)" y="([\d.-]+)" text-anchor="(\w+)"[^>]*>([^<]*)<')
LINE = re.compile(r'<line x1="([\d.-]+)" y1="([\d.-]+)" x2="([\d.-]+)" y2="([\d.-]+)" stroke="currentColor"')


def words(svg: str) -> list[tuple[bool, float, float, str, str]]:
    """(whether there is room only while it is small, x, y, anchor, text) of every text."""
    return [
        (bool(spare), float(x), float(y), anchor, text) for spare, x, y, anchor, text in TEXT.findall(svg)
    ]


def test_labels_have_the_largest_size_at_which_they_fit() -> None:
    assert (SMALL, LARGE) == (12, 21)
    assert _sizes([0, 30, 60], [1, 1, 1]) == [LARGE, LARGE, LARGE], "30 px apart, 21 px high"
    assert _sizes([0, 15, 30], [1, 1, 1]) == [LARGE, SMALL, LARGE], "15 px apart: every second one is large"
    assert _sizes([0, 10, 20], [1, 1, 1]) == [LARGE, 0, SMALL], "10 px apart: every second one, small"
    assert _sizes([300, 270, 240], [1, 1, 1]) == [LARGE] * 3, "an axis upwards"
    assert _sizes([], []) == []


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("rates", [[0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1.0], [1e-11, 1e-6, 1.0]])
def test_no_label_of_an_axis_lies_upon_another(rates: list[float], size: int) -> None:
    points = [(rate, -0.0125 * index) for index, rate in enumerate(rates)]
    svg = chart([Line("a", points)], title="t", text="x", x_label="rate", y_label="loss", x_log=True)
    shown = [word for word in words(svg) if size == SMALL or not word[0]]
    below = sorted(x for _, x, y, anchor, text in shown if anchor == "middle" and text != "rate")
    labels = {x: text for _, x, y, anchor, text in shown if anchor == "middle"}
    for a, b in pairwise(below):
        assert a + LETTER * size * len(labels[a]) / 2 <= b - LETTER * size * len(labels[b]) / 2
    beside = sorted(y for _, _, y, anchor, _ in shown if anchor == "end")
    assert all(b - a >= size for a, b in pairwise(beside))
    assert min(x - LETTER * size * len(text) for _, x, _, anchor, text in shown if anchor == "end") >= 0
    name = next(word for word in shown if word[4] == "loss")
    assert name[2] <= TOP, "what the axis means stands above it, not along its numbers"


@pytest.mark.parametrize("note", ["sigmoid won 2 of 5 seeds", "a level with a long name won 2 of 5 seeds"])
def test_the_line_at_zero_goes_through_no_words(note: str) -> None:
    bars = [Bar("sigmoid − tanh", -0.1, -0.2, 0.05, note), Bar("relu − tanh", 0.1, 0.05, 0.2, note)]
    svg = intervals(bars, title="t", text="x", x_label="difference", delta=0.02)
    zeros = [(float(y1), float(y2)) for x1, y1, x2, y2 in LINE.findall(svg) if x1 == x2][: len(bars)]
    assert len(zeros) == 2
    for _, _, y, _, text in words(svg):
        assert all(y < top or y - LARGE > bottom for top, bottom in zeros), text
    rows = [word for word in words(svg) if word[4] in (note, "sigmoid − tanh", "relu − tanh")]
    for a, b in pairwise(rows):
        apart = b[2] - a[2] >= LARGE or a[3] != b[3]
        assert apart
        if a[2] == b[2]:
            assert (len(a[4]) + len(b[4])) * LETTER * LARGE <= 640


def test_a_label_that_has_no_room_on_a_line_goes_on_below() -> None:
    long = "cosine_decay − piecewise_constant_decay_of_a_long_name"
    drawing = intervals([Bar(long, 0.0, -1.0, 1.0, "won 2")], title="t", text="x", x_label="d")
    assert ">cosine_decay −<" in drawing
    assert ">piecewise_constant_decay_of_a_long_name<" in drawing
