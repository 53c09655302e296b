"""Prepare the database before the service starts: `python -m service.prepare`. Idempotent.

Migrates the schema and, where GRADUS_API_KEY is set, makes that key known with every scope, so that a fresh installation
has a first key.
"""

from __future__ import annotations

import sys

from service import operations
from service.settings import load_settings
from service.startup import run_program
from service.store import Store
from service.store.migrate import upgrade


def prepare(url: str, *, first_key: str | None = None, only_process: bool = False) -> None:
    """Migrate the database at `url`, and make `first_key` known.

    Args:
        first_key: secret of a key with every scope; at least 32 characters.
        only_process: no other process uses this database now, so runs that earlier workers held are queued again.

    Raises:
        GradusError: the database does not answer, or the key is too short.
    """
    upgrade(url)
    store = Store(url)
    try:
        if first_key is not None:
            operations.adopt_key(store, first_key, owner="admin", scopes=operations.SCOPES)
        if only_process:
            operations.release_all(store)
    finally:
        store.close()


def main() -> int:
    settings = load_settings()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    prepare(settings.sql_url, first_key=key)
    print("the database is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(run_program("gradus prepare", main))
