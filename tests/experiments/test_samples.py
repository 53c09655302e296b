"""Samples for a prediction: which nested lists are some, and what is said of those that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.errors import SpecError
from experiments.samples import MOST_PROBLEMS, samples


@pytest.mark.parametrize(
    ("inputs", "shape", "expected"),
    [
        ([[1, 2], [3, 4]], (2,), [[1, 2], [3, 4]]),
        ([1, 2], (2,), [[1, 2]]),  # one sample without the list around it
        ([[5]], (1,), [[5]]),
        ([[[1], [2]]], (1, 2, 1), [[[[1], [2]]]]),  # one picture, grey
        ([[[1, 2]], [[3, 4]]], (1, 2, 1), [[[[1], [2]]], [[[3], [4]]]]),  # grey pictures without the channel
        ([[1, 2, 3, 4]], (1, 2, 2), [[[[1, 2], [3, 4]]]]),  # a row of its numbers
        ([1, 2, 3, 4], (1, 2, 2), [[[[1, 2], [3, 4]]]]),
    ],
)
def test_nested_lists_are_samples(inputs: Any, shape: Any, expected: Any) -> None:
    values = samples(inputs, shape)
    assert values.dtype == np.float32
    assert values.tolist() == expected


@pytest.mark.parametrize(
    ("inputs", "shape", "path", "message"),
    [
        ([[1, 2, 3]], (2,), "inputs[0]", "found the shape (3,)"),
        ([[1, 2], 3], (2,), "inputs[1]", "found the number 3"),
        ([[1, 2], [3, "4"]], (2,), "inputs[1][1]", "found 4"),
        ([[1, 2], [3, None]], (2,), "inputs[1][1]", "found null"),
        ([[1, 2], [float("nan"), 1]], (2,), "inputs[1][0]", "found NaN"),
        ([[1, 2], [10**400, 1]], (2,), "inputs[1][0]", "found 1000"),
        ([[[1], [2, 3]]], (2, 2), "inputs[0]", "differ in length"),
        ([[[1, 2]]], (1, 2, 3), "inputs[0]", "found the shape (1, 2)"),  # only grey has no channel
        ([[[1, 2]], [[[1], [2]]]], (1, 2, 1), "inputs", "leave it out"),
        ([[]], (2,), "inputs[0]", "found the shape (0,)"),
    ],
)
def test_what_is_none_is_named_by_its_path(inputs: Any, shape: Any, path: Any, message: Any) -> None:
    with pytest.raises(SpecError) as refused:
        samples(inputs, shape)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert message in problem.message
    assert problem.allowed


def test_only_the_first_problems_are_listed() -> None:
    with pytest.raises(SpecError) as refused:
        samples([["x"]] * 1000, (1,))
    assert len(refused.value.problems) == MOST_PROBLEMS
