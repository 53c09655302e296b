"""Columns that several operations set when they take a run along an edge."""

from __future__ import annotations

from typing import Any

from service.store.clock import db_now

QUEUED_AGAIN: dict[str, Any] = {"worker": None, "lease_expires_at": None, "dispatched_at": None}
"""Columns cleared when a run is queued again."""


def ended_without_outcome(reason: str) -> dict[str, Any]:
    """Columns of a run that ends now and has no outcome of its own."""
    return {"reason": reason, "ended_at": db_now(), "worker": None, "lease_expires_at": None}
