"""Rows as a table: for a terminal, as plain text, as HTML for a notebook, as a DataFrame."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradus.text import number

if TYPE_CHECKING:
    from rich.table import Table

STYLES = {"FINISHED": "green", "RUNNING": "cyan", "SCHEDULED": "dim", "FAILED": "red", "KILLED": "yellow"}
WIDTH = 200  # columns of a table that no terminal limits


def rich_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table for a terminal; columns of numbers to the right, statuses in their colours."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [[number(value) for value in row] for row in rows]
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, name in enumerate(columns):
        justify = "right" if _numeric(cells, index) else "left"
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return table


def text_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as text, as wide as it needs to be up to 200 characters."""
    from rich.console import Console

    file = io.StringIO()
    console = Console(file=file, width=WIDTH, highlight=False, emoji=False, markup=False)
    console.print(rich_table(title, columns, rows))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as HTML; every cell is escaped."""
    cells = [[number(value) for value in row] for row in rows]
    align = ["right" if _numeric(cells, index) else "left" for index in range(len(columns))]

    def line(tag: str, texts: Sequence[str]) -> str:
        parts = (
            f'<{tag} style="text-align: {side}">{html.escape(text)}</{tag}>'
            for side, text in zip(align, texts, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    body = "".join(line("td", row) for row in cells)
    return f"<table>{caption}<thead>{line('th', columns)}</thead><tbody>{body}</tbody></table>"


def as_frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A DataFrame where pandas is installed, else the rows as a list of dicts. Cells that a row lacks are NaN."""
    try:
        import pandas as pd
    except ImportError:
        return [dict(row) for row in rows]
    return pd.DataFrame.from_records(list(rows))


def _numeric(cells: Sequence[Sequence[str]], index: int) -> bool:
    texts = [row[index] for row in cells if row[index]]
    return bool(texts) and all(_is_number(text) for text in texts)


def _is_number(text: str) -> bool:
    return text.translate(str.maketrans("", "", ",.-+e")).isdecimal()
