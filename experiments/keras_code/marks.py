"""Which lines of a program nothing is needed of: prints, plots, calls of the system, functions that nobody calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from experiments.keras_code.notes import Notes

UNNEEDED = "not needed here, or known only when the program runs; never run"
CLOCK = "a time by the clock: every run has the seconds of its training as time/train_s, so it is not needed"
SHOWN = "text that the program prints: every epoch's metrics are kept with the run, so it is not needed"
DRAWN = "a picture that the program draws: those of a run are drawn for it, so it is not needed"
WHY = {
    "time": CLOCK, "datetime": CLOCK, "timeit": CLOCK, "print": SHOWN, "logging": SHOWN, "matplotlib": DRAWN,
    "seaborn": DRAWN, "plotly": DRAWN,
}  # fmt: skip
"""Module or function that a statement calls -> what the statement is, and why a spec needs nothing of it."""


class Marks:
    """The statements of a program while it is read. One that is needed once is needed, however often it is read."""

    def __init__(self) -> None:
        self._needed: dict[tuple[int, int], bool] = {}
        """(first line, last line) -> whether something of the statement is needed."""
        self._why: dict[tuple[int, int], str] = {}

    def note(self, node: ast.stmt, *, needed: bool, why: str = UNNEEDED) -> None:
        """A statement that was read. `why`: what is said of it where nothing of it is needed."""
        lines = (node.lineno, node.end_lineno or node.lineno)
        self._needed[lines] = self._needed.get(lines, False) or needed
        self._why[lines] = why

    def skip(self, body: Iterable[ast.stmt]) -> None:
        """Statements that are not read here, and perhaps never."""
        for statement in body:
            inner: list[ast.stmt] = [
                field for name in ("body", "orelse", "finalbody") for field in getattr(statement, name, [])
            ]
            if inner:
                self.skip(inner)
            elif not isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass | ast.Return):
                self.note(statement, needed=False)

    def add_note(self, notes: Notes) -> None:
        """Say once for each reason which lines are not needed: those of which nothing else was said."""
        said = notes.lines
        left: dict[str, list[tuple[int, int]]] = {}
        for lines, needed in sorted(self._needed.items()):
            if not needed and not any(line in said for line in range(lines[0], lines[1] + 1)):
                left.setdefault(self._why[lines], []).append(lines)
        for why, spans in left.items():
            joined = _joined(spans)
            text = ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in joined)
            several = len(joined) > 1 or joined[0][0] < joined[0][1]
            notes.add(joined[0][0], "read", f"{why}: line{'s' * several} {text}")


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that follow each other as one."""
    joined = [spans[0]]
    for first, last in spans[1:]:
        if first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
