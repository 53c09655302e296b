"""What runs every second, or at every scrape of /metrics, reads through no table that grows."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from service import operations as ops
from service.entities import Worker
from service.planner import dispatch, more_urgent
from service.routes import routes
from service.store import Store, queries
from service.store.metrics_snapshot import metrics_snapshot

GROWING = "runs|requests|metrics|events"
WHOLE = {
    "sqlite": re.compile(
        rf"SCAN ({GROWING})\b(?! USING)"
    ),  # USING an index: of a part of it, or of few columns
    "postgresql": re.compile(rf"Seq Scan on ({GROWING})\b"),
}
REGULAR = {
    "dispatch": lambda store: dispatch(store, lambda tile: None, lambda queue: 0),
    "requests": lambda store: ops.take_due_requests(store, resend_seconds=0),
    "new requests": ops.is_request_new,
    "urgent": lambda store: more_urgent(store, ["a" * 20], 1, routes("cpu", "tensorflow")),
    "reap": ops.reap,
    "questions": queries.staged_experiments,
    "metrics_snapshot": metrics_snapshot,
}


class Plans:
    """The plans of what a store's connections execute. PostgreSQL is asked to take any index that will do, as the
    tables are small here."""

    def __init__(self, store: Store) -> None:
        self.found: list[Any] = []
        self.said: list[Any] = []
        self.dialect = store.engine.dialect.name
        event.listen(store.engine, "before_cursor_execute", self.explain)

    def explain(
        self, connection: Any, cursor: Any, statement: Any, parameters: Any, context: Any, many: Any
    ) -> None:
        self.said.append(statement)
        if many or not statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            return
        raw = connection.connection.driver_connection
        if self.dialect == "sqlite":
            rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        else:
            mine = psycopg.ClientCursor(raw)
            mine.execute("SET LOCAL enable_seqscan = off")
            rows = mine.execute(f"EXPLAIN {statement}", parameters).fetchall()
        self.found.append((statement, "\n".join(str(row[-1]) for row in rows)))

    def whole(self) -> Any:
        """Table and statement of what was read from end to end."""
        return [(match[1], sql) for sql, plan in self.found for match in WHOLE[self.dialect].finditer(plan)]


@pytest.mark.parametrize("what", REGULAR)
def test_no_growing_table_is_read_from_end_to_end(store: Store, submit: Any, what: Any) -> None:
    """With a run in each place, a picture that gives way to them, and a request that a person waits for."""
    ops.beat(store, Worker("w", queues=("gradus.any",)))
    run, *_ = queries.all_runs(store, submit(sweep={"training.batch_size": [8, 16, 32, 64], "seeds": 1}).id)
    REGULAR["dispatch"](store)
    ops.claim(store, [run.id], worker="w", spool="s", lease_seconds=60)
    ops.create_request(store, run.id, kind="picture", payload={})
    if what == "requests":
        ops.create_request(store, run.id, kind="plot", payload={})
    plans = Plans(store)
    REGULAR[what](store)
    assert plans.found
    assert plans.whole() == []


def test_while_no_request_can_be_sent_none_is_written(store: Store, submit: Any) -> None:
    """A write takes SQLite's one lock, four times a second."""
    ops.beat(store, Worker("w", queues=("gradus.any",)))
    run, *_ = queries.all_runs(store, submit().id)
    ops.create_request(store, run.id, kind="picture", payload={})  # gives way to the runs that wait
    plans = Plans(store)
    assert ops.take_due_requests(store, resend_seconds=60) == []
    assert plans.found
    assert not [
        sql
        for sql in plans.said
        if re.match("BEGIN IMMEDIATE|UPDATE|DELETE|INSERT", sql) or "FOR UPDATE" in sql
    ]
