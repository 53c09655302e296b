"""Rows of browsers' sessions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from service.store.api_key_rows import COLUMNS
from service.store.clock import db_now, later
from service.store.tables import api_keys, sessions


def insert_session(connection: Connection, hash: str, key_id: str, seconds: float) -> None:
    """Keep a session that expires after so many seconds. Expired sessions of everybody are removed."""
    connection.execute(delete(sessions).where(sessions.c.expires_at <= db_now()))
    values = {"hash": hash, "key_id": key_id, "created_at": db_now(), "expires_at": later(seconds)}
    connection.execute(insert(sessions).values(**values))


def find_session_key(connection: Connection, hash: str) -> Row[Any] | None:
    """The key behind a session, unless the session has expired or the key was revoked."""
    live = (sessions.c.hash == hash) & (sessions.c.expires_at > db_now()) & api_keys.c.revoked_at.is_(None)
    statement = select(*COLUMNS).join(sessions, sessions.c.key_id == api_keys.c.id).where(live)
    return connection.execute(statement).first()


def delete_session(connection: Connection, hash: str) -> None:
    connection.execute(delete(sessions).where(sessions.c.hash == hash))
