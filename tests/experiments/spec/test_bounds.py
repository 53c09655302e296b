"""Any body of up to 1 MiB is answered within 2 s of CPU and 200 MB: the shapes that once were not, and a generator."""

from __future__ import annotations

import json
import random
import time
import tracemalloc

import pytest

from bench.abusive_bodies import SHAPES, generated
from experiments.errors import MAX_PROBLEMS, SpecError
from experiments.spec import ExperimentSpec
from experiments.spec.preview import preview

SECONDS = 2.0
BYTES = 200 * 2**20
ANSWER = 2 * 2**20
"""Characters of a preview or a refusal; a preview lists up to 1,000 runs."""


def answered(document: object) -> tuple[float, int]:
    """CPU seconds and characters of the answer. Anything but an answer or a SpecError fails the test."""
    began = time.process_time()
    try:
        answer = json.dumps(preview(ExperimentSpec.parse(document)))
    except SpecError as error:
        if not 1 <= len(error.problems) <= MAX_PROBLEMS:
            pytest.fail(f"{len(error.problems)} problems")
        answer = str(error)
    return time.process_time() - began, len(answer)


def quickest(document: object) -> tuple[float, int]:
    """As `answered`, the best of three where the first took too long: other processes may have had the caches."""
    tries = [answered(document)]
    while tries[-1][0] > SECONDS and len(tries) < 3:
        tries.append(answered(document))
    return min(tries)


@pytest.mark.parametrize("shape", SHAPES)
def test_answered_in_time(shape: str) -> None:
    seconds, size = quickest(SHAPES[shape]())
    assert seconds <= SECONDS
    assert size <= ANSWER


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_answered_in_little_memory(shape: str) -> None:
    document = SHAPES[shape]()
    tracemalloc.start()
    try:
        answered(document)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= BYTES


def test_generated_bodies_are_answered_in_time() -> None:
    draw = random.Random(7)
    slowest = max(quickest(generated(draw))[0] for _ in range(30))
    assert slowest <= SECONDS
