"""The builder's third tab: a pasted Keras program becomes the text of the spec."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.keras_code import Note, import_keras
from experiments.limits import Limits


@dataclass(frozen=True)
class Program:
    """A pasted program as the tab shows it, and what was made of its lines."""

    code: str = ""
    notes: tuple[Note, ...] = ()

    def line(self, number: int) -> str:
        """A line of the program, from 1."""
        lines = self.code.splitlines()
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


NO_PROGRAM = Program()


def read_program(code: str, limits: Limits) -> tuple[str, Program]:
    """(the spec as YAML, the program with its notes). Raises SpecError: no Python, or no network in it."""
    imported = import_keras(code, limits=limits)
    return imported.yaml, Program(code, imported.notes)
