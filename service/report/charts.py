"""Charts as inline SVG, drawn by a few small functions. There is no plotting library, so that the API stays light.

The colours are Okabe and Ito's (2008), which colour-blind readers can tell apart. Every line has its own dash and
marker, so that a chart can be read in black and white. Each chart carries its text alternative as <title> and <desc>.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import wrap

from experiments.numbers import axis_label, finite

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "currentColor", "#8A7A00")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "1 2", "5 5", "3 6")
WIDTH, RIGHT, TOP, BOTTOM = 640, 28, 30, 56
LEAST_LEFT = 48
SMALL, LARGE = 12, 21
"""Font sizes. A style sheet shows a chart's text large on a phone and on a projector; there is room for that everywhere."""
LETTER = 0.6
"""Width of a letter, at most, as a share of the font size."""
LETTERS = int(WIDTH / (LETTER * LARGE))
"""Of a line of a chart's text, however large it is shown."""
INK, FAINT = "currentColor", "#8a94a055"


@dataclass(frozen=True)
class Line:
    """One series."""

    name: str
    points: Sequence[tuple[float, float]]
    """(x, y)."""
    band: Sequence[tuple[float, float, float]] = ()
    """(x, low, high): an area around the line."""
    dots: Sequence[tuple[float, float]] = field(default=())
    """(x, y): single values beside the line."""
    colour: int = 0


@dataclass(frozen=True)
class Bar:
    """One interval: its label, the middle, the ends (None: unbounded or absent), and a word beside it."""

    label: str
    middle: float | None
    low: float | None
    high: float | None
    note: str = ""


def style(index: int) -> tuple[str, str]:
    """(colour, dash) of the series with this number."""
    return COLOURS[index % len(COLOURS)], DASHES[(index // len(COLOURS) + index) % len(DASHES)]


def chart(
    lines: Sequence[Line],
    *,
    title: str,
    text: str,
    x_label: str,
    y_label: str,
    x_log: bool = False,
    y_log: bool = False,
    x_whole: bool = False,
    x_ticks: Sequence[float] = (),
    height: int = 300,
    marks: Sequence[float] = (),
    marked: int = 0,
) -> str:
    """Lines with bands and dots over common axes; the empty string where there is nothing finite to draw.

    marks: values of x that a page may mark; the one with the number `marked` is.
    """
    xs = [x for line in lines for x, _ in (*line.points, *line.dots)]
    ys = [y for line in lines for _, y in (*line.points, *line.dots)]
    ys += [y for line in lines for _, low, high in line.band for y in (low, high)]
    xs = [x for x in xs if math.isfinite(x) and (x > 0 or not x_log)]
    ys = [y for y in ys if math.isfinite(y) and (y > 0 or not y_log)]
    if not xs or not ys:
        return ""
    y = Scale.over(ys, height - BOTTOM, TOP, log=y_log)
    x = Scale.over(xs, _left(y), WIDTH - RIGHT, log=x_log)
    if x_whole and not x_ticks:  # no epoch before the first one
        x_ticks = [tick for tick in x.ticks(whole=True) if min(xs) <= tick <= max(xs)]
    parts = _axes(x, y, height, x_label, y_label, x_whole=x_whole, x_ticks=x_ticks)
    for line in lines:
        colour, dash = style(line.colour)
        band = [p for p in line.band if all(math.isfinite(v) for v in p) and (p[1] > 0 or not y_log)]
        if len(band) > 1:
            corners = [(p, high) for p, _, high in band] + [(p, low) for p, low, _ in reversed(band)]
            shape = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in corners)
            parts.append(f'<polygon points="{shape}" fill="{colour}" fill-opacity="0.14"/>')
        whole = [p for p in line.points if _shown(p, x_log, y_log)]
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in whole)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        if dots := [p for p in line.dots if _shown(p, x_log, y_log)]:
            across = {a: f"{x(a):.1f}" for a, _ in dots}
            circles = [f'<circle cx="{across[a]}" cy="{y(b):.1f}" r="2.6"/>' for a, b in dots]
            parts.append(f'<g fill="{colour}" fill-opacity="0.55">{"".join(circles)}</g>')
        if len(whole) <= 40:
            parts += [_marker(line.colour, x(a), y(b), colour) for a, b in whole]
    for number, value in enumerate(marks):
        look = "visible" if number == marked else "hidden"
        rule = line_at(x(value), TOP, x(value), height - BOTTOM, INK, 1.6)
        parts.append(f'<g data-mark="{number}" visibility="{look}">{rule}</g>')
    return _svg(parts, height, title, text)


