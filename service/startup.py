"""What the programs of the service do alike when they start: an error is a sentence with a remedy and exit status 2."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from experiments.errors import GradusError
from service.errors import StoreUnavailable
from service.settings import without_password
from service.store import Store
from service.store.migrate import check_schema

EXIT_UNUSABLE = 2


def run_program(name: str, main: Callable[[], int | None]) -> int:
    """Run a program's `main`.

    Returns:
        Its exit status; EXIT_UNUSABLE where it raised an error that has a sentence, which is printed.
    """
    try:
        return main() or 0
    except GradusError as error:
        sentence = str(error)
    except OSError as error:
        place = f" {error.filename}:" if error.filename else ""
        sentence = f"{place} {error.strerror or error}".strip()
    print(f"{name}: {without_password(sentence)}", file=sys.stderr, flush=True)
    return EXIT_UNUSABLE


def require_schema(store: Store) -> None:
    """Refuse to start on a database of another schema. One that does not answer now is waited for, so it passes.

    Raises:
        WrongSchema: the schema is newer, or has not been migrated yet.
        DatabaseDamaged: the file is no database.
    """
    with contextlib.suppress(StoreUnavailable):
        check_schema(store)
