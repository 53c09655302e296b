"""Where the lanes are in a tensor, and how a function of one lane becomes one of all.

State is carried as (groups, ..., lanes, last): the lane axis stands beside the last axis of matrices, so the
wide matrix product of a group and the update read memory in order (measured: 0.071 instead of 0.089 s per lane
and epoch at width 32). Groups of one lane keep the axis behind their own: moved, it would only make XLA copy all weights.
A program of width 1 has no lane axis at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from experiments.engine import backend
from experiments.engine.backend import Tensor
from experiments.engine.layouts import Layout
from experiments.engine.states import Array

COPIED_ON_DEVICE = 2**24
"""Bytes of a carried tensor from which equal lanes are copied on the device, not on the host: below, that saves no time."""


@dataclass(frozen=True)
class LaneAxis:
    """The lane axis of the programs of one layout."""

    layout: Layout

    @property
    def absent(self) -> bool:
        return self.layout.width == 1

    # --------------------------------------------------------- on the host

    def carry(self, values: Sequence[Array]) -> Tensor:
        """Arrays of one shape, one per lane position, as one carried tensor."""
        if self.absent:
            return backend.tensor(values[0])
        if len(values) * values[0].nbytes >= COPIED_ON_DEVICE and all(v is values[0] for v in values):
            return self._repeated(values[0])
        stacked = np.stack(values).reshape(self.layout.groups, self.layout.lanes, *values[0].shape)
        return backend.tensor(
            np.ascontiguousarray(np.moveaxis(stacked, 1, -2) if self._moves(stacked.ndim) else stacked)
        )

    def _repeated(self, value: Array) -> Tensor:
        """An array as the carried tensor of lanes that all hold it, copied on the device: one lane's bytes travel."""
        rank = value.ndim
        axes = (0, rank) if self._moves(rank + 2) else (0, 1)
        shape = list(value.shape)
        for axis, size in zip(axes, (self.layout.groups, self.layout.lanes), strict=True):
            shape.insert(axis, size)
        return keras.ops.broadcast_to(backend.tensor(np.expand_dims(value, axes)), shape)

    def slice(self, value: Array, lane_position: int) -> Array:
        """The lane at `lane_position` of a carried tensor's values."""
        if self.absent:
            return value
        group, lane = divmod(lane_position, self.layout.lanes)
        moved = self._moves(value.ndim)
        return np.ascontiguousarray(value[group][..., lane, :]) if moved else value[group, lane]

    def per_lane(self, values: Mapping[int, float], dtype: str) -> Tensor:
        """Lane position -> number, as the tensor that a program takes; 0 where there is no lane."""
        row = np.zeros(self.layout.width, dtype)
        row[list(values)] = list(values.values())
        shape = () if self.absent else (self.layout.groups, self.layout.lanes)
        return backend.tensor(row.reshape(shape))

    # ------------------------------------------------------ inside the graph

    def inward(self, values: list[Tensor]) -> list[Tensor]:
        """Carried tensors as (groups, lanes, ...)."""
        return [self._moved(value, to_front=True) for value in values]

    def outward(self, values: list[Tensor]) -> list[Tensor]:
        """(groups, lanes, ...) as carried tensors."""
        return [self._moved(value, to_front=False) for value in values]

    def flat(self, values: list[Tensor]) -> list[Tensor]:
        """Carried tensors as (width, ...); as they are where there is no lane axis."""
        if self.absent:
            return values
        return [
            keras.ops.reshape(value, (self.layout.width, *value.shape[2:])) for value in self.inward(values)
        ]

    def kept(self, active: Tensor, new: Tensor, old: Tensor) -> Tensor:
        """Carried tensors: `new` in the active lanes, `old` in the others. active: bool (groups, lanes)"""
        return new if self.absent else backend.where(self._mask(active, new), new, old)

    def over(self, function: Callable[..., Any], *lanes: Any) -> Any:
        """`function` of each lane's slice of flat tensors; results (width, ...)."""
        return function(*lanes) if self.absent else backend.over_lanes(function, *lanes)

    def mapped(self, function: Callable[..., Any], lanes: tuple[Any, ...], groups: tuple[Any, ...]) -> Any:
        """`function(*lane's slices, *group's slices)` for every lane; results (groups, lanes, ...)."""
        tree = keras.tree.map_structure
        if self.absent:
            return function(*lanes, *tree(lambda v: v[0], groups))
        if self.layout.groups == 1:
            shared = tree(lambda v: v[0], groups)
            result = backend.over_lanes(lambda *a: function(*a, *shared), *tree(lambda v: v[0], lanes))
            return tree(lambda v: v[None], result)
        if self.layout.lanes == 1:
            result = backend.over_lanes(function, *tree(lambda v: v[:, 0], lanes), *groups)
            return tree(lambda v: v[:, None], result)

        def group(*slices: Any) -> Any:
            own, shared = slices[: len(lanes)], slices[len(lanes) :]
            return backend.over_lanes(lambda *a: function(*a, *shared), *own)

        return backend.over_lanes(group, *lanes, *groups)

    def _moves(self, rank: int) -> bool:
        """Whether a carried tensor of this rank has its lane axis beside the last axis."""
        return rank > 3 and self.layout.lanes > 1

    def _mask(self, active: Tensor, value: Tensor) -> Tensor:
        """`active` (groups, lanes) in the shape of a carried tensor."""
        groups, lanes, rank = self.layout.groups, self.layout.lanes, len(value.shape)
        if self._moves(rank):
            return keras.ops.reshape(active, (groups, *(1,) * (rank - 3), lanes, 1))
        return keras.ops.reshape(active, (groups, lanes, *(1,) * (rank - 2)))

    def _moved(self, value: Tensor, *, to_front: bool) -> Tensor:
        rank = len(value.shape)
        if self.absent or not self._moves(rank):
            return value
        source, target = (rank - 2, 1) if to_front else (1, rank - 2)
        return keras.ops.moveaxis(value, source, target)
