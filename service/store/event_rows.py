"""SQL on the events table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, insert

from service.actor import current_actor
from service.store.clock import NOW_SQLITE, db_now, db_transaction
from service.store.engine import EncodedJson, insert_at_once
from service.store.mapper import finite
from service.store.tables import events


def record_experiment_event(connection: Connection, experiment_id: str, what: str, **data: Any) -> None:
    """Write an event of the experiment itself, for example `submitted`."""
    event = {
        "experiment_id": experiment_id,
        "run_id": None,
        "kind": "experiment",
        "data": {"what": what, **data},
    }
    record_events(connection, [event])


def record_events(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write event rows of experiment_id, run_id, kind and data."""
    if not rows:
        return
    actor = current_actor()
    if connection.dialect.name == "sqlite":
        asked_by = None if actor is None else EncodedJson.of(asdict(actor))
        names = ("experiment_id", "run_id", "kind")
        values = [
            (*(row[name] for name in names), EncodedJson.of(finite(row["data"])), asked_by) for row in rows
        ]
        place = f"(0, {NOW_SQLITE}, ?, ?, ?, ?, ?)"
        insert_at_once(
            connection, events, ("transaction", "at", *names, "data", "actor"), values, place=place
        )
        return
    statement = insert(events).values(
        transaction=db_transaction(),
        at=db_now(),
        **{name: bindparam(name) for name in ("experiment_id", "run_id", "kind")},
        data=bindparam("data", type_=events.c.data.type),
        actor=bindparam("actor", None if actor is None else asdict(actor), type_=events.c.actor.type),
    )
    # With RETURNING, SQLAlchemy sends many rows in one statement; one for each costs PostgreSQL far more.
    statement = statement.returning(events.c.id)
    connection.execute(statement, [{**row, "data": finite(row["data"])} for row in rows])
