"""Requests to a run."""

from __future__ import annotations

from sqlalchemy import Connection, select

from service.entities import Request
from service.errors import NotFound
from service.store import mapper
from service.store.engine import Store
from service.store.tables import requests


def get_request(store: Store, id: str) -> Request:
    """Raises NotFound."""

    def work(connection: Connection) -> Request:
        row = connection.execute(select(requests).where(requests.c.id == id)).first()
        if row is None:
            raise NotFound("request", id)
        return mapper.to_request(row)

    return store.read(work)
