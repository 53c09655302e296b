"""Who changed what."""

from __future__ import annotations

from sqlalchemy import Connection, select

from service.people import AuditEntry
from service.store import mapper
from service.store.engine import Store
from service.store.queries.cursors import whole_number
from service.store.tables import audit as table


def audit(
    store: Store,
    *,
    owner: str | None = None,
    action: str | None = None,
    target_id: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[AuditEntry], str | None]:
    """A page of the audit trail, newest first.

    Args:
        owner: only what this owner did.
        action: only this action, for example `deleted`.
        target_id: only what was done to the thing whose id begins so.
        cursor: of the page; None: the first.
        limit: most entries on the page.

    Returns:
        The entries, and the cursor of the next page (None: there is none).

    Raises:
        BadCursor: this service did not make the cursor.
    """

    def work(connection: Connection) -> tuple[list[AuditEntry], str | None]:
        statement = select(table)
        if owner is not None:
            statement = statement.where(table.c.owner == owner)
        if action is not None:
            statement = statement.where(table.c.action == action)
        if target_id is not None:
            statement = statement.where(table.c.target_id >= target_id, table.c.target_id < target_id + "g")
        if cursor is not None:
            statement = statement.where(table.c.id < whole_number(cursor))
        rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit + 1)).all()
        more = str(rows[limit - 1].id) if len(rows) > limit else None
        return [mapper.to_audit_entry(row) for row in rows[:limit]], more

    return store.read(work)
