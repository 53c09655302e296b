"""Alembic's entry: it is given a connection by `service.store.migrate`, or opens one to the configured database."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from service.store.tables import metadata


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    from service.settings import get_settings
    from service.store.engine import Store

    Store(get_settings().sql_url).write(migrate)
