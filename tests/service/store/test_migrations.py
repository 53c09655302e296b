"""Models and migrations agree, up and down, from an installed package as well as from a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from service.store import Store
from service.store.migrate import current, downgrade, head, upgrade
from service.store.tables import metadata


def tables(url: str) -> Any:
    store = Store(url)
    names = set(inspect(store.engine).get_table_names())
    store.close()
    return names - {"alembic_version", "sqlite_sequence"}


def test_migrations_make_what_the_models_say(database_url: Any) -> None:
    upgrade(database_url)
    store = Store(database_url)

    def differences(connection: Any) -> Any:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    assert store.read(differences) == []
    indexes = {
        index["name"] for table in metadata.tables for index in inspect(store.engine).get_indexes(table)
    }
    assert indexes >= {index.name for table in metadata.tables.values() for index in table.indexes}
    store.close()
    assert tables(database_url) == set(metadata.tables)


def test_down_and_up_again(database_url: Any) -> None:
    assert current(database_url) is None
    upgrade(database_url)
    assert current(database_url) == head()
    downgrade(database_url, "base")
    assert tables(database_url) == set()
    upgrade(database_url)
    upgrade(database_url)
    assert tables(database_url) == set(metadata.tables)


def test_several_processes_may_migrate_at_once(database_url: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(upgrade, database_url) for _ in range(4)]:
            done.result(timeout=60)
    assert current(database_url) == head()


def test_connections_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """SQLite refuses some of the connections that turn it to WAL together (about 3 in 1,200)."""

    with ThreadPoolExecutor(8) as pool:
        for number in range(100):
            url = f"sqlite:///{tmp_path / f'{number}.db'}"
            assert list(pool.map(current, [url] * 8)) == [None] * 8


def test_it_runs_as_a_command_from_anywhere(tmp_path: Path) -> None:
    environment = {**os.environ, "GRADUS_DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}"}
    command = [sys.executable, "-m", "service.store.migrate"]
    for arguments, expected in (([], "schema at 0005"), (["downgrade", "base"], "schema at nothing")):
        done = subprocess.run(
            command + arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert expected in done.stdout
