"""SQL on the certificates table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.store.clock import db_now
from service.store.engine import insert_or
from service.store.tables import certificates


def save_certificate(connection: Connection, key: str, verdict: str, report: Mapping[str, Any]) -> None:
    """Keep a certificate; the first one of a key stays."""
    statement = insert_or(connection.dialect.name, certificates).values(
        key=key, verdict=verdict, report=dict(report), created_at=db_now()
    )
    connection.execute(statement.on_conflict_do_nothing(index_elements=["key"]))