def intervals(bars: Sequence[Bar], *, title: str, text: str, x_label: str, delta: float | None = None) -> str:
    """One horizontal interval per bar over a common axis, with 0 and the zone (−δ, δ) marked."""
    values = (finite(value) for bar in bars for value in (bar.low, bar.middle, bar.high))
    ends = [value for value in values if value is not None]
    if not ends:
        return ""
    ends += [0.0] if delta is None else [-delta * 1.3, delta * 1.3]
    x = Scale.over(ends, 50, WIDTH - 50)
    parts, base = [], 0
    for bar in bars:
        labels, last = wrap(bar.label, LETTERS), base - 4
        for line in labels:
            last += 26
            parts.append(text_at(6, last, line, size=13, weight="600"))
        if bar.note and len(labels[-1]) + len(bar.note) + 2 <= LETTERS:
            parts.append(text_at(WIDTH - 6, last, bar.note, anchor="end"))
        elif bar.note:
            last += 26
            parts.append(text_at(6, last, bar.note))
        at, colour = last + 24, COLOURS[0]
        if delta is not None:
            zone = f'x="{x(-delta):.1f}" y="{at - 13}" width="{x(delta) - x(-delta):.1f}" height="26"'
            parts.append(f'<rect {zone} fill="#E69F00" fill-opacity="0.22"/>')
        parts.append(line_at(x(0.0), at - 13, x(0.0), at + 13, INK, 1.4))  # not through the words
        if bar.low is not None and bar.high is not None:
            parts.append(line_at(x(bar.low), at, x(bar.high), at, colour, 3))
            parts += [line_at(x(end), at - 6, x(end), at + 6, colour, 3) for end in (bar.low, bar.high)]
        if bar.middle is not None:
            parts.append(f'<circle cx="{x(bar.middle):.1f}" cy="{at}" r="5" fill="{colour}"/>')
        base = at + 16
    height = base + BOTTOM
    parts += _ticks_below(x, height, x_label)
    return _svg(parts, height, title, text)


