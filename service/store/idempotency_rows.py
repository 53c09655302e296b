"""SQL on the idempotency table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from service.store.clock import db_now
from service.store.tables import idempotency


def find_key(connection: Connection, owner: str, key: str) -> Row[Any] | None:
    row = (idempotency.c.owner == owner) & (idempotency.c.key == key)
    return connection.execute(select(idempotency).where(row)).first()


def insert_key(connection: Connection, owner: str, key: str, body_hash: str, experiment_id: str) -> None:
    connection.execute(
        insert(idempotency).values(
            owner=owner, key=key, body_hash=body_hash, experiment_id=experiment_id, created_at=db_now()
        )
    )


def delete_keys(connection: Connection, older_than: float) -> None:
    """Delete keys that were first used more than that many seconds ago."""
    connection.execute(delete(idempotency).where(idempotency.c.created_at < db_now() - older_than))
