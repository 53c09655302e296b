"""What a figure of a page is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.report import charts


@dataclass(frozen=True)
class Figure:
    """A drawing with its heading, its text, and the legend as (name, drawn key)."""

    id: str
    heading: str
    svg: str
    """Empty where there is nothing to draw."""
    text: str
    legend: tuple[tuple[str, str], ...] = ()


def titled(id: str, heading: str, svg: str, text: str, legend: Sequence[str] = ()) -> Figure:
    """A figure whose legend names the series of its chart, in their order."""
    keys = tuple((name, charts.key(index)) for index, name in enumerate(legend)) if len(legend) > 1 else ()
    return Figure(id, heading, svg, text, keys)