def plane(
    borders: Sequence[Sequence[Sequence[tuple[float, float]]]],
    points: Sequence[tuple[float, float, bool]],
    axes: Sequence[tuple[float, float]],
    *,
    title: str,
    text: str,
    x_label: str,
    y_label: str,
) -> str:
    """Borders in the plane of two inputs, each as lines, over points (x, y, whether filled)."""
    height = 420
    (left, right), (low, high) = axes
    y = Scale(low, high, height - BOTTOM, TOP)
    x = Scale(left, right, _left(y), WIDTH - RIGHT)
    parts = _axes(x, y, height, x_label, y_label, x_whole=False, x_ticks=())
    for a, b, filled in points:
        fill = f'fill="{INK}" fill-opacity="0.6"' if filled else 'fill="none"'
        parts.append(
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4" {fill} stroke="{INK}" stroke-opacity="0.7"/>'
        )
    for index, border in enumerate(borders):
        colour, dash = style(index)
        path = "".join("M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line) for line in border)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5"{dashes}/>')
    return _svg(parts, height, title, text)


def scatter(
    points: Sequence[tuple[float, float, int]], *, title: str, text: str, x_label: str, y_label: str
) -> str:
    """Points (x, y, number of the class), each class with its colour and marker."""
    height = 300
    y = Scale.over([b for _, b, _ in points], height - BOTTOM, TOP)
    x = Scale.over([a for a, _, _ in points], _left(y), WIDTH - RIGHT)
    parts = _axes(x, y, height, x_label, y_label, x_whole=False, x_ticks=())
    parts += [_marker(of, x(a), y(b), style(of)[0]) for a, b, of in points]
    return _svg(parts, height, title, text)


@dataclass(frozen=True)
class Scale:
    """From values to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, log: bool = False) -> Scale:
        """A scale with a margin around the values."""
        low, high = min(values), max(values)
        if log:
            a, b = math.log10(low), math.log10(high)
            air = 0.04 * (b - a) or 0.5
            return cls(10 ** (a - air), 10 ** (b + air), start, end, True)
        air = 0.05 * (high - low) or (abs(high) * 0.1 or 1.0)
        return cls(low - air, high + air, start, end)

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Round values within the scale, about five of them."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            decades = [10.0**k for k in range(first, last + 1, max(1, (last - first) // 6))]
            if len(decades) > 1:
                return decades
            steps = [v for k in range(first - 2, last + 2) for v in (10.0**k, 2 * 10.0**k, 5 * 10.0**k)]
            if len(shown := [v for v in steps if self._in(v)]) > 1:
                return shown
        rough = (self.high - self.low) / 7
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
        step = max(1.0, round(step)) if whole else step
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]

    def _in(self, value: float) -> bool:
        return self.low <= value <= self.high


def _shown(point: tuple[float, float], x_log: bool, y_log: bool) -> bool:
    a, b = point
    return math.isfinite(a) and math.isfinite(b) and (a > 0 or not x_log) and (b > 0 or not y_log)


def _left(y: Scale) -> float:
    """Where the axis of y stands: right of its labels, however large their text is shown."""
    longest = max((len(axis_label(value)) for value in y.ticks()), default=0)
    return max(LEAST_LEFT, 9 + LETTER * LARGE * longest)


def _axes(
    x: Scale, y: Scale, height: int, x_label: str, y_label: str, *, x_whole: bool, x_ticks: Sequence[float]
) -> list[str]:
    parts = [text_at(2, 17, y_label)]
    values = y.ticks()
    sizes = _sizes([y(value) for value in values], [1.0] * len(values))
    for value, size in zip(values, sizes, strict=True):
        parts.append(line_at(x.start, y(value), WIDTH - RIGHT, y(value), FAINT, 1))
        if size:
            label = axis_label(value)
            parts.append(text_at(x.start - 7, y(value) + 5, label, anchor="end", spare=size == SMALL))
    return [*parts, *_ticks_below(x, height, x_label, whole=x_whole, ticks=x_ticks)]


def _ticks_below(
    x: Scale, height: int, label: str, *, whole: bool = False, ticks: Sequence[float] = ()
) -> list[str]:
    base = height - BOTTOM
    parts = [line_at(x.start, base, x.end, base, INK, 1)]
    values = ticks or x.ticks(whole=whole)
    labels = [axis_label(value) for value in values]
    sizes = _sizes([x(value) for value in values], [LETTER * (len(text) + 1) for text in labels])
    for value, text, size in zip(values, labels, sizes, strict=True):
        parts.append(line_at(x(value), base, x(value), base + 5, INK, 1))
        if size:
            parts.append(text_at(x(value), base + 21, text, anchor="middle", spare=size == SMALL))
    parts.append(text_at((x.start + x.end) / 2, base + 48, label, anchor="middle"))
    return parts


def _sizes(places: Sequence[float], extents: Sequence[float]) -> list[int]:
    """The largest font size at which each label of an axis has room beside those before it; 0 where it has none.

    Args:
        places: of the labels' middles, in pixels, in order along the axis.
        extents: of the labels along the axis, in font sizes.
    """
    sizes = [0] * len(places)
    for size in (SMALL, LARGE):
        end = -math.inf
        for index, (place, extent) in enumerate(zip(places, extents, strict=True)):
            at, half = abs(place - places[0]), extent * size / 2
            if at - half >= end and (size == SMALL or sizes[index]):
                sizes[index], end = size, at + half
    return sizes


def _marker(index: int, x: float, y: float, colour: str) -> str:
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{colour}"/>',
        f'<rect x="{x - 3.3:.1f}" y="{y - 3.3:.1f}" width="6.6" height="6.6" fill="{colour}"/>',
        f'<path d="M{x:.1f} {y - 4.4:.1f}l4.2 7.6h-8.4z" fill="{colour}"/>',
        f'<path d="M{x:.1f} {y - 4.6:.1f}l4.6 4.6-4.6 4.6-4.6-4.6z" fill="{colour}"/>',
    )
    return shapes[index % len(shapes)]


def key(index: int) -> str:
    """The sample of a series for a legend."""
    colour, dash = style(index)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    line = f'<line x1="1" y1="7" x2="33" y2="7" stroke="{colour}" stroke-width="2"{dashes}/>'
    return (
        '<svg class="key" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true">'
        f"{line}{_marker(index, 17, 7, colour)}</svg>"
    )


def distribution(counts: Sequence[int], *, title: str) -> str:
    """A small picture of how often values occur: a bar each, as high as its count; empty without counts."""
    if not counts:
        return ""
    most, width = max(counts) or 1, 120 / len(counts)
    bars = "".join(
        f'<rect x="{index * width:.1f}" y="{30 - 28 * count / most:.1f}" width="{max(width - 1, 0.5):.1f}"'
        f' height="{28 * count / most:.1f}" fill="{COLOURS[0]}"/>'
        for index, count in enumerate(counts[:120])
    )
    rule = f'<line x1="0" y1="30.5" x2="120" y2="30.5" stroke="{FAINT}"/>'
    text = f"{title}: {', '.join(map(str, counts[:20]))}"
    return f'<svg viewBox="0 0 120 31" width="120" height="31" role="img"><title>{escape(text)}</title>{rule}{bars}</svg>'


def line_at(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def text_at(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    size: int = SMALL,
    weight: str = "400",
    spare: bool = False,
) -> str:
    """A text. spare: there is room for it only while text is small."""
    name = ' class="spare"' if spare else ""
    return (
        f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="{INK}">{escape(text)}</text>'
    )


def _svg(parts: Sequence[str], height: int, title: str, text: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title><desc>{escape(text)}</desc>{''.join(parts)}</svg>"
    )
