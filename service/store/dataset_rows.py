"""SQL on the datasets table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Text, cast, delete, func, insert, or_, select, update

from service.store.clock import db_now
from service.store.tables import datasets, experiments

SHORTEST_ID = 6
"""Characters of a digest that may stand for it."""


def insert_dataset(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(datasets).values(created_at=db_now(), **values))


def change_dataset(connection: Connection, id: str, owner: str, values: Mapping[str, Any]) -> None:
    row = (datasets.c.id == id) & (datasets.c.owner == owner)
    connection.execute(update(datasets).where(row).values(**values))


def dataset_rows(connection: Connection, owner: str | None) -> Sequence[Row[Any]]:
    """All files, or those of an owner, the newest first."""
    statement = select(datasets).order_by(datasets.c.created_at.desc(), datasets.c.id)
    return connection.execute(
        statement if owner is None else statement.where(datasets.c.owner == owner)
    ).all()


def find_datasets(connection: Connection, key: str, owner: str | None) -> Sequence[Row[Any]]:
    """Files with this name or digest, which may be shortened, the newest first."""
    names = [datasets.c.name == key, datasets.c.id == key]
    if len(key) >= SHORTEST_ID and key.isalnum():
        names.append(datasets.c.id.startswith(key))
    statement = select(datasets).where(or_(*names)).order_by(datasets.c.created_at.desc())
    return connection.execute(
        statement if owner is None else statement.where(datasets.c.owner == owner)
    ).all()


def delete_dataset(connection: Connection, id: str, owner: str) -> None:
    connection.execute(delete(datasets).where(datasets.c.id == id, datasets.c.owner == owner))


def bytes_of(connection: Connection, owner: str) -> int:
    """Bytes of all files of an owner."""
    total = select(func.sum(datasets.c.size_bytes)).where(datasets.c.owner == owner)
    return int(connection.scalar(total) or 0)


def matrix_needed(connection: Connection, sha256: str) -> bool:
    """Whether a file has this matrix: of another owner, or with the same numbers written in another way."""
    named = cast(datasets.c.found, Text).contains(sha256)
    return connection.scalar(select(datasets.c.id).where(named).limit(1)) is not None


def experiments_with(connection: Connection, id: str, most: int = 3) -> list[str]:
    """Names of experiments, not deleted, whose spec names this file."""
    named = cast(experiments.c.spec, Text).contains(id)
    statement = select(experiments.c.name).where(experiments.c.deleted_at.is_(None), named).limit(most)
    return [str(name) for name in connection.scalars(statement)]
