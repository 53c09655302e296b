"""What the command prints: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


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
    """A table. `empty` is said where there are no rows."""
    from gradus.tables import rich_table

    lines = list(rows)
    if not lines and empty:
        say(empty)
    else:
        console().print(rich_table(title, columns, lines))


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
