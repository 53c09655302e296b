"""What the command prints: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

STYLES = {"FINISHED": "green", "RUNNING": "cyan", "SCHEDULED": "dim", "FAILED": "red", "KILLED": "yellow"}


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_csv(rows: Sequence[Mapping[str, object]]) -> None:
    """Rows as CSV; the columns are those of all rows together, in order of first sight."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(sys.stdout, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = ""
) -> None:
    """A table; numbers to the right. `empty` is said where there are no rows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [[_text(value) for value in row] for row in rows]
    if not cells and empty:
        say(empty)
        return
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, name in enumerate(columns):
        numeric = bool(cells) and all(_is_number(row[index]) for row in cells if row[index])
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console().print(table)


def console(*, error: bool = False) -> Any:
    """The terminal. Piped output is not cut at 80 columns."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(
        stderr=error, width=None if stream.isatty() else 200, highlight=False, emoji=False, markup=False
    )


def say(text: str) -> None:
    """One line for a person."""
    print(text, flush=True)


def complain(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def counts(status: Mapping[str, int]) -> str:
    """`12 FINISHED, 3 RUNNING`, without the zeros."""
    return ", ".join(f"{number} {name}" for name, number in status.items() if number) or "no runs"


def short(id: str) -> str:
    """The first eight characters of an id: enough to be unique among thousands."""
    return id[:8]


def number(value: object, digits: int = 4) -> str:
    """A number with few digits; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def quantity(value: float, unit: str = "") -> str:
    """1234567 gives `1.23 M`."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def ago(moment: str | None, now: datetime | None = None) -> str:
    """`3 min ago` for a time of the API."""
    if not moment:
        return ""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _text(value: object) -> str:
    return number(value)


def _is_number(text: str) -> bool:
    return (
        text.replace(",", "").replace(".", "").replace("-", "").replace("e", "").replace("+", "").isdecimal()
    )
