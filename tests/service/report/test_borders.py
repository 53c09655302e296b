"""The border of a level: where the last frame of its film crosses the bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.film import Film, Scene
from service.report.borders import draw, joined, segments
from service.words import Words


def film(outputs: list[float]) -> Film:
    """A film of one frame on a grid of 2 × 2 points over the unit square, the rows from the bottom up; bound 0.5."""
    points = np.asarray([[0.0, 0.0], [1.0, 1.0]], np.float32)
    scene = Scene(
        "epoch", ((0.0, 1.0), (0.0, 1.0)), (2, 2), 0.5, 0, (), points, np.asarray([0.0, 1.0], np.float32)
    )
    made = Film(scene)
    made.add(0, np.asarray(outputs, np.float32), np.asarray([], np.float32))
    return made


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([0.0, 1.0, 0.0, 1.0], {(0.5, 0.0), (0.5, 1.0)}),
        ([0.0, 0.0, 1.0, 1.0], {(0.0, 0.5), (1.0, 0.5)}),
        ([0.25, 1.25, 0.25, 1.25], {(0.25, 0.0), (0.25, 1.0)}),
        ([0.0, 0.0, 0.0, 1.0], {(1.0, 0.5), (0.5, 1.0)}),
    ],
)
def test_the_border_lies_where_the_output_crosses_the_bound(
    outputs: list[float], expected: set[tuple[float, float]]
) -> None:
    (segment,) = segments(film(outputs))
    assert {(round(x, 6), round(y, 6)) for x, y in segment} == expected


def test_a_saddle_has_two_lines() -> None:
    lines = list(segments(film([0.0, 1.0, 1.0, 0.0])))
    assert len(lines) == 2
    assert all(math.hypot(a[0] - b[0], a[1] - b[1]) < 0.8 for a, b in lines)


def test_a_level_without_a_border_is_named() -> None:
    figure = draw({"tanh": film([0.0, 1.0, 0.0, 1.0]), "relu": film([0.0] * 4)}, Words("en"))
    assert "relu gives the same answer everywhere." in figure.text
    assert [name for name, _ in figure.legend] == ["tanh", "relu"]
    assert figure.svg.count("<path") >= 2


def test_segments_that_touch_are_one_line() -> None:
    pieces = [
        ((0.0, 0.0), (1.0, 0.0)),
        ((5.0, 5.0), (6.0, 5.0)),
        ((2.0, 0.0), (1.0, 0.0)),
        ((2.0, 0.0), (3.0, 0.0)),
    ]
    lines = sorted(sorted(line) for line in joined(pieces))
    assert lines == [[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0)], [(5.0, 5.0), (6.0, 5.0)]]
