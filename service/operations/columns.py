"""Columns that several operations set when they take a run along an edge."""

from __future__ import annotations

from typing import Any

from service.store.clock import db_now

QUEUED_AGAIN: dict[str, Any] = {"worker": None, "lease_expires_at": None, "dispatched_at": None}
"""Columns cleared when a run is queued again."""
AFRESH: dict[str, Any] = {
    **QUEUED_AGAIN,
    "reason": "",
    "lease_expirations": 0,
    "single_lane": False,
    "cancel_requested_at": None,
    "committed_at": None,
    "outcome": None,
    "started_at": None,
    "ended_at": None,
}
"""Columns of a run that starts again as if it had never been tried. Its checkpoint stays."""


def ended_without_outcome(reason: str) -> dict[str, Any]:
    """Columns of a run that ends now and has no outcome of its own."""
    return {"reason": reason, "ended_at": db_now(), "worker": None, "lease_expires_at": None}
