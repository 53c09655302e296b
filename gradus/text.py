"""Numbers, counts and times as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime


def counts(status: Mapping[str, int], shipping: int = 0) -> str:
    """`12 FINISHED, 3 RUNNING (2 shipping)`, without the zeros.

    Args:
        shipping: how many of those RUNNING are trained and wait for MLflow.
    """
    waiting = {"RUNNING": f" ({shipping} shipping)"} if shipping else {}
    parts = (f"{number} {name}{waiting.get(name, '')}" for name, number in status.items() if number)
    return ", ".join(parts) or "no runs"


def short_id(id: str) -> str:
    """The first eight characters of an id: enough to be unique among thousands."""
    return id[:8]


def number(value: object, digits: int = 4) -> str:
    """A number with few digits; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def interval(low: float | None, high: float | None) -> str:
    """`[0.1, 0.2]`; empty where there is none."""
    return "" if low is None and high is None else f"[{number(low)}, {number(high)}]"


def quantity(value: float, unit: str = "") -> str:
    """1234567 gives `1.23 M`."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """`3 min ago`."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{max(seconds, 0):.0f} s ago"
