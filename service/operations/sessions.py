"""Sessions of browsers: 256 random bits in a cookie, kept as SHA-256 only, with an end and a log-out."""

from __future__ import annotations

import secrets

from service.operations.keys import authenticate, hashed
from service.people import ApiKey
from service.store import Connection, mapper, session_rows
from service.store.engine import Store


def open_session(store: Store, secret: str, seconds: float) -> str | None:
    """Begin a session for whoever has a key.

    Args:
        secret: the key as its owner holds it.
        seconds: how long the session lasts.

    Returns:
        the session's token, which is told here and never again; None where the key is not known or was revoked.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    key = authenticate(store, secret)
    if key is None:
        return None
    token = secrets.token_urlsafe(32)
    store.write(lambda connection: session_rows.insert_session(connection, hashed(token), key.id, seconds))
    return token


def session_key(store: Store, token: str) -> ApiKey | None:
    """The key behind a session; None once the session has ended or expired, or its key was revoked.

    Raises:
        StoreUnavailable: the database does not answer.
    """

    def look(connection: Connection) -> ApiKey | None:
        row = session_rows.find_session_key(connection, hashed(token))
        return None if row is None else mapper.to_api_key(row)

    return store.read(look) if token else None


def close_session(store: Store, token: str) -> None:
    """End a session. Ended once more, it changes nothing. Raises StoreUnavailable."""
    store.write(lambda connection: session_rows.delete_session(connection, hashed(token)))
