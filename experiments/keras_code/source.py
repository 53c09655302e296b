"""A program's text as a syntax tree. Python 2's `print`, notebook commands and prompts are set aside, with a note."""

from __future__ import annotations

import ast
import re
import warnings

from experiments.errors import SpecError
from experiments.keras_code.notes import Notes
from experiments.spec.documents import FULL_WIDTH

MAX_CHARACTERS = 200_000
MAX_NODES = 50_000
"""Of a program: a long tutorial has about 2,000."""
_PRINT = re.compile(r"^(\s*)print\b(?!\s*\()")
_PROMPT = re.compile(r"^(>>>|\.\.\.) ?")
_COMMAND = re.compile(r"^\s*[%!]")
_FENCE = re.compile(r"^\s*```")


def parse(code: str, notes: Notes) -> ast.Module:
    """The syntax tree of a program.

    Raises:
        SpecError: too long, or no Python; with the line.
    """
    if len(code) > MAX_CHARACTERS:
        raise SpecError.one("", f"the program has {len(code):,} characters", f"at most {MAX_CHARACTERS:,}")
    lines = code.replace("\r\n", "\n").replace("\r", "\n").expandtabs(8).split("\n")
    prompted = any(line.startswith(">>> ") for line in lines)
    for index, line in enumerate(lines):
        number = index + 1
        if prompted:
            line = _PROMPT.sub("", line)
        if _COMMAND.match(line) or _FENCE.match(line):
            notes.add(number, "read", "a command of the notebook, not of the program")
            line = ""
        elif (printed := _PRINT.match(line)) is not None and not _is_python(line):
            notes.add(number, "old", "Python 2's print; what is measured is shown by itself")
            line = f"{printed.group(1)}pass"
        lines[index] = line
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as "\d" in the program
            tree = ast.parse("\n".join(lines))
    except SyntaxError as error:
        raise _no_python(lines, error) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise SpecError.one("", f"this is no Python: {error}", "a Keras program") from error
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise SpecError.one("", "the program is too long to be read", f"at most {MAX_NODES:,} expressions")
    return tree


def _is_python(line: str) -> bool:
    """Whether a line that begins with `print` is today's Python, such as `print = log`."""
    try:
        ast.parse(line.strip())
    except (SyntaxError, ValueError):
        return False
    return True


def _no_python(lines: list[str], error: SyntaxError) -> SpecError:
    number = error.lineno or 1
    line = lines[number - 1] if number <= len(lines) else ""
    sign = next((character for character in line if character in FULL_WIDTH), None)
    if sign is not None:
        message = f"line {number}: the full-width sign {sign}"
        return SpecError.one("", message, f"{FULL_WIDTH[sign]} as on an English keyboard")
    return SpecError.one("", f"line {number}: this is no Python: {error.msg}", "a Keras program")
