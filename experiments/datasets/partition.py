"""Which rows of a person's own data are for training, validation and testing. No row is in two parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Parts:
    """Row numbers of each part, rising."""

    train: Rows
    validation: Rows
    test: Rows


def share_of(rows: int, share: float) -> int:
    """How many of `rows` a share takes: at least one where it is not 0, and never all of them."""
    return 0 if share == 0 or rows < 2 else min(max(1, round(rows * share)), rows - 1)


def partition(
    rows: int,
    classes: Sequence[int] | None,
    *,
    test: float,
    validation: float,
    seed: int | None,
    train_samples: int | None = None,
) -> Parts:
    """The parts of a table of `rows` rows.

    Args:
        classes: the class of each row; every part then gets its share of every class. None for regression
        test: the share that is held out for testing, 0 to 0.9
        validation: the share of the rest that is set aside, 0 to 0.9
        seed: of the draw. None: in the order given; the last rows are the test part, those before them the
            validation part
        train_samples: train on so many of the rows only; None: on all that are left. At most as many as are left

    Returns:
        Parts; the training part has at least one row.
    """
    if seed is None:
        held_out = share_of(rows, test)
        set_aside = share_of(rows - held_out, validation)
        order = np.arange(rows)
        left = rows - held_out - set_aside
        return Parts(order[:left][:train_samples], order[left : left + set_aside], order[left + set_aside :])
    order = np.random.default_rng(seed).permutation(rows)
    part = np.zeros(rows, np.int8)  # by position in `order`: 0 training, 1 validation, 2 test
    labels = np.zeros(rows, np.int64) if classes is None else np.asarray(classes, np.int64)[order]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        held_out = share_of(len(own), test)
        set_aside = share_of(len(own) - held_out, validation)
        part[own[:held_out]] = 2
        part[own[held_out : held_out + set_aside]] = 1
    train, set_aside_rows, test_rows = (order[part == number] for number in range(3))
    return Parts(np.sort(train[:train_samples]), np.sort(set_aside_rows), np.sort(test_rows))
