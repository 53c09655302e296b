"""SQL on the classes table, and on the keys of a class."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from service.store.api_key_rows import COLUMNS
from service.store.clock import db_now
from service.store.tables import api_keys, classes

_valid = api_keys.c.revoked_at.is_(None)


def insert_class(connection: Connection, name: str, code_hash: str, most: int) -> None:
    values = {"name": name, "code_hash": code_hash, "most": most, "created_at": db_now()}
    connection.execute(insert(classes).values(**values))


def class_rows(connection: Connection) -> list[Row[Any]]:
    """Every class with `students`, the number of its valid keys."""
    students = (
        select(func.count())
        .where(api_keys.c.class_name == classes.c.name, _valid)
        .scalar_subquery()
        .label("students")
    )
    return list(connection.execute(select(classes, students).order_by(classes.c.created_at, classes.c.name)))


def lock_class(connection: Connection, code_hash: str) -> Row[Any] | None:
    """The class with this code, locked until the transaction ends, so that its students are counted one after the other."""
    return connection.execute(
        select(classes).where(classes.c.code_hash == code_hash).with_for_update()
    ).first()


def set_opened(connection: Connection, name: str, opened: bool) -> bool:
    """Whether there is such a class."""
    values = {"opened_at": db_now() if opened else None}
    return connection.execute(update(classes).where(classes.c.name == name).values(**values)).rowcount > 0


def student_rows(connection: Connection, name: str) -> list[Row[Any]]:
    """The valid keys of a class by owner."""
    statement = select(*COLUMNS).where(api_keys.c.class_name == name, _valid).order_by(api_keys.c.owner)
    return list(connection.execute(statement))


def knows_owner(connection: Connection, owner: str) -> bool:
    """Whether somebody holds a valid key under this name."""
    return (
        connection.execute(select(api_keys.c.id).where(api_keys.c.owner == owner, _valid)).first() is not None
    )
