"""Where the lanes of a tile sit: groups that share a data order, and the lanes of each group.

A group reads one batch for all its lanes, so its first layer is one wide matrix product. The layout is part
of the compiled program, and with the width it decides a result's last bits: a checkpoint remembers it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from experiments.errors import GradusError

WIDTHS = (1, 4, 8, 16, 32, 256, 1024, 4096)
"""The ladder: a tile is as wide as one of these, unused lanes masked. Those above 32 are for GPUs (RunSpec.max_width)."""


class WidthError(GradusError):
    """A tile that no program of the ladder can hold."""


@dataclass(frozen=True)
class Layout:
    """`groups` data orders times `lanes` lanes that share one."""

    groups: int
    lanes: int

    @property
    def width(self) -> int:
        return self.groups * self.lanes

    def __str__(self) -> str:
        return f"{self.groups}x{self.lanes}"


LAYOUTS: dict[int, tuple[Layout, ...]] = {
    1: (Layout(1, 1),),
    4: (Layout(1, 4), Layout(2, 2), Layout(4, 1)),
    8: (Layout(2, 4), Layout(4, 2), Layout(8, 1)),
    16: (Layout(2, 8), Layout(4, 4), Layout(16, 1)),
    32: (Layout(4, 8), Layout(8, 4), Layout(32, 1)),
    **{width: (Layout(width // 32, 32), Layout(width // 8, 8), Layout(width, 1)) for width in WIDTHS[5:]},
}
"""By width, the fastest first (bench/README.md): a batched product of 8 lanes a group keeps both cores busy. On a GPU, at
1,024 lanes, groups of 32 take 1 % longer than one group of all, and groups of one 26 %."""


def width_for(runs: int, limit: int) -> int:
    """The narrowest width of the ladder that holds `runs`.

    Raises:
        WidthError: `runs` is more than `limit`, the most lanes that the program takes.
    """
    for width in WIDTHS:
        if runs <= width <= max(limit, 1):
            return width
    raise WidthError(f"{runs} runs in one tile; this program takes at most {limit}")


def arrange(width: int, orders: Sequence[Hashable], layout: Layout | None = None) -> tuple[Layout, list[int]]:
    """Choose a layout of `width` in which no two data orders meet in one group.

    Args:
        width: one of WIDTHS.
        orders: what each run's data order depends on.
        layout: take this one and no other.

    Returns:
        (layout, lane position of each run). Position p is lane p mod `lanes` of group p div `lanes`.

    Raises:
        WidthError: no such width, or the runs do not fit.
    """
    if width not in LAYOUTS:
        raise WidthError(f"a tile of width {width}; widths are {', '.join(map(str, WIDTHS))}")
    for candidate in LAYOUTS[width] if layout is None else (layout,):
        counts = {order: orders.count(order) for order in dict.fromkeys(orders)}
        if sum(math.ceil(count / candidate.lanes) for count in counts.values()) <= candidate.groups:
            return candidate, _lane_positions(candidate, orders)
    raise WidthError(f"{len(orders)} runs with {len(set(orders))} data orders do not fit into width {width}")


def _lane_positions(layout: Layout, orders: Sequence[Hashable]) -> list[int]:
    """Fill the groups in turn, each with runs of one order."""
    group: dict[Hashable, int] = {}
    used: dict[int, int] = {}
    current = -1
    positions = []
    for order in orders:
        if order not in group or used[group[order]] == layout.lanes:
            current += 1
            group[order], used[current] = current, 0
        index = group[order]
        positions.append(index * layout.lanes + used[index])
        used[index] += 1
    return positions
