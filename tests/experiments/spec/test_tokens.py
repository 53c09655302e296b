"""Tokens: the data set that has them, what an embedding refuses, and what a trained network is asked about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.datasets import Source
from experiments.datasets.recall import Recall
from experiments.errors import SpecError
from experiments.runs import RunSpec
from experiments.samples import samples
from experiments.spec import ExperimentSpec

RECALL: dict[str, Any] = {"name": "recall", "length": 6, "vocabulary": 5, "samples": 200}
EMBEDDING: dict[str, Any] = {"type": "embedding", "output_dim": 3}
ENDING: list[dict[str, Any]] = [{"type": "flatten"}, {"type": "dense", "units": 1}]


def run_of(layers: list[dict[str, Any]], dataset: Any = RECALL) -> RunSpec:
    document = {"name": "tokens", "dataset": dataset, "model": {"layers": layers}}
    return ExperimentSpec.parse(document).expand()[0].spec


def inline(*rows: list[float]) -> dict[str, Any]:
    return {"name": "inline", "kind": "binary", "x": list(rows), "y": [0, 1], "test_split": 0}


def test_the_letter_that_is_asked_for_is_among_the_others_or_not() -> None:
    data = Recall.model_validate(RECALL).load(Source())
    x = np.concatenate([data.x_train, data.x_validation, data.x_test])
    y = np.concatenate([data.y_train, data.y_validation, data.y_test])
    assert x.shape == (200, 6)
    assert set(np.unique(x[:, 0])) == {5, 6, 7, 8, 9}
    assert set(np.unique(x[:, 1:])) == {0, 1, 2, 3, 4}
    there = (x[:, 1:] == x[:, :1] - 5).sum(axis=1)
    np.testing.assert_array_equal(there, y)  # exactly once, or never
    assert y.sum() == 100


def test_rows_follow_the_data() -> None:
    (embedding, *_) = run_of([EMBEDDING, *ENDING]).forecast.layers
    assert (embedding.output_shape, embedding.parameters, embedding.flops) == ((6, 3), 10 * 3, 0)
    (embedding, *_) = run_of([EMBEDDING, *ENDING], inline([0, 2], [7, 1])).forecast.layers
    assert embedding.parameters == 8 * 3


def test_costs_of_attention_by_hand() -> None:
    """Six steps of three features, two heads with keys of 2 and values of 4 numbers."""
    attention = {"type": "multi_head_attention", "num_heads": 2, "key_dim": 2, "value_dim": 4}
    row = run_of([EMBEDDING, attention, *ENDING]).forecast.layers[1]
    assert row.parameters == 2 * (3 + 1) * 4 + (3 + 1) * 8 + (8 + 1) * 3
    projections = 6 * (4 + 4 + 8) * (3 + 2) + 6 * 3 * (8 + 7)  # products, additions, the bias among them
    bias = 6 * (4 + 4 + 8) + 6 * 3
    scores = 2 * 36 * (2 + 1 + 1) + 2 * 36 * 3  # products, additions, the factor; exp, sum and quotient
    assert row.flops == projections + bias + scores + 6 * 8 * (6 + 5)
    row = run_of([EMBEDDING, {"type": "attention"}, *ENDING]).forecast.layers[1]
    assert (row.parameters, row.flops) == (0, 36 * (3 + 2) + 36 * 3 + 18 * (6 + 5))


NEVER: dict[str, tuple[list[dict[str, Any]], Any, str, str]] = {
    "too few rows": (
        [{**EMBEDDING, "input_dim": 9}, *ENDING], RECALL, "model.layers[0].input_dim", "9 rows, and the data have tokens from 0 to 9",
    ),
    "scaled inputs": ([EMBEDDING, *ENDING], "diabetes", "model.layers[0]", "numbers from -"),
    "real numbers": ([EMBEDDING, *ENDING], inline([0, 2], [0.5, 1]), "model.layers[0]", "numbers from 0 to 2"),
    "below 0": ([EMBEDDING, *ENDING], inline([0, 2], [-1, 1]), "model.layers[0]", "numbers from -1 to 2"),
    "images": ([EMBEDDING, *ENDING], "digits", "model.layers[0]", "numbers from 0 to 1"),
    "not first": ([{"type": "dense", "units": 4}, EMBEDDING, *ENDING], RECALL, "model.layers[1]", "the layer before it"),
    "attention without an embedding": (
        [{"type": "attention"}, *ENDING], RECALL, "model.layers[0]", "takes a sequence (steps, features)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NEVER)
def test_refused_before_anything_is_queued(kind: str) -> None:
    layers, dataset, path, words = NEVER[kind]
    with pytest.raises(SpecError) as refused:
        run_of(layers, dataset)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert words in problem.message


def test_a_single_step_attends_to_itself() -> None:
    layers = [{"type": "reshape", "target_shape": [1, 2]}, {"type": "attention"}, *ENDING]
    document = {"name": "alone", "dataset": "xor", "model": {"layers": layers}}
    assert any("attends to itself alone" in text for text in ExperimentSpec.parse(document).warnings())


def test_a_question_is_of_tokens_too() -> None:
    spec = run_of([EMBEDDING, *ENDING])
    assert samples([[5, 0, 1, 2, 3, 4]], (6,), spec.model.rows).shape == (1, 6)
    with pytest.raises(SpecError) as refused:
        samples([[5, 0, 1, 2, 3, 4], [5, 0.5, 1, 2, 3, 4], [10, 0, 1, 2, 3, -1]], (6,), spec.model.rows)
    assert [(p.path, p.message, p.allowed) for p in refused.value.problems] == [
        ("inputs[1]", "found 0.5", "whole numbers from 0 to 9"),
        ("inputs[2]", "found 10", "whole numbers from 0 to 9"),
    ]
