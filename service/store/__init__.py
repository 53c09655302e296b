"""Rows, sessions, and all SQL. `Connection` is one transaction; only this package knows what to say in it."""

from sqlalchemy import Connection, Row

from service.store.engine import Store

__all__ = ["Connection", "Row", "Store"]
