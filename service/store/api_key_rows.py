"""SQL on the api_keys table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, insert, or_, select, update

from service.store.clock import db_now, later
from service.store.tables import api_keys, classes

_closed = exists().where(classes.c.name == api_keys.c.class_name, classes.c.opened_at.is_(None))
COLUMNS: tuple[ColumnElement[Any], ...] = (*api_keys.c, _closed.label("hides_others"))
"""A key, and whether it belongs to a class whose results are not open to each other."""


def insert_api_key(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(api_keys).values(created_at=db_now(), **values))


def api_key_rows(connection: Connection) -> list[Row[Any]]:
    return list(connection.execute(select(*COLUMNS).order_by(api_keys.c.created_at, api_keys.c.id)))


def find_api_key(connection: Connection, hash: str, stale_seconds: float) -> Row[Any] | None:
    """The live key of a hash; `stale` says whether its use was last noted longer ago than that."""
    live = (api_keys.c.hash == hash) & api_keys.c.revoked_at.is_(None)
    stale = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < later(-stale_seconds))
    columns = [*COLUMNS, stale.label("stale")]
    return connection.execute(select(*columns).where(live)).first()


def knows_api_key(connection: Connection, hash: str) -> bool:
    """Whether there is a key of this hash, revoked or not."""
    return connection.execute(select(api_keys.c.id).where(api_keys.c.hash == hash)).first() is not None


def touch_api_key(connection: Connection, id: str) -> None:
    """Note the use of a key."""
    connection.execute(update(api_keys).where(api_keys.c.id == id).values(last_used_at=db_now()))


def revoke_api_key(connection: Connection, id: str) -> bool:
    statement = update(api_keys).where(api_keys.c.id == id, api_keys.c.revoked_at.is_(None))
    if connection.execute(statement.values(revoked_at=db_now())).rowcount:
        return True
    return connection.execute(select(api_keys.c.id).where(api_keys.c.id == id)).first() is not None
