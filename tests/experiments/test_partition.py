"""Training, validation and test parts of own rows: no row in two parts, every class in every part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.datasets import Source
from experiments.datasets.inline import Inline
from experiments.datasets.partition import partition, share_of
from experiments.errors import SpecError


@pytest.mark.parametrize(
    ("rows", "share", "taken"),
    [(10, 0.2, 2), (6, 0.2, 1), (3, 0.2, 1), (2, 0.5, 1), (2, 0.9, 1), (1, 0.9, 0), (10, 0.0, 0), (4, 0.9, 3)],
)  # fmt: skip
def test_a_share_is_at_least_one_row_and_never_all(rows: int, share: float, taken: int) -> None:
    assert share_of(rows, share) == taken


@settings(max_examples=60, deadline=None)
@given(
    classes=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    test=st.floats(0, 0.9),
    validation=st.floats(0, 0.9),
    seed=st.one_of(st.none(), st.integers(0, 5)),
)
def test_every_row_is_in_one_part(
    classes: list[int], test: float, validation: float, seed: int | None
) -> None:
    parts = partition(len(classes), classes, test=test, validation=validation, seed=seed)
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together) == list(range(len(classes)))
    assert len(parts.train) >= 1
    if seed is not None:
        labels = np.asarray(classes)
        for label in set(classes):
            own = [int((labels[part] == label).sum()) for part in (parts.train, parts.validation, parts.test)]
            assert own[0] >= 1
            assert own[2] == share_of(sum(own), test)
            assert own[1] == share_of(sum(own) - own[2], validation)


def test_sorted_rows_in_the_order_given_by_hand() -> None:
    parts = partition(10, [0] * 5 + [1] * 5, test=0.2, validation=0.25, seed=None)
    assert [part.tolist() for part in (parts.train, parts.validation, parts.test)] == [
        [0, 1, 2, 3, 4, 5], [6, 7], [8, 9]
    ]  # fmt: skip


def inline(**fields: Any) -> Inline:
    given: dict[str, Any] = {"kind": "binary", "x": [[i] for i in range(10)], "y": [0, 1] * 5}
    return Inline.model_validate({**given, **fields})


def test_what_is_tested_was_never_trained_on() -> None:
    data = inline(validation_split=0.25).load(Source())
    parts = [set(part.ravel()) for part in (data.x_train, data.x_validation, data.x_test)]
    assert [len(part) for part in parts] == [6, 2, 2]
    assert set.union(*parts) == set(range(10))
    assert sorted(data.y_test) == sorted(data.y_validation) == [0, 1]


def test_given_test_data_are_the_test_part_and_all_rows_are_trained_on_in_their_order() -> None:
    data = inline(x_test=[[20]], y_test=[1]).load(Source())
    assert data.x_train.ravel().tolist() == list(range(10))
    assert data.x_test.ravel().tolist() == [20]
    with pytest.raises(ValueError, match="x_test and test_split are both given"):
        inline(x_test=[[20]], y_test=[1], test_split=0.2)


def test_another_seed_draws_other_rows() -> None:
    drawn = {tuple(inline(split_seed=seed).load(Source()).x_test.ravel()) for seed in range(8)}
    assert len(drawn) > 1


def test_a_flat_list_is_one_number_a_row() -> None:
    flat, nested = inline(x=list(range(10))), inline()
    assert flat.canonical == nested.canonical


def test_more_rows_than_there_are_to_train_on_are_refused() -> None:
    with pytest.raises(SpecError, match="1 to 8"):
        inline(train_samples=9).shape()
    assert inline(train_samples=8).shape().n_train == 8
