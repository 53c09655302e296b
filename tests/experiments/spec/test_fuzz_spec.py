"""The parser gives a spec or a SpecError, whatever it is fed: 50,000 inputs, the same ones every time."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import Problem, SpecError
from experiments.limits import Limits
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from experiments.spec.swept_fields import SHORT_NAMES

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
LIMITS = Limits(max_runs=60)
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e-300, 1e300, float("nan"), float("inf"), 10**30, -(10**30),
    "", " ",
    "relu", "sgd", "mnist", "off", "\0", "\ud800", "é", "x" * 5000, [], {}, [[]], [{}], {"name": "adam"},
    {"name": None},
    {"type": "dense"}, {"type": "dense", "units": 3}, {"log": [1, 2], "points": 3}, {"linear": [0, 1],
    "points": 2},
    {"log": "x"}, {"name": "cosine_decay", "initial_learning_rate": 1, "decay_steps": 5}, "INPUT-FC-OUTPUT",
    "INPUT-[CONV*1-POOL]*2-FC*2-OUTPUT", {1: 2}, {"": 1}, (1, 2), b"bytes", [1] * 50, {"a": {"b": {"c": {}}}},
]  # fmt: skip
WORDS = [
    *SHORT_NAMES,
    "sweep",
    "compare",
    "seeds",
    "cases",
    "tune",
    "looks",
    "require",
    "strategy",
    "runs",
    "model.hidden",
    "model.layers[0].units",
    "a.b",
    "[",
    "layers[",
    "model.layers[99].units",
    "case",
    "name",
    "type",
]
SYMBOLS = "{}[]:,-&*!|>'\"%@`#? \n\t0123456789abcxyz.eE+~\\é\0"


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    paths = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            paths += places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            paths += places(inner, (*path, index))
    return paths


def mutated(draw: random.Random, document: Any, pool: list[Any]) -> Any:
    """The document with a few places replaced, removed, doubled, renamed or filled from elsewhere."""
    document = copy.deepcopy(document)
    for _ in range(draw.randint(1, 4)):
        path = draw.choice(places(document))
        if not path:
            if draw.random() < 0.02:
                return draw.choice(ODD)
            continue
        holder = document
        for step in path[:-1]:
            holder = holder[step]
        last, action = path[-1], draw.random()
        if action < 0.5:
            holder[last] = copy.deepcopy(draw.choice(pool if draw.random() < 0.4 else ODD))
        elif action < 0.65:
            del holder[last]
        elif isinstance(holder, dict):
            holder[draw.choice(WORDS)] = copy.deepcopy(draw.choice(pool) if action < 0.85 else holder[last])
        else:
            holder.append(copy.deepcopy(holder[last]))
    return document


def fed(data: object) -> bool:
    """True where it is a spec; anything but a spec and a SpecError fails the test."""
    problems: tuple[Problem, ...] = ()
    try:
        spec = ExperimentSpec.parse(data, LIMITS)
    except SpecError as error:
        problems = error.problems
        assert problems
    if problems:
        assert all(problem.message for problem in problems)
        return False
    for point in spec.expand():
        assert len(point.spec.fingerprint()) == 64
    return True


def storm(count: int, seed: int) -> int:
    draw = random.Random(seed)
    texts = [path.read_text() for path in EXAMPLES]
    documents: list[Any] = [parse_yaml(text) for text in texts]
    pool: list[Any] = []
    for document in documents:
        for path in places(document):
            value = document
            for step in path:
                value = value[step]
            pool.append(value)
    accepted = 0
    for number in range(count):
        if number % 5 == 4:
            text = list(draw.choice(texts))
            for _ in range(draw.randint(1, 6)):
                at = draw.randrange(len(text))
                text[at : at + draw.randint(0, 2)] = draw.choice(SYMBOLS)
            accepted += fed("".join(text))
        else:
            accepted += fed(mutated(draw, draw.choice(documents), pool))
    return accepted


def test_a_few_hundred_inputs() -> None:
    accepted = storm(600, seed=1)
    assert 20 < accepted < 580


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_50_000_inputs() -> None:
    accepted = storm(50_000, seed=2)
    assert 1000 < accepted < 49_000
