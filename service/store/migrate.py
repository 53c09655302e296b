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

from experiments.errors import GradusError
from service.errors import WrongSchema
from service.settings import load_settings
from service.store.engine import Store, take_turn


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at `url` up to a revision.

    Raises:
        StoreUnavailable: it does not answer.
        WrongSchema: its schema is newer than this software.
        DatabaseDamaged: the file is no database.
    """
    store = Store(url)
    try:
        _refuse_newer(_revision(store))
    finally:
        store.close()
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Migrate the database down to a revision; `base` removes every table. Raises StoreUnavailable."""
    _run(url, lambda config: command.downgrade(config, revision))


def current(url: str) -> str | None:
    """The revision the database is at; None before the first."""
    store = Store(url)
    try:
        return _revision(store)
    finally:
        store.close()


def check_schema(store: Store) -> None:
    """Refuse a database whose schema is not the one that this software works with.

    Raises:
        WrongSchema: it is newer, or not migrated yet.
        StoreUnavailable: it does not answer.
        DatabaseDamaged: the file is no database.
    """
    revision = _revision(store)
    _refuse_newer(revision)
    if revision != head():
        raise WrongSchema(
            f"the database has {f'schema {revision}' if revision else 'no schema'}, and this version needs {head()};"
            " migrate it with `python -m service.prepare` (`gradus up` does so by itself)",
            found=revision,
            expected=head(),
        )


def _refuse_newer(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise WrongSchema(
            f"the database has schema {revision}, which a newer version of this software made; the newest that this one"
            f" knows is {head()}. Install the newer version, or restore a backup of before its first start",
            found=revision,
            expected=head(),
        )


def _revision(store: Store) -> str | None:
    return store.read(lambda connection: MigrationContext.configure(connection).get_current_revision())


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
    try:
        sys.exit(main())
    except GradusError as error:
        print(f"gradus migrate: {error}", file=sys.stderr)
        sys.exit(2)
