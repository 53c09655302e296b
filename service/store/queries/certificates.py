"""Certificates of gradient checks."""

from __future__ import annotations

from sqlalchemy import Connection, select

from service.entities import Certificate
from service.store import mapper
from service.store.engine import Store
from service.store.tables import certificates


def get_certificate(store: Store, key: str) -> Certificate | None:
    statement = select(certificates).where(certificates.c.key == key)

    def work(connection: Connection) -> Certificate | None:
        row = connection.execute(statement).first()
        return None if row is None else mapper.to_certificate(row)

    return store.read(work)
