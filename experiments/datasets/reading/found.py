"""What reading a file gives, and how its faults are told: by row and column, as a spreadsheet counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from experiments.datasets.reading.matrix import MatrixWriter, Numbers, Profile, Texts, profiles, table_of
from experiments.datasets.table import MAX_CHOICES, MAX_COLUMNS, MAX_VALUES, Table
from experiments.errors import Problem, SpecError
from experiments.fields import described, hidden_character
from experiments.messages import short

MOST_FAULTS = 20
FEWEST_ROWS = 5
LONGEST_NAME = 200


@dataclass(frozen=True)
class Found:
    """A file that was read.

    Attributes:
        preview: its first rows as text.
        warnings: what was read in a way that a person might not expect, and what is left out unless asked for.
    """

    table: Table
    profiles: dict[str, Profile]
    preview: list[list[str]]
    warnings: list[str]


@dataclass
class Where:
    """Which rows of the file are at hand. trailing: empty cells at the end of every row."""

    first: int = 1
    numbers: list[int] = field(default_factory=list)
    trailing: int = 0


class Faults:
    """Cells that cannot be used, up to twenty."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def cells(self, column: str, cells: Sequence[str], fault: Callable[[str], str | None]) -> None:
        """Note the cells of a column in which `fault` sees something."""
        for index, cell in enumerate(cells):
            if len(self.problems) == MOST_FAULTS:
                return
            if (what := fault(cell)) is not None:
                path = f"row {self.where.numbers[index]}, column {column}"
                self.problems.append(problem(path, what, cell))

    def check(self) -> None:
        """Raises SpecError where there is a fault."""
        if self.problems:
            raise SpecError(self.problems)


def problem(path: str, what: str, cell: object) -> Problem:
    """A fault of one cell."""
    if what == "no value":
        missing = "no value" if not str(cell).strip() else f"no value: {short(cell)}"
        return Problem(path, missing, "a value in every cell; fill it, or leave the row or the column out")
    return Problem(path, f"{short(cell)} {what}", "numbers, or texts, throughout a column")


def names_of(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of columns and warnings; a column without a name is called after its position.

    Raises:
        SpecError: too many, twice the same, too long, or with a character that is not shown.
    """
    if len(given) > MAX_COLUMNS:
        raise SpecError.one(
            "row 1",
            f"found {len(given):,} columns",
            f"at most {MAX_COLUMNS:,}; wider rows as one array of an NPZ file",
        )
    names = [name.strip() or f"column_{index}" for index, name in enumerate(given, 1)]
    first: dict[str, int] = {}
    problems = []
    for index, name in enumerate(names, 1):
        place = f"row 1, column {index}"
        if (other := first.setdefault(name, index)) != index:
            problems.append(
                Problem(place, f"{short(name)} is also the name of column {other}", "different names")
            )
        if len(name) > LONGEST_NAME:
            problems.append(Problem(place, f"a name of {len(name)} characters", f"at most {LONGEST_NAME}"))
        if (character := hidden_character(name)) is not None:
            message = f"the name has the hidden character {described(character)}"
            problems.append(Problem(place, message, "characters that are shown"))
    if problems:
        raise SpecError(problems[:MOST_FAULTS])
    unnamed = [name for name, text in zip(names, given, strict=True) if not text.strip()]
    warnings = [f"columns without a name are called {', '.join(unnamed[:5])}{' …' * (len(unnamed) > 5)}"]
    return names, warnings if unnamed else []


def finished(
    columns: Sequence[Numbers | Texts],
    writer: MatrixWriter,
    title: str,
    preview: list[list[str]],
    warnings: list[str],
) -> Found:
    """What was read, once every row was.

    Raises:
        SpecError: there are too few rows, or a text is none that could be shown.
    """
    if writer.rows < FEWEST_ROWS:
        writer.close()
        raise SpecError.one("file", f"holds {writer.rows} rows of values", f"at least {FEWEST_ROWS}")
    try:
        table = table_of(columns, writer, title)
    except ValidationError as error:
        raise SpecError.one("file", str(error.errors()[0]["msg"]), "numbers and plain texts") from None
    for column in table.columns:
        if not column.usable and column.text:
            warnings.append(
                f"column {column.name} holds more than {MAX_VALUES:,} different texts: it is no input and no target"
            )
        elif not column.usable:
            warnings.append(
                f"column {column.name} numbers the rows: it is no input unless `inputs` names it, or there is no other"
            )
        elif column.text and column.width > MAX_CHOICES:
            warnings.append(
                f"column {column.name} holds {column.width} different texts: as an input at most {MAX_CHOICES} are allowed"
            )
        elif column.shape is None and column.values is not None and len(column.values) == 1:
            warnings.append(f"column {column.name} holds the same value in every row: it says nothing")
    return Found(table, profiles(table, writer.path), preview, warnings)
