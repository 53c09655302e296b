"""What was made of each line of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NoteKind = Literal["read", "old", "slip", "changed", "left out"]
KINDS: dict[NoteKind, str] = {
    "read": "became a field of the spec, or needs none",
    "old": "a name of an earlier Keras; read as today's",
    "slip": "a mistake of the program; read as it was meant",
    "changed": "done in another way here",
    "left out": "cannot be expressed here; the note says what to write instead",
}
"""Kind of a note -> what it means."""
MAX_NOTES = 500


@dataclass(frozen=True)
class Note:
    """One remark about one line.

    Attributes:
        line: of the program, from 1.
        text: what became of it, or what to write instead.
    """

    line: int
    kind: NoteKind
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.kind}: {self.text}"


class Notes:
    """The notes of a program while it is read. The same remark about a line is kept once."""

    def __init__(self) -> None:
        self._notes: dict[Note, None] = {}

    def add(self, line: int, kind: NoteKind, text: str) -> None:
        if len(self._notes) < MAX_NOTES:
            self._notes[Note(line, kind, text)] = None

    @property
    def lines(self) -> set[int]:
        """The lines that something was said about."""
        return {note.line for note in self._notes}

    @property
    def old_style(self) -> bool:
        """Whether the program uses names of an earlier Keras."""
        return any(note.kind == "old" for note in self._notes)

    def sorted(self) -> tuple[Note, ...]:
        """All notes by line."""
        return tuple(sorted(self._notes, key=lambda note: note.line))
