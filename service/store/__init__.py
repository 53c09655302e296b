"""Rows, sessions, and all SQL."""

from service.store.engine import Store

__all__ = ["Store"]
