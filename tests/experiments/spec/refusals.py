"""A good spec, and what the refusal of a changed one must say."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.spec import ExperimentSpec

GOOD: dict[str, Any] = {
    "name": "good",
    "dataset": {"name": "mnist"},
    "model": {
        "activation": "relu",
        "layers": [{"type": "dense", "units": 32}, {"type": "dense", "units": 10}],
    },
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "training": {"epochs": 1},
}
DENSE = {"type": "dense", "units": 10}
INF, NAN = float("inf"), float("nan")
Bad = tuple[dict[str, Any], str, str]
"""What is put in, path, words of the message or of what is allowed."""


def assert_refused(change: dict[str, Any], path: str, words: str) -> None:
    """Within a second, with the path, what was found there and what is allowed."""
    began = time.process_time()
    with pytest.raises(SpecError) as caught:
        ExperimentSpec.parse(copy.deepcopy(GOOD) | change)
    assert time.process_time() - began < 1.0
    problems = {problem.path: problem for problem in caught.value.problems}
    assert path in problems, caught.value
    assert any(words in str(problem) for problem in caught.value.problems if problem.path == path)
    assert problems[path].message
    assert (
        problems[path].allowed
        or "no field" in problems[path].message
        or "cannot be written" in problems[path].message
    )
