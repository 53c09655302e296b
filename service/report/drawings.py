"""What a lesson shows (`experiments/course/pictures.py`) as inline SVG."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from html import escape

from experiments.course.pictures import Bars, Code, Curves, Drawing, Grids, Layers
from service.report.charts import COLOURS, FAINT, INK, Line, chart, line_at, text_at
from service.words import KERAS_NOTE, Words

NARROW = 420
"""Width of what is drawn without axes, so that it can be read on a phone."""
GAP, ROW = 18, 24
POSITIVE, NEGATIVE = COLOURS[0], COLOURS[1]
NUMBERED = 7
"""Columns up to which the cells of a grid show their numbers."""


def svg_of(drawing: Drawing, *, title: str, text: str, say: Words) -> str:
    """A drawing as SVG.

    Args:
        title: of the picture.
        text: what is seen.
        say: the texts, in the reader's language.
    """
    match drawing:
        case Curves():
            lines = [
                Line(name, list(points), colour=i) for i, (name, points) in enumerate(drawing.lines.items())
            ]
            return chart(
                lines, title=title, text=text, x_label=drawing.x_label, y_label=drawing.y_label,
                x_log=drawing.x_log, y_log=drawing.y_log, height=260,
            )  # fmt: skip
        case Grids():
            return _drawn(*_grids(drawing), title, text)
        case Bars():
            return _drawn(*_bars(drawing), title, text)
        case Layers():
            return _drawn(*_layers(drawing), title, text)
        case Code():
            return _drawn(*_code(drawing, say), title, text)


def names(drawing: Drawing) -> list[str]:
    """The names of the lines of a drawing, for a legend."""
    return list(drawing.lines) if isinstance(drawing, Curves) else []


def _grids(drawing: Grids) -> tuple[list[str], float]:
    """Tables beside each other, as many as fit in a row; a cell is the stronger the larger its number."""
    parts: list[str] = []
    left, top, deepest = 4.0, 18.0, 0.0
    for title, table in drawing.tables.items():
        rows, columns = table.shape
        numbered = columns <= NUMBERED
        cell = 26.0 if columns <= 3 else 20.0 if numbered else 14.0
        longest = max(len(_short(float(value))) for value in table.flat) if numbered else 0
        wide = max(cell, 6.0 * longest + 6)
        width = max(columns * wide, 7.0 * len(title))
        if left > 4 and left + width > NARROW - 4:
            left, top, deepest = 4.0, top + deepest + 32, 0.0
        most = float(abs(table).max()) or 1.0
        parts.append(text_at(left, top - 5, title, size=11))
        for row in range(rows):
            for column in range(columns):
                value = float(table[row, column])
                x, y = left + column * wide, top + row * cell
                colour, share = (POSITIVE if value > 0 else NEGATIVE), 0.55 * abs(value) / most
                parts.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:g}" height="{cell:g}" fill="{colour}" '
                    f'fill-opacity="{share:.2f}" stroke="{FAINT}"/>'
                )
                if numbered:
                    parts.append(
                        text_at(x + wide / 2, y + cell / 2 + 3.5, _short(value), anchor="middle", size=10)
                    )
        left, deepest = left + width + GAP, max(deepest, rows * cell)
    return parts, top + deepest + 8


def _bars(drawing: Bars) -> tuple[list[str], float]:
    """A bar for each number; on a logarithmic scale from 1."""
    most = max(drawing.values.values())
    scale = (lambda v: math.log10(max(v, 1.0)) / math.log10(most)) if drawing.log else (lambda v: v / most)
    parts: list[str] = []
    for index, (name, value) in enumerate(drawing.values.items()):
        top = 6 + index * 44
        parts.append(
            text_at(4, top + 12, f"{name}: {value:,.4g}" if value < 1e4 else f"{name}: {value:,.0f}", size=12)
        )
        parts.append(
            f'<rect x="4" y="{top + 18}" width="{max(2.0, (NARROW - 8) * scale(value)):.1f}" height="14" '
            f'fill="{COLOURS[index % len(COLOURS)]}"/>'
        )
    height = 6 + 44 * len(drawing.values) + 18
    return [*parts, text_at(NARROW - 4, height - 6, drawing.label, anchor="end")], height


def _layers(drawing: Layers) -> tuple[list[str], float]:
    """A row for each layer from the input down: what it is, what it puts out, its weights."""
    parts = []
    for index, (name, shape, weights) in enumerate(drawing.rows):
        top = 4 + index * (ROW + 10)
        parts.append(
            f'<rect x="4" y="{top}" width="{NARROW - 8}" height="{ROW}" rx="4" fill="{POSITIVE}" fill-opacity="0.12"/>'
        )
        parts.append(text_at(12, top + 16, name, size=12, weight="600"))
        parts.append(text_at(NARROW / 2, top + 16, shape, anchor="middle", size=12))
        parts.append(text_at(NARROW - 12, top + 16, weights, anchor="end", size=12))
        if index:
            parts.append(line_at(NARROW / 2, top - 10, NARROW / 2, top, INK, 1.4))
    return parts, 4 + len(drawing.rows) * (ROW + 10)


def _code(drawing: Code, say: Words) -> tuple[list[str], float]:
    """A line of a program on two or more lines of the picture, and what was found below it."""
    parts = []
    lines = [
        *_wrapped(drawing.text, 54),
        "",
        *(line for note in drawing.notes for line in _wrapped(f"→ {say.said(note, KERAS_NOTE)}", 62)),
    ]
    code = len(_wrapped(drawing.text, 54))
    for index, line in enumerate(lines):
        family = ' font-family="monospace"' if index < code else ""
        parts.append(
            f'<text x="6" y="{20 + index * 17}" font-size="12" fill="{INK}"{family}>{escape(line)}</text>'
        )
    return parts, 20 + len(lines) * 17


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines of `width` Latin letters. A Chinese character is as wide as two and may begin a line."""
    lines = [""]
    for word in _BREAKABLE.findall(text):
        if _width(lines[-1] + word.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word if lines[-1] else word.lstrip()
    return [line.rstrip() for line in lines]


_BREAKABLE = re.compile(
    r"[\u3000-\u9fff\uff00-\uffef][，。；：）、？！]*|[^\s\u3000-\u9fff\uff00-\uffef]+[，。；：）、？！]*\s*|\s+"
)
"""A Chinese character or a word, with the signs and spaces that stay behind it."""


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _short(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"


def _drawn(parts: Sequence[str], height: float, title: str, text: str) -> str:
    return (
        f'<svg class="drawing" viewBox="0 0 {NARROW} {height:.0f}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title><desc>{escape(text)}</desc>{''.join(parts)}</svg>"
    )
