"""The arithmetic of a window that slides over an image: convolution and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from experiments.layers.base import refuse

Edge = Annotated[int, Field(strict=True, ge=1, le=4096)]
Window = Edge | tuple[Edge, Edge]
Padding = Literal["valid", "same"]


@dataclass(frozen=True)
class Slide:
    """One direction: the output's size, how it came about, and the rest that is never read."""

    size: int
    formula: str
    unread: int


def slide(
    length: int, window: int, stride: int, padding: Padding, dilation: int = 1, field: str = ""
) -> Slide:
    """Output size: ⌊(W − F + 2P)/S⌋ + 1 for `valid`, ⌈W/S⌉ for `same`.

    P is 0 here: an integer P is a `zero_padding2d` before the layer. A dilated window is D·(F − 1) + 1 wide.

    Raises:
        SpecError: the size would be below 1; with the path `field`.
    """
    if padding == "same":
        return Slide(-(-length // stride), f"⌈{length}/{stride}⌉ = {-(-length // stride)}", 0)
    reach = dilation * (window - 1) + 1
    rest = length - reach
    result = rest // stride + 1
    formula = f"⌊({length} - {reach} + 2·0)/{stride}⌋ + 1 = {result}"
    if rest < 0:
        raise refuse(
            field,
            f"a window of {reach} does not fit into {length}: {formula}",
            f"a window of at most {length}, `padding: same`, or a zero_padding2d before it",
        )
    return Slide(result, formula, rest % stride)


def unread(rows: Slide, columns: Slide) -> tuple[str, ...]:
    """The warning for the edge that no window reaches."""
    parts = []
    if rows.unread:
        parts.append(f"the last {rows.unread} of the rows")
    if columns.unread:
        parts.append(f"the last {columns.unread} of the columns")
    if not parts:
        return ()
    return (f"the division leaves a rest: {' and '.join(parts)} are never read ({rows.formula})",)
