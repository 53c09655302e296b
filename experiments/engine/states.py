"""What a tile carries from update to update, and a lane of it on the host."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from experiments.engine import backend
from experiments.engine.backend import Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class State:
    """All lanes between two updates. Lists of carried tensors; `loss`, `hits`: sums over the epoch so far.

    loss: Σ over batches of (mean loss × samples), (groups, lanes); hits: samples classified rightly.
    """

    weights: list[Tensor]
    frozen: list[Tensor]
    optimizer: list[Tensor]
    loss: Tensor
    hits: Tensor

    def parts(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor, Tensor]:
        return self.weights, self.frozen, self.optimizer, self.loss, self.hits

    def sums(self) -> list[tuple[float, int]]:
        """(Σ loss × samples, hits) of the epoch so far, by lane position."""
        pairs = zip(backend.array(self.loss).reshape(-1), backend.array(self.hits).reshape(-1), strict=True)
        return [(float(loss), int(hits)) for loss, hits in pairs]

    def restarted(self) -> State:
        """The same with the sums of the epoch at 0."""
        return replace(self, loss=keras.ops.zeros_like(self.loss), hits=keras.ops.zeros_like(self.hits))


@dataclass(frozen=True)
class LaneState:
    """One lane of a State as arrays: what a checkpoint holds and a file of weights is made of."""

    weights: list[Array]
    frozen: list[Array]
    optimizer: list[Array]
    loss: float
    hits: int


@dataclass(frozen=True)
class Batches:
    """Updates of an epoch. rows: (groups, updates, batch) int32, indices into the training data.

    shares: (updates, batch), what each sample weighs in its batch's mean (1 in a full one), or None: all equal
    """

    rows: Tensor
    shares: Tensor | None

    @property
    def updates(self) -> int:
        return int(self.rows.shape[1])


def batches(orders: Array, size: int, *, fill: bool, floatx: str) -> list[Batches]:
    """An epoch's updates.

    Args:
        orders: (groups, samples) int32, the order in which each group reads its data.
        size: samples of a batch.
        fill: fill the short last batch with samples that weigh nothing, so that one compiled loop serves the whole
            epoch. Where samples of a batch touch each other this is not possible: the last batch is a second program.
        floatx: dtype of the shares.

    Returns:
        One item, or two where the short last batch is a program of its own.
    """
    groups, samples = orders.shape
    size = min(size, samples)
    whole, rest = divmod(samples, size)
    full = orders[:, : whole * size].reshape(groups, whole, size)
    if not rest:
        return [Batches(backend.tensor(full), None)]
    last = orders[:, None, whole * size :]
    if not fill:
        return [Batches(backend.tensor(full), None), Batches(backend.tensor(last), None)]
    filled = np.concatenate([last, np.zeros((groups, 1, size - rest), np.int32)], axis=2)
    shares = np.ones((whole + 1, size), floatx)
    shares[-1, :rest], shares[-1, rest:] = size / rest, 0
    rows = np.concatenate([full, filled], axis=1)
    return [Batches(backend.tensor(rows), backend.tensor(shares))]
