"""API keys: 256 random bits, kept as SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from service.errors import NotFound, WeakKey
from service.people import ApiKey
from service.store import Connection, api_key_rows, audit_rows, mapper
from service.store.engine import Store
from service.store.ids import new_id

PREFIX = "gradus_"
SCOPES = ("read", "write", "admin")
NOTE_USE_SECONDS = 60.0
SHORTEST_SECRET = 32  # characters: 128 bits, written in hex


def create_key(
    store: Store, *, owner: str, scopes: Sequence[str], quota: int | None = None
) -> tuple[ApiKey, str]:
    """Make a key.

    Args:
        owner: whose experiments it may change.
        scopes: some of SCOPES.
        quota: how many runs the owner may have waiting; None: as set for everybody.

    Returns:
        The key and its secret. The secret cannot be read again.

    Raises:
        ValueError: a scope is unknown, or there is none.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ValueError(f"scopes are some of {', '.join(SCOPES)}; found {', '.join(unknown) or 'none'}")
    secret = PREFIX + secrets.token_urlsafe(32)
    id = new_id()
    values = {
        "id": id,
        "owner": owner,
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "hash": hashed(secret),
        "hint": secret[: len(PREFIX) + 4],
        "quota": quota,
    }

    def work(connection: Connection) -> ApiKey:
        api_key_rows.insert_api_key(connection, values)
        audit_rows.record_audit(connection, "created", "key", id, owner=owner, scopes=values["scopes"])
        return next(mapper.to_api_key(row) for row in api_key_rows.api_key_rows(connection) if row.id == id)

    return store.write(work), secret


def adopt_key(store: Store, secret: str, *, owner: str, scopes: Sequence[str]) -> None:
    """Make a key of a secret that somebody chose. A known one stays as it is, revoked or not.

    Args:
        secret: at least 32 characters.
        owner: whose experiments it may change.
        scopes: some of SCOPES.

    Raises:
        WeakKey: it is too short to hold 128 random bits.
    """
    if len(secret) < SHORTEST_SECRET:
        raise WeakKey(len(secret), SHORTEST_SECRET)
    hash = hashed(secret)
    values = {
        "id": new_id(),
        "owner": owner,
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "hash": hash,
        "hint": secret[:4],
        "quota": None,
    }

    def work(connection: Connection) -> None:
        if not api_key_rows.knows_api_key(connection, hash):
            api_key_rows.insert_api_key(connection, values)

    store.write(work, lock_name="api-keys")


def list_keys(store: Store) -> list[ApiKey]:
    """All keys, also revoked ones, the oldest first."""
    return store.read(
        lambda connection: [mapper.to_api_key(row) for row in api_key_rows.api_key_rows(connection)]
    )


def revoke_key(store: Store, key_id: str) -> None:
    """Make a key invalid at once. Idempotent.

    Raises:
        NotFound: there is no such key.
    """

    def work(connection: Connection) -> None:
        if not api_key_rows.revoke_api_key(connection, key_id):
            raise NotFound("key", key_id)
        audit_rows.record_audit(connection, "revoked", "key", key_id)

    store.write(work)


def authenticate(store: Store, secret: str) -> ApiKey | None:
    """The key of a secret; None where it is unknown or revoked. Its use is noted about once a minute."""
    digest = hashed(secret)

    def look(connection: Connection) -> tuple[ApiKey, bool] | None:
        row = api_key_rows.find_api_key(connection, digest, NOTE_USE_SECONDS)
        return None if row is None else (mapper.to_api_key(row), bool(row.stale))

    known = store.read(look)
    if known is None:
        return None
    key, stale = known
    if stale:
        store.write(lambda connection: api_key_rows.touch_api_key(connection, key.id))
    return key


def hashed(secret: str) -> str:
    """SHA-256 in hex. The secret has 256 random bits, so neither salt nor slowness would add anything."""
    return hashlib.sha256(secret.encode()).hexdigest()
