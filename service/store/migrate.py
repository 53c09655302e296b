"""Bring the schema up to date: `python -m service.store.migrate [upgrade|downgrade|current] [REVISION]`.

Works from an installed package. Several processes may start at once: they take turns, and all but the first find
nothing to do.
"""

from __future__ import annotations

import argparse
import importlib.resources
import sys
from collections.abc import Callable, Sequence

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from service.settings import load_settings
from service.store.engine import Store, take_turn


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at `url` up to a revision. Raises StoreUnavailable."""
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Migrate the database down to a revision; `base` removes every table. Raises StoreUnavailable."""
    _run(url, lambda config: command.downgrade(config, revision))


def current(url: str) -> str | None:
    """The revision the database is at; None before the first."""
    store = Store(url)
    try:
        return store.read(lambda connection: MigrationContext.configure(connection).get_current_revision())
    finally:
        store.close()


def head() -> str | None:
    """The newest revision this package knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files("migrations")).replace("%", "%%"))
    return config


def _run(url: str, work: Callable[[Config], None]) -> None:
    def migrate(connection: Connection) -> None:
        take_turn(connection, "migrations")
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # a large table takes its time
        config = _config()
        config.attributes["connection"] = connection
        work(config)

    store = Store(url)
    try:
        store.write(migrate)
    finally:
        store.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m service.store.migrate", description=__doc__)
    parser.add_argument("action", nargs="?", default="upgrade", choices=["upgrade", "downgrade", "current"])
    parser.add_argument("revision", nargs="?", default=None, help="default: head, or one step down")
    options = parser.parse_args(arguments)
    url = load_settings().sql_url
    if options.action == "upgrade":
        upgrade(url, options.revision or "head")
    elif options.action == "downgrade":
        downgrade(url, options.revision or "-1")
    print(f"schema at {current(url) or 'nothing'}, newest is {head()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
