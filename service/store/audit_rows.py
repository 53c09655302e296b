"""SQL on the audit table: who asked for which change. Rows outlive what they are about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert

from service.actor import current_actor
from service.store.clock import db_now, later
from service.store.tables import audit


def record_audit(connection: Connection, action: str, kind: str, id: str, /, **details: Any) -> None:
    """Write that the current actor did something, in the transaction that does it. Without an actor nothing is written.

    Args:
        action: what was done, for example `cancelled`.
        kind: experiment, run, key, request or dataset.
        id: of the thing.
        details: what else a reader wants to know once the thing is gone, for example its name.
    """
    actor = current_actor()
    if actor is None:
        return
    connection.execute(
        insert(audit).values(
            at=db_now(),
            action=action,
            kind=kind,
            target_id=id,
            owner=actor.owner,
            key_id=actor.key_id,
            address=actor.address,
            request_id=actor.request_id,
            details=details,
        )
    )


def delete_old_audit(connection: Connection, seconds: float) -> None:
    """Delete rows older than that many seconds."""
    connection.execute(delete(audit).where(audit.c.at < later(-seconds)))
